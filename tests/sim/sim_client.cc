#include "tests/sim/sim_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace raftkv::sim {

// --- History
// --------------------------------------------------------------------------------------

History::Operation History::begin(const std::string& key, bool write) {
  Counter& counter = counters_[key];
  if (write) ++counter.called;
  return {key, write, counter.highest};
}

std::string History::finish(const Operation& operation, int64_t result) {
  Counter& counter = counters_[operation.key];
  if (result > counter.called) {
    return fmt::format("{} has the value {} after at most {} increments", operation.key, result,
                       counter.called);
  }
  if (operation.write) {
    ++counter.acknowledged;
    if (result <= operation.floor) {
      return fmt::format("INCR {} replied {}, but {} was known before it began", operation.key,
                         result, operation.floor);
    }
    if (++counter.results[result] > 1) {
      return fmt::format("two INCRs of {} replied {}", operation.key, result);
    }
  } else if (result < operation.floor) {
    return fmt::format("stale read: GET {} replied {}, but {} was known before it began",
                       operation.key, result, operation.floor);
  }
  counter.highest = std::max(counter.highest, result);
  return {};
}

void History::unknown(const Operation&) {}

void History::refused(const Operation& operation) {
  if (operation.write) --counters_[operation.key].called;
}

std::string History::check_final(const std::string& key, int64_t value) const {
  const auto it = counters_.find(key);
  if (it == counters_.end()) return {};
  const Counter& counter = it->second;
  if (value < counter.acknowledged || value < counter.highest || value > counter.called) {
    return fmt::format("{} ends as {}; {} increments were acknowledged, {} may have happened", key,
                       value, counter.acknowledged, counter.called);
  }
  return {};
}

// --- SimClient
// ------------------------------------------------------------------------------------

namespace {

constexpr uint64_t kThinkUsMax = 20'000;
constexpr uint64_t kTimeoutUs = 1'500'000;
constexpr size_t kPipelineMax = 6;

}  // namespace

SimClient::SimClient(World& world, std::vector<SimNode*> nodes, History& history, size_t keys,
                     std::function<void(std::string)> fail)
    : world_(world),
      nodes_(std::move(nodes)),
      history_(history),
      keys_(keys),
      fail_(std::move(fail)),
      preferred_(world.random().below(nodes_.size())) {}

SimClient::~SimClient() {
  disconnect();
}

void SimClient::think() {
  world_.after(world_.random().below(kThinkUsMax), [this] { act(); });
}

void SimClient::act() {
  if (stopped_ && pending_.empty()) return;
  if (pending_.empty()) {
    SimNode* node = nodes_[preferred_];
    if (!node->up()) {
      preferred_ = world_.random().below(nodes_.size());
    } else {
      if (session_ == nullptr || node_ != node || life_ != node->life()) {
        disconnect();
        node_ = node;
        life_ = node->life();
        session_ = node->connect(*this);
      }
      issue_pipeline();
    }
  }
  think();
}

void SimClient::issue_pipeline() {
  const size_t count = world_.random().between(1, kPipelineMax);
  for (size_t i = 0; i < count; ++i) {
    const std::string key = fmt::format("counter:{}", world_.random().below(keys_));
    const bool write = world_.random().chance(0.5);
    Pending pending;
    pending.operation = history_.begin(key, write);
    pending.args =
        write ? std::vector<std::string>{"INCR", key} : std::vector<std::string>{"GET", key};
    pending_.push_back(std::move(pending));
  }
  node_->enqueue([this, session = session_] {
    if (session == session_) execute_waiting();
  });
  world_.after(kTimeoutUs, [this, patience = ++patience_] {
    if (patience == patience_ && !pending_.empty()) {
      preferred_ = world_.random().below(nodes_.size());
      disconnect();
    }
  });
}

void SimClient::execute_waiting() {
  for (Pending& pending : pending_) {
    if (pending.sent) continue;
    const std::vector<std::string_view> args(pending.args.begin(), pending.args.end());
    if (session_->execute(args) == server::Execution::kWait) return;
    pending.sent = true;
  }
}

void SimClient::node_turned() {
  if (session_ == nullptr || !node_->up() || life_ != node_->life()) return;
  if (std::exchange(resume_, false)) {
    node_->enqueue([this, session = session_] {
      if (session == session_) execute_waiting();
    });
  }
  if (std::exchange(output_ready_, false)) read_replies();
}

void SimClient::read_replies() {
  std::string output = std::exchange(session_->output(), {});
  std::string_view rest = output;
  while (!rest.empty()) {
    size_t length = rest.find("\r\n") + 2;
    if (rest.front() == '$' && rest[1] != '-') {
      int64_t bulk = 0;
      std::from_chars(rest.data() + 1, rest.data() + length, bulk);
      length += static_cast<size_t>(bulk) + 2;
    }
    on_reply(rest.substr(0, length));
    rest.remove_prefix(length);
  }
}

void SimClient::on_reply(std::string_view reply) {
  if (pending_.empty()) return fail_("a reply came that nobody waits for");
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  if (pending_.empty()) ++patience_;
  const History::Operation& operation = pending.operation;
  if (reply.front() == '-') {
    if (reply.starts_with("-UNKNOWN")) {
      history_.unknown(operation);
      ++totals_.unknown;
    } else if (reply.starts_with("-MOVED") || reply.starts_with("-CLUSTERDOWN") ||
               reply.starts_with("-LOADING")) {
      history_.refused(operation);
      ++totals_.refused;
    } else {
      fail_(fmt::format("an unexpected error: {}", reply));
    }
    const uint64_t leader = node_->raft_status().leader;
    preferred_ = leader != 0 ? leader - 1 : world_.random().below(nodes_.size());
    return;
  }
  int64_t result = 0;
  if (reply.front() == ':') {
    std::from_chars(reply.data() + 1, reply.data() + reply.size(), result);
  } else if (reply != "$-1\r\n") {
    const size_t begin = reply.find("\r\n") + 2;
    std::from_chars(reply.data() + begin, reply.data() + reply.size(), result);
  }
  ++totals_.acknowledged;
  if (std::string wrong = history_.finish(operation, result); !wrong.empty()) fail_(wrong);
}

void SimClient::disconnect() {
  if (session_ != nullptr && node_->up() && life_ == node_->life()) session_->close();
  session_ = nullptr;
  output_ready_ = resume_ = false;
  for (const Pending& pending : pending_) {
    if (pending.sent) {
      history_.unknown(pending.operation);
      ++totals_.unknown;
    } else {
      history_.refused(pending.operation);
      ++totals_.refused;
    }
  }
  pending_.clear();
  ++patience_;
}

void SimClient::connection_lost(SimNode& node) {
  if (node_ == &node) disconnect();
}

}  // namespace raftkv::sim
