// Reads the whole log of a database once, and tells damage from what may not be thrown away.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "storage/log/log_extent.h"
#include "storage/log/log_state.h"
#include "storage/log/rocks_database.h"

namespace raftkv::storage {

struct WalkFault {
  // Entries are lost. Else: they may well be there, but can't be read or understood now (a disk
  // that does not answer, a record of another release).
  bool is_damage = false;
  std::string text;
};

// Adds every entry of `extent` to `log`, after its checksums were verified. `progress`, unless it
// is empty, is called now and then with the index it has come to.
std::expected<void, WalkFault> walk_log(const RocksDatabase& database, const LogExtent& extent,
                                        const std::function<void(raft::Index)>& progress,
                                        RestoredLog& log);

// Whether a status of RocksDB means that bytes are damaged or gone, rather than out of reach.
bool means_damage(const rocksdb::Status& status);

}  // namespace raftkv::storage
