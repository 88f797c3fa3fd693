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
