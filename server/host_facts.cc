// What commands ask of the process.
#include "server/server.h"

namespace raftkv::server {

DiskFacts Server::disk() const {
  DiskFacts facts;
  facts.full = writer_->disk_full();
  const storage::LogStoreStats log = store_->stats();
  facts.log_bytes = log.bytes_on_disk;
  facts.first_index = log.first_index;
  const storage::LogWriterStats writer = writer_->stats();
  facts.syncs = writer.syncs;
  facts.persists = writer.persists;
  facts.synced_bytes = writer.bytes;
  facts.last_sync_us = writer.last_sync_us;
  facts.sync_histogram = writer.sync_histogram;
  return facts;
}

std::expected<SnapshotFileFacts, std::string> Server::snapshot_file() {
  const raft::SnapshotMeta& newest = replica_->newest_snapshot();
  if (newest.index == 0) return SnapshotFileFacts{};
  const auto file = snapshots_->store().open({.term = newest.term, .index = newest.index});
  if (!file) return std::unexpected(file.error());
  return SnapshotFileFacts{.index = newest.index,
                           .term = newest.term,
                           .time_us = newest.time_us,
                           .bytes = (*file)->size()};
}

SessionFacts Server::sessions() const {
  const OnceTable& table = replica_->state().once();
  return {table.count(), table.bytes()};
}

void Server::for_each_client(const std::function<void(const ClientState&)>& visit) const {
  clients_->for_each(visit);
}

std::optional<PeerTraffic> Server::peer_traffic() const {
  return PeerTraffic{messages_sent_, messages_received_};
}

}  // namespace raftkv::server
