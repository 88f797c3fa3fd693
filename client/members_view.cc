#include "client/members_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <thread>

namespace raftkv::client {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};  // with one node
constexpr std::chrono::milliseconds kPause{50};       // between two rounds

// A map, which RESP2 sends as a flat list of names and values.
bool for_each_field(const Reply& reply,
                    const std::function<void(std::string_view, const Reply&)>& visit) {
  if (reply.type != Reply::Type::kArray || reply.elements.size() % 2 != 0) return false;
  for (size_t i = 0; i < reply.elements.size(); i += 2) {
    visit(reply.elements[i].text, reply.elements[i + 1]);
  }
  return true;
}

uint64_t number_of(const Reply& reply) {
  return reply.integer < 0 ? 0 : static_cast<uint64_t>(reply.integer);
}

std::optional<uint64_t> known_number(const Reply& reply) {
  if (reply.type != Reply::Type::kInteger || reply.integer < 0) return std::nullopt;
  return static_cast<uint64_t>(reply.integer);
}

bool read_member(const Reply& reply, MemberView& member) {
  return for_each_field(reply, [&member](std::string_view name, const Reply& value) {
    if (name == "id") member.id = number_of(value);
    if (name == "role") member.role = value.text;
    if (name == "client") member.client = value.text;
    if (name == "peer") member.peer = value.text;
    if (name == "leader") member.leader = value.integer == 1;
    if (name == "promote") member.promote = value.integer == 1;
    if (name == "match") member.match = known_number(value);
    if (name == "lag") member.lag = known_number(value);
    if (name == "active" && value.integer >= 0) member.active = value.integer == 1;
  });
}

std::expected<MembersView, std::string> ask(const Address& node, Deadline deadline) {
  auto connection = Connection::connect(node, deadline);
  if (!connection) return std::unexpected(connection.error());
  connection->append(std::vector<std::string>{"RAFT.MEMBERS", "LIST"});
  const auto reply = connection->receive(deadline);
  if (!reply) return std::unexpected(reply.error());
  return parse_members(*reply);
}

}  // namespace

const MemberView* MembersView::find(uint64_t id) const {
  const auto found = std::ranges::find(members, id, &MemberView::id);
  return found == members.end() ? nullptr : &*found;
}

std::expected<MembersView, std::string> parse_members(const Reply& reply) {
  if (reply.is_error()) return std::unexpected(reply.text);
  MembersView view;
  bool readable = true;
  const bool is_map = for_each_field(reply, [&](std::string_view name, const Reply& value) {
    if (name == "cluster_id") view.cluster_id = value.text;
    if (name == "answered_by") view.answered_by = number_of(value);
    if (name == "leader") view.leader = number_of(value);
    if (name == "term") view.term = number_of(value);
    if (name == "index") view.index = number_of(value);
    if (name == "phase") view.phase = value.text;
    if (name != "members") return;
    for (const Reply& one : value.elements) {
      readable = readable && read_member(one, view.members.emplace_back());
    }
  });
  if (!is_map || !readable || view.answered_by == 0 || view.phase.empty()) {
    return std::unexpected("it does not answer RAFT.MEMBERS LIST as a RaftKV node does");
  }
  return view;
}

std::expected<MembersView, std::string> query_members(const std::vector<Address>& nodes,
                                                      Deadline deadline) {
  std::map<std::string, std::string> troubles;
  for (;;) {
    // Whoever is named on the way is asked, too, each once a round.
    std::deque<Address> todo(nodes.begin(), nodes.end());
    std::vector<Address> asked;
    while (!todo.empty() && Clock::now() < deadline) {
      const Address node = todo.front();
      todo.pop_front();
      if (std::ranges::find(asked, node) != asked.end()) continue;
      asked.push_back(node);
      auto view = ask(node, std::min(deadline, Clock::now() + kPatience));
      if (view && view->from_leader()) return view;
      if (!view) {
        troubles[node.to_string()] = view.error();
        continue;
      }
      troubles[node.to_string()] =
          view->leader == 0 ? "knows no leader" : fmt::format("follows node {}", view->leader);
      const MemberView* leader = view->find(view->leader);
      if (leader == nullptr) continue;
      if (const auto address = parse_address(leader->client)) todo.push_front(*address);
    }
    if (Clock::now() >= deadline) break;
    std::this_thread::sleep_until(std::min(deadline, Clock::now() + kPause));
  }
  std::string text;
  for (const auto& [node, trouble] : troubles) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", node, trouble);
  }
  return std::unexpected(fmt::format("no leader answered in time ({})", text));
}

}  // namespace raftkv::client
