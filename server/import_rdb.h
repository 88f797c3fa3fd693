// --import_rdb: a Redis RDB file becomes the first state of a new cluster.
//
// It is written as the snapshot of index 1 and term 1 of a group whose only voter is this node, and
// recorded in its log's metadata: from there on the node starts as from any other snapshot, and
// nodes that are added get one from it. Why of one node only? What a snapshot says is committed, so
// it must be so on a majority: with a single voter that is its own disk. Several founders, each
// with a file, could differ in it, and nothing in Raft would notice.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "raft/types.h"
#include "storage/log/identity.h"

namespace raftkv::server {

struct ImportRdbOptions {
  std::string file;
  std::string data_dir;
  storage::Identity identity;   // of the directory, should it be new
  raft::Membership membership;  // one voter
  uint64_t hash_seed = 0;
  uint64_t wall_us = 0;  // now: the first time of the log. Keys that are due are left out
};

struct ImportRdbReport {
  uint64_t keys = 0;
  uint64_t expired = 0;  // left out
};

// Blocks until all is durable, before the loop runs; how far it is stands in the log. Refuses a
// directory that holds anything that Raft was ever promised, and a file that is damaged or holds
// what has no place here; then nothing was created. The error is one line for the operator.
//
// What is written, in this order: the directory's identity, the snapshot's file, its record. After
// a crash in between: again.
std::expected<ImportRdbReport, std::string> import_rdb(const ImportRdbOptions& options);

}  // namespace raftkv::server
