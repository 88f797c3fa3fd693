#include "client/change.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace raftkv::client {
namespace {

using Failure = ClusterChange::Failure;
using Kind = ClientError::Kind;

// Between two questions to the cluster, until the deadline: nothing tells a client of the end.
constexpr std::chrono::milliseconds kPause{100};

std::unexpected<Failure> failure(Kind kind, std::string text) {
  return std::unexpected(Failure{kind, std::move(text)});
}

std::string unchanged(const MembersView&) {
  return "";
}

std::string names_of(const MembersView& view) {
  std::vector<std::string> names;
  names.reserve(view.members.size());
  for (const MemberView& member : view.members) names.push_back(fmt::format("{}", member.id));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

ClusterChange::ClusterChange(std::vector<Address> nodes, Deadline deadline,
                             std::function<void(const std::string&)> tell)
    : nodes_(std::move(nodes)), deadline_(deadline), tell_(std::move(tell)) {}

std::expected<MembersView, Failure> ClusterChange::view() {
  auto view = query_members(nodes_, deadline_);
  if (!view) return failure(Kind::kDeadline, view.error());
  // The next question may find the node gone that answered this one.
  for (const MemberView& member : view->members) {
    const auto address = parse_address(member.client);
    if (address && std::ranges::find(nodes_, *address) == nodes_.end()) nodes_.push_back(*address);
  }
  return *view;
}

ClusterChange::Outcome ClusterChange::carry_out(
    const std::vector<std::string>& args, const Done& done,
    const std::function<std::string(const MembersView&)>& progress) {
  bool asked = args.empty();
  std::string doubt;  // how an attempt ended of which nobody knows what came
  std::string told;
  for (;;) {
    const auto now = view();
    if (!now) {
      if (!asked) return std::unexpected(now.error());
      return failure(Kind::kOutcomeUnknown, doubt.empty() ? now.error().text : doubt);
    }
    if (now->stable() && done(*now)) return *now;
    if (!asked || (!doubt.empty() && now->stable())) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
      ClusterClient client(nodes_, {.command_timeout = std::max(left, kPause)});
      const Result result = client.command(args, Retry::kUnsafe);
      if (!result && result.error().kind != Kind::kOutcomeUnknown) {
        return failure(result.error().kind, result.error().text);
      }
      asked = true;
      doubt = result ? "" : result.error().text;
      continue;
    }
    if (std::string line = progress(*now); !line.empty() && line != told) {
      tell_(line);
      told = std::move(line);
    }
    // No time to ask once more: then what was heard last is told, and not that nobody answered.
    if (Clock::now() + kPause >= deadline_) {
      return failure(Kind::kOutcomeUnknown, "it was asked for, but is not finished in time" +
                                                (told.empty() ? std::string() : " (" + told + ")"));
    }
    std::this_thread::sleep_for(kPause);
  }
}

ClusterChange::Outcome ClusterChange::add(uint64_t id, const std::string& client,
                                          const std::string& peer, bool promote) {
  const auto now = view();
  if (!now) return std::unexpected(now.error());
  if (const MemberView* known = now->find(id)) {
    if (known->client != client || known->peer != peer) {
      return failure(
          Kind::kServer,
          fmt::format("node {} is a member already, at {} (peers {}); a new node needs an id of "
                      "its own, and a moved one: raftkv-cli members update",
                      id, known->client, known->peer));
    }
    if (!known->voter() && promote && !known->promote) return this->promote(id, false);
  }
  if (now->find(id) == nullptr) {
    tell_(fmt::format("adding node {} as a learner", id));
    std::vector<std::string> args = {"RAFT.MEMBERS", "ADD", std::to_string(id), client, peer};
    if (!promote) args.emplace_back("NOPROMOTE");
    auto added = carry_out(
        args, [id](const MembersView& view) { return view.find(id) != nullptr; }, unchanged);
    if (!added || !promote) return added;
  }
  const auto progress = [id](const MembersView& view) -> std::string {
    const MemberView* member = view.find(id);
    if (member == nullptr || member->voter()) return "";
    if (!member->active.value_or(false)) {
      return fmt::format("node {} is a learner; nothing is heard from it yet: does it run?", id);
    }
    return fmt::format("node {} is a learner, {} entries behind", id, member->lag.value_or(0));
  };
  return carry_out(
      {},
      [id, promote](const MembersView& view) {
        const MemberView* member = view.find(id);
        return member != nullptr && (member->voter() || !promote);
      },
      progress);
}

ClusterChange::Outcome ClusterChange::remove(uint64_t id, bool force) {
  const auto now = view();
  if (!now) return std::unexpected(now.error());
  if (now->find(id) == nullptr) {
    return failure(Kind::kServer,
                   fmt::format("node {} is no member; the members are {}", id, names_of(*now)));
  }
  tell_(fmt::format("removing node {}{}", id, now->leader == id ? ", which hands over first" : ""));
  std::vector<std::string> args = {"RAFT.MEMBERS", "REMOVE", std::to_string(id)};
  if (force) args.emplace_back("FORCE");
  return carry_out(
      args, [id](const MembersView& view) { return view.find(id) == nullptr; }, unchanged);
}

ClusterChange::Outcome ClusterChange::promote(uint64_t id, bool force) {
  const auto now = view();
  if (!now) return std::unexpected(now.error());
  if (now->find(id) == nullptr) {
    return failure(Kind::kServer,
                   fmt::format("node {} is no member; the members are {}", id, names_of(*now)));
  }
  std::vector<std::string> args = {"RAFT.MEMBERS", "PROMOTE", std::to_string(id)};
  if (force) args.emplace_back("FORCE");
  return carry_out(
      args,
      [id](const MembersView& view) {
        const MemberView* member = view.find(id);
        return member != nullptr && member->voter();
      },
      unchanged);
}

ClusterChange::Outcome ClusterChange::update(uint64_t id, const std::string& client,
                                             const std::string& peer) {
  const std::vector<std::string> args = {"RAFT.MEMBERS", "UPDATE", std::to_string(id), client,
                                         peer};
  return carry_out(
      args,
      [&](const MembersView& view) {
        const MemberView* member = view.find(id);
        return member != nullptr && member->client == client && member->peer == peer;
      },
      unchanged);
}

ClusterChange::Outcome ClusterChange::transfer(uint64_t target) {
  const auto now = view();
  if (!now) return std::unexpected(now.error());
  const uint64_t before = now->leader;
  std::vector<std::string> args = {"RAFT.TRANSFER"};
  if (target != 0) args.push_back(std::to_string(target));
  return carry_out(
      args,
      [before, target](const MembersView& view) {
        return target == 0 ? view.leader != before : view.leader == target;
      },
      unchanged);
}

}  // namespace raftkv::client
