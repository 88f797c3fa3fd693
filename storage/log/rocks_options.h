// How RocksDB is set up to hold a Raft log: one writer, sequential keys, every write synced, nearly
// no reads. Each setting's reason stands beside it in the .cc file.
#pragma once

#include <rocksdb/options.h>

namespace raftkv::storage {

inline constexpr char kLogFamily[] = "log";    // entry_key(index) -> header and payload
inline constexpr char kMetaFamily[] = "meta";  // the keys below -> a fact

inline constexpr char kHardStateKey[] = "hard_state";
inline constexpr char kPositionKey[] = "position";
inline constexpr char kSnapshotsKey[] = "snapshots";

// `env` may be null for the default one.
rocksdb::DBOptions log_db_options(rocksdb::Env* env);
rocksdb::ColumnFamilyOptions log_family_options(size_t memtable_bytes);
rocksdb::ColumnFamilyOptions meta_family_options(size_t memtable_bytes);

}  // namespace raftkv::storage
