#include "tests/sim/sim_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <utility>

namespace raftkv::sim {

namespace {

// Errors by which a node says that the command surely has no effect.
bool is_refusal(const Reply& reply) {
  for (const char* code : {"MOVED ", "CLUSTERDOWN ", "LOADING ", "EXECABORT ", "MISCONF "}) {
    if (reply.text.starts_with(code)) return true;
  }
  return false;
}

}  // namespace

SimClient::Character SimClient::Character::draw(Random& random, const Profile& profile) {
  constexpr uint64_t kPatienceUs[] = {60'000, 300'000, 1'500'000};
  constexpr uint64_t kMusingUs[] = {30'000, 100'000, 500'000, 2'000'000};
  Character character;
  character.stays_anywhere = random.chance(0.2);
  character.only_reads = !character.stays_anywhere && random.chance(profile.readers);
  if (character.stays_anywhere || random.chance(0.5)) character.wanders = 0.2;
  if (random.chance(0.5)) character.think_us_max = 2'000;
  if (random.chance(character.only_reads ? profile.musing_readers : profile.musing_writers)) {
    character.think_us_max = profile.musing_us_max != 0
                                 ? profile.musing_us_max
                                 : kMusingUs[random.below(std::size(kMusingUs))];
  } else if (!character.only_reads && profile.restless > 0) {
    character.wanders = profile.restless;
    character.think_us_max = 2'000;
  }
  character.patience_us = kPatienceUs[random.below(std::size(kPatienceUs))];
  if (!character.stays_anywhere && !character.only_reads && random.chance(profile.bankers)) {
    character.only_watches = true;
    character.wanders = 0;
    character.think_us_max = kMusingUs[2];
  } else if (!character.stays_anywhere && random.chance(profile.mortals)) {
    character.only_deadlines = true;
  }
  return character;
}

SimClient::SimClient(World& world, const Trace& trace, uint64_t number, std::vector<SimNode*> nodes,
                     std::vector<std::unique_ptr<Workload>> workloads, Character character,
                     const Safety& safety, std::function<void(std::string)> fail)
    : world_(world),
      trace_(trace),
      number_(number),
      nodes_(std::move(nodes)),
      workloads_(std::move(workloads)),
      character_(character),
      safety_(safety),
      fail_(std::move(fail)),
      preferred_(world.random().below(nodes_.size())) {}

SimClient::~SimClient() {
  disconnect();
}

void SimClient::think() {
  world_.after(world_.random().below(character_.think_us_max), [this] { act(); });
}

void SimClient::stop() {
  stopped_ = true;
  for (const auto& workload : workloads_) workload->stop();
}

Workload* SimClient::unfinished() const {
  for (const auto& workload : workloads_) {
    if (workload->unfinished()) return workload.get();
  }
  return nullptr;
}

void SimClient::act() {
  if (finished()) return;
  if (pending_.empty()) {
    if (world_.random().chance(character_.wanders)) {
      preferred_ = world_.random().below(nodes_.size());
    }
    if (!nodes_[preferred_]->up()) {
      preferred_ = world_.random().below(nodes_.size());
    } else {
      connect();
      issue_pipeline();
    }
  }
  think();
}

void SimClient::connect() {
  SimNode* node = nodes_[preferred_];
  if (session_ != nullptr && node_ == node && life_ == node->life()) return;
  disconnect();
  node_ = node;
  life_ = node->life();
  session_ = node->connect(*this);
}

void SimClient::issue_pipeline() {
  if (stopped_) {
    playing_ = unfinished();
  } else if (playing_ == nullptr || !playing_->in_conversation()) {
    playing_ = workloads_[world_.random().below(workloads_.size())].get();
  }
  for (Step& step : playing_->next(world_.random())) {
    trace_.say("client {} to node {}: {}", number_, node_->id(), fmt::join(step.args, " "));
    pending_.push_back({std::move(step), safety_.committed()});
  }
  node_->enqueue([this, connection = connection_] {
    if (connection == connection_) execute_waiting();
  });
  world_.after(character_.patience_us, [this, patience = ++patience_] {
    if (patience == patience_ && !pending_.empty()) {
      preferred_ = world_.random().below(nodes_.size());
      disconnect();
    }
  });
}

void SimClient::execute_waiting() {
  for (Pending& pending : pending_) {
    if (pending.sent) continue;
    const std::vector<std::string_view> args(pending.step.args.begin(), pending.step.args.end());
    if (session_->execute(args) == server::Execution::kWait) return;
    pending.sent = true;
  }
}

void SimClient::node_turned() {
  if (session_ == nullptr || !node_->up() || life_ != node_->life()) return;
  if (std::exchange(resume_, false)) {
    node_->enqueue([this, connection = connection_] {
      if (connection == connection_) execute_waiting();
    });
  }
  if (std::exchange(output_ready_, false)) read_replies();
}

void SimClient::read_replies() {
  const std::string output = std::exchange(session_->output(), {});
  std::string_view rest = output;
  while (!rest.empty()) on_reply(take_reply(rest));
}

void SimClient::on_reply(const Reply& reply) {
  if (pending_.empty()) return fail_("a reply came that nobody waits for");
  const Pending command = std::move(pending_.front());
  const Step& step = command.step;
  pending_.pop_front();
  if (pending_.empty()) ++patience_;
  if (trace_.on()) {
    trace_.say("client {} from node {}: {} -> {}", number_, node_->id(), fmt::join(step.args, " "),
               to_text(reply));
  }
  if (reply.is_error()) {
    const bool unknown = reply.text.starts_with("UNKNOWN ");
    if (!unknown && !is_refusal(reply)) {
      return fail_(fmt::format("{} gave an unexpected error: {}", step.args[0], reply.text));
    }
    lose(step, unknown);
    if (character_.stays_anywhere) return;
    const uint64_t leader = node_->raft_status().leader;
    preferred_ = leader != 0 ? leader - 1 : world_.random().below(nodes_.size());
    return;
  }
  ++totals_.acknowledged;
  if (!step.replied) return;
  if (!character_.stays_anywhere) ++totals_.confirmed;
  if (std::string wrong = stale(command, reply); !wrong.empty()) fail_(wrong);
  if (std::string wrong = step.replied(reply); !wrong.empty()) fail_(wrong);
}

std::string SimClient::stale(const Pending& command, const Reply& reply) const {
  const std::string& name = command.step.args[0];
  // That a watched key may have changed, a node may say without asking anybody.
  if (playing_->reads_stale() || (name == "EXEC" && reply.is_nil())) return "";
  if (node_->applied_index() >= command.committed) return "";
  return fmt::format("stale: node {} answered {} from index {}, but {} was committed before",
                     node_->id(), name, node_->applied_index(), command.committed);
}

void SimClient::lose(const Step& step, bool maybe) {
  ++(maybe ? totals_.unknown : totals_.refused);
  if (step.lost) step.lost(maybe);
}

void SimClient::disconnect() {
  if (session_ != nullptr && node_->up() && life_ == node_->life()) session_->close();
  session_ = nullptr;
  ++connection_;
  output_ready_ = resume_ = false;
  if (!pending_.empty()) {
    trace_.say("client {} loses node {} with {} commands open", number_, node_->id(),
               pending_.size());
  }
  for (const Pending& pending : pending_) lose(pending.step, pending.sent);
  pending_.clear();
  for (auto& workload : workloads_) workload->disconnected();
  ++patience_;
}

void SimClient::connection_lost(SimNode& node) {
  if (node_ == &node) disconnect();
}

}  // namespace raftkv::sim
