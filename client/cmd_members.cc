// members list, add, remove, promote, replace, update; transfer.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/change.h"
#include "client/commands.h"
#include "client/failure.h"
#include "client/members_view.h"
#include "client/text_table.h"

namespace raftkv::client {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& object) {
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json json_of(const MembersView& view) {
  Json members = Json::array();
  for (const MemberView& member : view.members) {
    Json one = {{"id", member.id},     {"role", member.role},     {"client", member.client},
                {"peer", member.peer}, {"leader", member.leader}, {"promote", member.promote},
                {"active", nullptr},   {"match", nullptr},        {"lag", nullptr}};
    if (member.active) one["active"] = *member.active;
    if (member.match) one["match"] = *member.match;
    if (member.lag) one["lag"] = *member.lag;
    members.push_back(std::move(one));
  }
  return {
      {"cluster_id", view.cluster_id}, {"leader", view.leader}, {"term", view.term},
      {"index", view.index},           {"phase", view.phase},   {"members", std::move(members)}};
}

std::string table_of(const MembersView& view) {
  std::vector<std::vector<std::string>> rows = {
      {"node", "role", "clients", "peers", "lag", "state"}};
  for (const MemberView& member : view.members) {
    std::string state = member.leader ? "leader" : "unknown";
    if (!member.leader && member.active) state = *member.active ? "up" : "silent";
    if (member.promote) state += ", will vote once caught up";
    rows.push_back({fmt::format("n{}", member.id), member.role, member.client, member.peer,
                    member.lag ? std::to_string(*member.lag) : "-", state});
  }
  return format_table(rows) +
         fmt::format("cluster id: {}\nphase: {}\n", view.cluster_id, view.phase);
}

// What all of these have in common: a deadline, progress to people, one object to programs.
class ChangeCommand : public CliCommand {
 public:
  explicit ChangeCommand(int64_t deadline_s = 60) : deadline_s_(deadline_s) {}

  void declare(Flags& flags) override {
    declare_own(flags);
    flags.number("deadline", &deadline_s_, 1, 86'400,
                 "seconds until it must be done; what was begun by then goes on by itself");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    const auto tell = [&](const std::string& line) {
      if (!common.json) console.err(line + "\n");
    };
    ClusterChange change(nodes, Clock::now() + std::chrono::seconds(deadline_s_), tell);
    const auto start = Clock::now();
    const ClusterChange::Outcome outcome = carry_out(change);
    if (!outcome) {
      return report_failure(console, common.json, name(),
                            {outcome.error().kind, outcome.error().text},
                            "see: raftkv-cli members list; repeating the command is safe");
    }
    const auto took = std::chrono::duration<double>(Clock::now() - start).count();
    if (common.json) {
      Json object = json_of(*outcome);
      object["ok"] = true;
      object["seconds"] = took;
      console.out(dump(object));
    } else {
      console.out(conclusion(*outcome, took));
    }
    return kExitOk;
  }

 protected:
  virtual void declare_own(Flags& flags) = 0;
  virtual std::string name() const = 0;
  virtual ClusterChange::Outcome carry_out(ClusterChange& change) = 0;
  // For people, with what to do next.
  virtual std::string conclusion(const MembersView& view, double seconds) const = 0;

  static void id_flag(Flags& flags, std::string_view name, int64_t* id, std::string_view help) {
    flags.required_number(name, id, 1, INT64_MAX, help);
  }

 private:
  int64_t deadline_s_;
};

ClusterChange::Outcome bad_address(std::string_view flag, const std::string& why) {
  return std::unexpected(
      ClusterChange::Failure{ClientError::Kind::kServer, fmt::format("--{}: {}", flag, why)});
}

class AddressFlags {
 public:
  void declare(Flags& flags) {
    flags.required_text("client", &client_, "host:port at which clients reach it");
    flags.required_text("peer", &peer_, "host:port at which the other nodes reach it");
  }
  // Calls `then` with both, or says which one is no address.
  ClusterChange::Outcome with(
      const std::function<ClusterChange::Outcome(const std::string&, const std::string&)>& then)
      const {
    const auto client = parse_address(client_);
    if (!client) return bad_address("client", client.error());
    const auto peer = parse_address(peer_);
    if (!peer) return bad_address("peer", peer.error());
    return then(client->to_string(), peer->to_string());
  }

 private:
  std::string client_;
  std::string peer_;
};

class ListCommand : public ChangeCommand {
 public:
  ListCommand() : ChangeCommand(5) {}

 protected:
  void declare_own(Flags&) override {}
  std::string name() const override { return "members list"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override { return change.view(); }
  std::string conclusion(const MembersView& view, double) const override { return table_of(view); }
};

class AddCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    id_flag(flags, "id", &id_, "the new node's id, one that was never used in this cluster");
    addresses_.declare(flags);
    flags.toggle("no-promote", &no_promote_,
                 "leave it a learner: it gets the log, but does not vote");
  }
  std::string name() const override { return "members add"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return addresses_.with([&](const std::string& client, const std::string& peer) {
      return change.add(static_cast<uint64_t>(id_), client, peer, !no_promote_);
    });
  }
  std::string conclusion(const MembersView& view, double seconds) const override {
    std::string text = no_promote_
                           ? fmt::format(
                                 "node {} is a learner ({:.1f} s). Next, once it has caught up: "
                                 "raftkv-cli members promote --id {}\n",
                                 id_, seconds, id_)
                           : fmt::format("node {} votes ({:.1f} s).\n", id_, seconds);
    const auto voters = std::ranges::count_if(view.members, &MemberView::voter);
    if (voters % 2 == 0) {
      text += fmt::format(
          "{} voters survive the loss of no more nodes than {} would: add or remove one more.\n",
          voters, voters - 1);
    }
    return text;
  }

 private:
  int64_t id_ = 0;
  AddressFlags addresses_;
  bool no_promote_ = false;
};

std::string after_removal(int64_t id) {
  return fmt::format(
      "Next: stop node {} if it runs, and delete its data directory before its id is used again.\n",
      id);
}

class RemoveCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    id_flag(flags, "id", &id_, "the node to remove");
    flags.toggle("force", &force_, "also if a majority of the others does not answer");
  }
  std::string name() const override { return "members remove"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return change.remove(static_cast<uint64_t>(id_), force_);
  }
  std::string conclusion(const MembersView&, double seconds) const override {
    return fmt::format("node {} is removed ({:.1f} s).\n{}", id_, seconds, after_removal(id_));
  }

 private:
  int64_t id_ = 0;
  bool force_ = false;
};

class PromoteCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    id_flag(flags, "id", &id_, "the learner that shall vote");
    flags.toggle("force", &force_, "also if a majority of the voters with it does not answer");
  }
  std::string name() const override { return "members promote"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return change.promote(static_cast<uint64_t>(id_), force_);
  }
  std::string conclusion(const MembersView&, double seconds) const override {
    return fmt::format("node {} votes ({:.1f} s).\n", id_, seconds);
  }

 private:
  int64_t id_ = 0;
  bool force_ = false;
};

class UpdateCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    id_flag(flags, "id", &id_, "the node that has moved");
    addresses_.declare(flags);
  }
  std::string name() const override { return "members update"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return addresses_.with([&](const std::string& client, const std::string& peer) {
      return change.update(static_cast<uint64_t>(id_), client, peer);
    });
  }
  std::string conclusion(const MembersView&, double seconds) const override {
    return fmt::format("node {} is known at its new addresses ({:.1f} s).\n", id_, seconds);
  }

 private:
  int64_t id_ = 0;
  AddressFlags addresses_;
};

// The new node first, so that there are never fewer; unless it takes the old one's addresses.
class ReplaceCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    id_flag(flags, "id", &old_id_, "the node that goes");
    id_flag(flags, "new-id", &new_id_, "the node that comes, with an id that was never used");
    addresses_.declare(flags);
    flags.toggle("force", &force_, "also if a majority of the others does not answer");
  }
  std::string name() const override { return "members replace"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return addresses_.with([&](const std::string& client, const std::string& peer) {
      return replace(change, client, peer);
    });
  }
  std::string conclusion(const MembersView&, double seconds) const override {
    return fmt::format("node {} votes in place of node {} ({:.1f} s).\n{}", new_id_, old_id_,
                       seconds, after_removal(old_id_));
  }

 private:
  ClusterChange::Outcome replace(ClusterChange& change, const std::string& client,
                                 const std::string& peer) {
    const auto old_id = static_cast<uint64_t>(old_id_);
    const auto new_id = static_cast<uint64_t>(new_id_);
    const auto before = change.view();
    if (!before) return before;
    const MemberView* old = before->find(old_id);
    // Repeated after it was cut short, the first half may be done already.
    if (old == nullptr && before->find(new_id) == nullptr && !removed_here_) {
      return std::unexpected(ClusterChange::Failure{
          ClientError::Kind::kServer,
          fmt::format("node {} is no member; to add node {}: raftkv-cli members add", old_id,
                      new_id)});
    }
    const bool same_place = old != nullptr && (old->client == client || old->peer == peer);
    if (same_place) {
      if (auto removed = change.remove(old_id, force_); !removed) return removed;
      removed_here_ = true;
      return change.add(new_id, client, peer, true);
    }
    auto added = change.add(new_id, client, peer, true);
    if (!added || old == nullptr) return added;
    return change.remove(old_id, force_);
  }

  int64_t old_id_ = 0;
  int64_t new_id_ = 0;
  AddressFlags addresses_;
  bool force_ = false;
  bool removed_here_ = false;
};

class TransferCommand : public ChangeCommand {
 protected:
  void declare_own(Flags& flags) override {
    flags.number("to", &target_, 0, INT64_MAX,
                 "the node that shall lead; 0: whichever has caught up most");
  }
  std::string name() const override { return "transfer"; }
  ClusterChange::Outcome carry_out(ClusterChange& change) override {
    return change.transfer(static_cast<uint64_t>(target_));
  }
  std::string conclusion(const MembersView& view, double seconds) const override {
    return fmt::format("node {} leads ({:.2f} s).\n", view.leader, seconds);
  }

 private:
  int64_t target_ = 0;
};

}  // namespace

std::unique_ptr<CliCommand> make_members_list_command() {
  return std::make_unique<ListCommand>();
}
std::unique_ptr<CliCommand> make_members_add_command() {
  return std::make_unique<AddCommand>();
}
std::unique_ptr<CliCommand> make_members_remove_command() {
  return std::make_unique<RemoveCommand>();
}
std::unique_ptr<CliCommand> make_members_promote_command() {
  return std::make_unique<PromoteCommand>();
}
std::unique_ptr<CliCommand> make_members_replace_command() {
  return std::make_unique<ReplaceCommand>();
}
std::unique_ptr<CliCommand> make_members_update_command() {
  return std::make_unique<UpdateCommand>();
}
std::unique_ptr<CliCommand> make_transfer_command() {
  return std::make_unique<TransferCommand>();
}

}  // namespace raftkv::client
