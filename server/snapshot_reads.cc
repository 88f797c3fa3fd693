#include "server/snapshot_reads.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace raftkv::server {

using Failure = std::unexpected<std::string>;

std::expected<std::string, std::string> SnapshotReads::read(storage::SnapshotId id, uint64_t offset,
                                                            uint64_t count, uint64_t now_us) {
  close_idle(now_us);
  const auto open = find(id);
  if (!open) return Failure(open.error());
  const storage::SnapshotFile& file = *(*open)->file;
  (*open)->last_read_us = now_us;
  if (offset > file.size()) {
    return Failure(
        fmt::format("ERR the snapshot has {} bytes, and none at offset {}", file.size(), offset));
  }
  std::string bytes(std::min({count, kReadBytesMax, file.size() - offset}), '\0');
  const auto read = file.read_at(offset, bytes.data(), bytes.size());
  if (!read) return Failure("ERR " + read.error());
  if (*read != bytes.size()) {
    return Failure(fmt::format("ERR the snapshot's file ends at byte {}, before its end at {}",
                               offset + *read, file.size()));
  }
  return bytes;
}

std::expected<SnapshotReads::OpenFile*, std::string> SnapshotReads::find(storage::SnapshotId id) {
  const auto known = std::ranges::find(files_, id, &OpenFile::id);
  if (known != files_.end()) return &*known;
  if (files_.size() >= kFilesMax) {
    return Failure(fmt::format(
        "TRYAGAIN {} other snapshots of this node are being read, which is the limit", kFilesMax));
  }
  auto file = store_.open(id);
  if (!file) {
    return Failure(fmt::format(
        "NOSNAPSHOT the snapshot of index {} and term {} is not there (any more); RAFT.SNAPSHOT "
        "INFO names the newest one ({})",
        id.index, id.term, file.error()));
  }
  files_.push_back({.id = id, .file = *std::move(file)});
  return &files_.back();
}

void SnapshotReads::close_idle(uint64_t now_us) {
  std::erase_if(files_, [now_us](const OpenFile& open) {
    return now_us - std::min(now_us, open.last_read_us) >= kIdleUs;
  });
}

}  // namespace raftkv::server
