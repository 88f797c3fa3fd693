// Proof that no write is missing from RocksDB's write-ahead log, made before RocksDB may touch it.
//
// RocksDB skips what is damaged in the write-ahead log. Was it a torn tail, the write that a crash
// cut off before anybody heard of it? Or a write in the middle, acknowledged long ago? Every write
// carries its number (Position::write_number), so the numbers of the intact ones tell: they must
// follow each other without a hole, and follow what has been flushed to table files. A hard state
// that vanished (a vote that was cast) is noticed just like an entry.
//
// What can't be told from a torn tail is damage to the very last write alone.
//
// RocksDB also takes a manifest (the list of table files) whose end is damaged for one with a torn
// tail, and goes back to the table files of an earlier day. Therefore no table file that is there
// may hold a later write than the last one found.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "storage/log/record.h"

namespace rocksdb {
class Env;
}

namespace raftkv::storage {

struct WalAudit {
  std::optional<Position> flushed;  // the last write that is in table files
  std::optional<Position> last;     // the last write there is
};

// Reads the database at `path` (which must exist) without changing it. The error is one line: what
// is missing, or what RocksDB says.
std::expected<WalAudit, std::string> audit_wal(const std::string& path, rocksdb::Env* env);

// For a directory without CURRENT, the file that names all others, where RocksDB would make an
// empty database and delete what it does not know: an error, one line, if a file is there that may
// hold a write, so that CURRENT got lost. What a crash leaves of a database's making holds none.
std::expected<void, std::string> check_holds_no_write(const std::string& path, rocksdb::Env* env);

}  // namespace raftkv::storage
