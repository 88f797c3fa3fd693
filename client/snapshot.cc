#include "client/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "client/answer.h"
#include "client/info_text.h"
#include "client/node_status.h"

namespace raftkv::client {
namespace {

using Failure = std::unexpected<std::string>;

constexpr std::chrono::milliseconds kPatience{1000};  // with one node that may be down
// Between two questions to the nodes, until the deadline.
constexpr std::chrono::milliseconds kPause{100};
constexpr std::chrono::milliseconds kLookEvery{200};

// Tells how far the snapshot is until it goes.
class Watcher {
 public:
  Watcher(const Address& node, const SaveProgress& progress) {
    if (!progress) return;
    thread_ = std::jthread([node, &progress](const std::stop_token& stop) {
      auto connection = Connection::connect(node, Clock::now() + kPatience);
      std::mutex mutex;
      std::condition_variable_any ended;
      while (connection && !stop.stop_requested()) {
        connection->append(std::array<std::string, 2>{"INFO", "persistence"});
        const auto reply = connection->receive(Clock::now() + kPatience);
        if (!reply) return;
        const InfoText info(reply->text);
        const uint64_t all = info.number("current_save_keys_total").value_or(0);
        if (all != 0) progress(info.number("current_save_keys_processed").value_or(0), all);
        std::unique_lock lock(mutex);
        ended.wait_for(lock, stop, kLookEvery, [] { return false; });
      }
    });
  }

 private:
  std::jthread thread_;
};

std::expected<Address, std::string> find_node(const SnapshotPlan& plan, Deadline until) {
  const auto id = info_number(plan.node);
  if (!plan.node.empty() && !id) {
    auto address = parse_address(plan.node);
    if (!address) return Failure("--node: " + address.error());
    return *std::move(address);
  }
  for (;;) {
    const ClusterStatus status = query_status(plan.nodes, kPatience);
    for (const NodeStatus& node : status.nodes) {
      if (id && node.up() && node.id == *id) return node.address;
    }
    const NodeStatus* leader = id ? nullptr : status.leader();
    if (leader != nullptr) return leader->address;
    if (std::ranges::none_of(status.nodes, &NodeStatus::up)) {
      return Failure(fmt::format("no node answers ({}: {}); check --nodes, and that the nodes run",
                                 status.nodes.front().address.to_string(),
                                 status.nodes.front().trouble));
    }
    if (Clock::now() >= until) {
      return Failure(id ? fmt::format("node {} does not answer, or is no member", *id)
                        : std::string("no leader is known; --node names a node to ask instead"));
    }
    std::this_thread::sleep_for(kPause);
  }
}

// The conversation with the node.
class Taking {
 public:
  Taking(const SnapshotPlan& plan, const Address& node, const SaveProgress& progress)
      : plan_(plan), node_(node), progress_(progress) {}

  // Nothing: the node does not lead any more, and the leader was to be asked.
  std::expected<std::optional<SnapshotFacts>, std::string> run() {
    auto connected =
        Connection::connect(node_, std::min(plan_.deadline, Clock::now() + 3 * kPatience));
    if (!connected) return failed("can't be reached", connected.error());
    connection_.emplace(*std::move(connected));
    // A read first: once it is answered, the node has applied all that was acknowledged before. One
    // that can't find out saves what it has, if it was named.
    for (const char* command : {"READONLY", "DBSIZE"}) {
      const auto reply = call({command});
      if (!reply) return Failure(reply.error());
      if (reply->is_error() && plan_.node.empty()) {
        if (judge(reply->text) == Verdict::kFinal) return failed(command, reply->text);
        return std::nullopt;
      }
    }
    if (auto saved = save(); !saved) return Failure(saved.error());
    return newest();
  }

 private:
  std::unexpected<std::string> failed(std::string_view what, std::string_view why) const {
    return Failure(fmt::format("{}: {}: {}", node_.to_string(), what, why));
  }

  std::expected<Reply, std::string> call(const std::vector<std::string>& args) {
    connection_->append(args);
    auto reply = connection_->receive(plan_.deadline);
    if (!reply) return failed(args[0], reply.error());
    return reply;
  }

  std::expected<void, std::string> save() {
    const Watcher watcher(node_, progress_);
    const auto reply = call({"SAVE"});
    if (!reply) return Failure(reply.error());
    if (reply->is_error()) return failed("SAVE", reply->text);
    return {};
  }

  std::expected<std::optional<SnapshotFacts>, std::string> newest() {
    const auto reply = call({"RAFT.SNAPSHOT", "INFO"});
    if (!reply) return Failure(reply.error());
    if (reply->is_error()) return failed("RAFT.SNAPSHOT INFO", reply->text);
    SnapshotFacts facts;
    for (size_t i = 0; i + 1 < reply->elements.size(); i += 2) {
      const std::string& name = reply->elements[i].text;
      const auto value = static_cast<uint64_t>(reply->elements[i + 1].integer);
      if (name == "node") facts.node = value;
      if (name == "index") facts.index = value;
      if (name == "term") facts.term = value;
      if (name == "time_ms") facts.time_ms = value;
      if (name == "bytes") facts.bytes = value;
    }
    if (facts.index == 0) return failed("RAFT.SNAPSHOT INFO", "it names no snapshot");
    return facts;
  }

  const SnapshotPlan& plan_;
  const Address& node_;
  const SaveProgress& progress_;
  std::optional<Connection> connection_;
};

}  // namespace

std::expected<TakenSnapshot, std::string> take_snapshot(const SnapshotPlan& plan,
                                                        const SaveProgress& progress) {
  const Deadline find_until = std::min(plan.deadline, Clock::now() + plan.find_timeout);
  for (;;) {
    const auto node = find_node(plan, find_until);
    if (!node) return Failure(node.error());
    const auto taken = Taking(plan, *node, progress).run();
    if (!taken) return Failure(taken.error());
    if (*taken) return TakenSnapshot{*node, **taken};
    if (Clock::now() >= find_until) {
      return Failure("no leader is known for certain; --node names a node to ask instead");
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace raftkv::client
