// status: one line a node, or all its figures, or JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "client/commands.h"
#include "client/node_status.h"
#include "client/text_table.h"

namespace raftkv::client {
namespace {

using Json = nlohmann::json;

// A node that does not answer within this time counts as down: a dead one must not hold up the
// rest.
constexpr int64_t kPatienceMs = 1000;

std::string leader_name(uint64_t id) {
  return id == 0 ? "none" : fmt::format("n{}", id);
}

std::string lag_text(const ClusterStatus& status, const NodeStatus& node) {
  const auto lag = status.lag_of(node);
  return lag ? std::to_string(*lag) : "-";
}

std::string state_text(const NodeStatus& node) {
  return node.up() ? "up" : fmt::format("unreachable ({})", node.trouble);
}

std::string summary(const ClusterStatus& status) {
  std::string text = fmt::format("leader: {}, {} of {} members up", leader_name(status.leader_id),
                                 status.up, status.members);
  if (status.healthy()) return text + "\n";
  text += status.up > status.members / 2
              ? ": an election may be running, ask again"
              : fmt::format(
                    ": {} must be up before anything can be written; start the others, or "
                    "check --nodes",
                    status.members / 2 + 1);
  return text + "\n";
}

std::string table_of(const ClusterStatus& status) {
  std::vector<std::vector<std::string>> rows = {{"node", "address", "role", "term", "leader",
                                                 "commit/applied/last", "lag", "snapshot_index",
                                                 "keys", "state"}};
  for (const NodeStatus& node : status.nodes) {
    std::vector<std::string> row = {status.name_of(node), node.address.to_string()};
    if (node.up()) {
      row.insert(
          row.end(),
          {node.role, std::to_string(node.term), leader_name(node.leader_id),
           fmt::format("{}/{}/{}", node.commit_index, node.applied_index, node.last_index),
           lag_text(status, node), std::to_string(node.snapshot_index), std::to_string(node.keys)});
    } else {
      row.insert(row.end(), {"-", "-", "-", "-", lag_text(status, node), "-", "-"});
    }
    row.push_back(state_text(node));
    rows.push_back(std::move(row));
  }
  return format_table(rows);
}

std::string long_form_of(const ClusterStatus& status) {
  std::string out;
  for (const NodeStatus& node : status.nodes) {
    out += fmt::format("node: {}\n  address: {}\n  state: {}\n", status.name_of(node),
                       node.address.to_string(), state_text(node));
    if (node.up()) {
      out += fmt::format(
          "  role: {}\n  term: {}\n  leader: {}\n  commit_index: {}\n  applied_index: {}\n"
          "  last_index: {}\n  lag: {}\n  snapshot_index: {}\n  keys: {}\n",
          node.role, node.term, leader_name(node.leader_id), node.commit_index, node.applied_index,
          node.last_index, lag_text(status, node), node.snapshot_index, node.keys);
      for (const auto& [field, value] : node.info.fields()) {
        if (field.starts_with("raft_") || field == "raftkv_version") {
          out += fmt::format("  {}: {}\n", field, value);
        }
      }
    }
    out += "\n";
  }
  return out;
}

Json json_of(const ClusterStatus& status) {
  Json nodes = Json::array();
  for (const NodeStatus& node : status.nodes) {
    Json one = {{"node", status.name_of(node)},
                {"address", node.address.to_string()},
                {"state", node.up() ? "up" : "unreachable"}};
    if (!node.up()) one["reason"] = node.trouble;
    if (const auto lag = status.lag_of(node)) one["lag"] = *lag;
    if (node.up()) {
      one.update({{"id", node.id},
                  {"role", node.role},
                  {"term", node.term},
                  {"leader", node.leader_id},
                  {"commit_index", node.commit_index},
                  {"applied_index", node.applied_index},
                  {"last_index", node.last_index},
                  {"snapshot_index", node.snapshot_index},
                  {"digest_mismatches", node.info.number("raft_digest_mismatches").value_or(0)},
                  {"digest_last_ok_time", node.info.number("raft_digest_last_ok_time").value_or(0)},
                  {"keys", node.keys}});
    }
    nodes.push_back(std::move(one));
  }
  Json object = {{"healthy", status.healthy()}, {"up", status.up},
                 {"members", status.members},   {"leader_id", status.leader_id},
                 {"leader_address", nullptr},   {"nodes", std::move(nodes)}};
  if (const NodeStatus* leader = status.leader()) {
    object["leader_address"] = leader->address.to_string();
  }
  return object;
}

class StatusCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.toggle("long", &long_, "all figures of each node, one a line, instead of the table");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    const auto patience = std::chrono::milliseconds(std::min(kPatienceMs, common.timeout_ms));
    const ClusterStatus status = query_status(nodes, patience);
    if (common.json) {
      console.out(json_of(status).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    } else {
      console.out((long_ ? long_form_of(status) : table_of(status)) + summary(status));
    }
    return status.healthy() ? kExitOk : kExitFailed;
  }

 private:
  bool long_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> make_status_command() {
  return std::make_unique<StatusCommand>();
}

}  // namespace raftkv::client
