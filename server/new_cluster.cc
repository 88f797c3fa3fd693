#include "server/new_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

#include "raft/codec.h"
#include "raft/membership_history.h"
#include "server/cluster_identity.h"
#include "server/command/member_context.h"
#include "server/difference_record.h"
#include "server/peer/known_peers.h"
#include "storage/log/identity.h"
#include "storage/log/rocks_log_store.h"
#include "storage/snapshot/snapshot_directory.h"

namespace raftkv::server {

namespace {

using Failure = std::unexpected<std::string>;

// The dataset must be what the log goes on behind.
std::expected<void, std::string> check_snapshot(const std::string& data_dir,
                                                const storage::LogStore& log,
                                                const raft::Restored& restored) {
  if (restored.snapshot.index == 0) return {};
  const auto directory = storage::SnapshotDirectory::open(data_dir + "/snapshots");
  if (!directory) return Failure(directory.error());
  for (const raft::SnapshotMeta& meta : log.snapshots()) {
    const bool log_goes_on = restored.first_index <= meta.index + 1;
    if (log_goes_on &&
        (*directory)->open(storage::SnapshotId{.term = meta.term, .index = meta.index}))
      return {};
  }
  return Failure(fmt::format(
      "the snapshot at index {} that the log of {} stands on has no file: this directory's data is "
      "incomplete; use that of another node",
      restored.snapshot.index, data_dir));
}

std::expected<Member, std::string> addresses_of(const NewClusterOptions& options,
                                                const raft::Membership& membership) {
  if (options.addresses) return *options.addresses;
  for (const Member& member : members_of(membership)) {
    if (member.id == options.node_id && !member.client_host.empty()) return member;
  }
  return Failure(fmt::format(
      "the log of {} does not say where node {} is reached: give --listen (and --peer_listen)",
      options.data_dir, options.node_id));
}

std::expected<void, std::string> append_membership(storage::LogStore& log,
                                                   const raft::Restored& restored,
                                                   const Member& self) {
  const raft::Term term = restored.hard_state.term + 1;
  auto payload = std::make_shared<std::string>();
  raft::encode_membership(bootstrap_membership({self}), *payload);
  raft::Entry entry{.term = term,
                    .index = restored.last_index + 1,
                    .time_us = restored.last_time_us,
                    .kind = raft::EntryKind::kMembership,
                    .payload = std::move(payload)};
  raft::Persist persist;
  persist.token = {.sequence = 1, .last_term = term, .last_index = entry.index};
  persist.hard_state = raft::HardState{.term = term, .vote = 0, .commit = entry.index};
  persist.entries.push_back(std::move(entry));
  const raft::Persist* const batch[] = {&persist};
  if (auto written = log.write(batch); !written) return Failure(written.error().text);
  return {};
}

std::expected<void, std::string> rename_cluster(const std::string& data_dir,
                                                const storage::Identity& identity) {
  std::error_code error;
  std::filesystem::remove(data_dir + "/" + KnownPeers::kFile, error);
  if (error) {
    return Failure(
        fmt::format("{}/{} can't be removed: {}", data_dir, KnownPeers::kFile, error.message()));
  }
  return storage::rewrite_identity(data_dir, identity);
}

std::string report(const NewClusterOptions& options, const raft::Restored& restored,
                   const std::string& old_id, const std::string& new_id, const Member& self) {
  const raft::Index last = restored.last_index;
  const raft::Index known = std::max(restored.hard_state.commit, restored.snapshot.index);
  std::string text = fmt::format(
      "node {}, {}\n"
      "  old cluster id  {}\n"
      "  last log index  {} (term {})\n"
      "  known committed {}: the {} entries behind it may never have been acknowledged; they are "
      "kept\n"
      "LOST: every acknowledged write that only the lost nodes had. Use the node with the highest "
      "term, and of these the one with the highest last log index.\n",
      options.node_id, options.data_dir, old_id, last, restored.hard_state.term, known,
      last - std::min(last, known));
  if (!options.write) {
    return text +
           "Nothing was changed. To make this node a cluster of its own, stop all other nodes of "
           "the "
           "old cluster for good, then give --yes_i_accept_data_loss as well.\n";
  }
  return text + fmt::format(
                    "DONE: this directory is now a cluster of node {} alone.\n"
                    "  new cluster id  {}\n"
                    "Start it:  raftkv-server --node_id={} --cluster_id={} --listen={} "
                    "--peer_listen={} --data_dir={}\n"
                    "Then add nodes with empty directories and new ids: raftkv-server --join "
                    "--cluster_id={} ..., and raftkv-cli members add --nodes {} ...\n",
                    options.node_id, new_id, options.node_id, new_id,
                    client_endpoint(self).to_string(), peer_endpoint(self).to_string(),
                    options.data_dir, new_id, client_endpoint(self).to_string());
}

}  // namespace

std::expected<std::string, std::string> force_new_cluster(const NewClusterOptions& options) {
  auto directory = storage::open_existing_directory(options.data_dir, options.node_id);
  if (!directory) return Failure(directory.error());
  const auto differences = read_differences(options.data_dir);
  if (!differences) return Failure(differences.error());
  if (differences->discard) {
    return Failure(
        fmt::format("the data of {} differ from what the other nodes had: {}. Use the "
                    "directory of another node",
                    options.data_dir, differences->last));
  }
  if (auto there = storage::check_log_is_not_lost(options.data_dir); !there) {
    return Failure(there.error());
  }
  auto log = storage::RocksLogStore::open(options.data_dir + "/log", {});
  if (!log) return Failure(log.error());
  const auto restored = (*log)->recover();
  if (!restored) return Failure(restored.error());
  if (restored->lost_up_to != 0) {
    return Failure(
        fmt::format("the log of {} is damaged: entries up to {} are lost. Use the directory of "
                    "another node{}{}",
                    options.data_dir, restored->lost_up_to, (*log)->damage().empty() ? "" : "; ",
                    (*log)->damage()));
  }
  if (restored->last_index == 0) {
    return Failure(
        fmt::format("{} holds no log: there is nothing to begin with", options.data_dir));
  }
  if (auto whole = check_snapshot(options.data_dir, **log, *restored); !whole) {
    return Failure(whole.error());
  }
  const auto history = raft::MembershipHistory::restored(*restored, {});
  auto self = addresses_of(options, history.current().membership);
  if (!self) return Failure(self.error());
  self->id = options.node_id;
  self->role = MemberRole::kVoter;
  self->promote = false;

  const std::string new_id = random_hex40();
  if (options.write) {
    std::random_device random;
    const uint64_t incarnation = (uint64_t{random()} << 32) | random();
    if (auto renamed = rename_cluster(options.data_dir, {new_id, options.node_id, incarnation});
        !renamed) {
      return Failure(renamed.error());
    }
    if (auto appended = append_membership(**log, *restored, *self); !appended) {
      return Failure(appended.error() + "; mend that, and run this again");
    }
  }
  return report(options, *restored, directory->identity.cluster_id, new_id, *self);
}

}  // namespace raftkv::server
