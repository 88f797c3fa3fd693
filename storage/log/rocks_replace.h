// Puts a new database in the place of one whose log is damaged. What is damaged is not touched by
// half: a table file that can't be read can't be compacted away either.
#pragma once

#include <cstddef>
#include <expected>
#include <string>

#include "storage/log/rocks_database.h"

namespace rocksdb {
class Env;
}

namespace raftkv::storage {

// Makes a database with `facts` and no entries, and moves it to `path`, where no database is open;
// what was there is deleted. A crash in between is finished or undone by finish_replacement().
std::expected<void, std::string> replace_database(const std::string& path, const LogFacts& facts,
                                                  size_t memtable_bytes, rocksdb::Env* env);

// To be called before the database at `path` is looked at.
std::expected<void, std::string> finish_replacement(const std::string& path, rocksdb::Env* env);

}  // namespace raftkv::storage
