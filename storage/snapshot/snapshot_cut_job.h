// Takes a snapshot of a live dataset: the cut, the file's records, and the writer. The owner gives
// it a slice of time once a turn; writes to the dataset go on in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/data/keyspace.h"
#include "storage/snapshot/rdb_encoder.h"
#include "storage/snapshot/snapshot_facts.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::storage {

struct SnapshotCutOptions {
  // Records are handed to the writer in blocks of about so many bytes.
  size_t block_bytes = size_t{128} << 10;
  // A slice ends when it has made so many bytes, if not before: large values take longer.
  size_t slice_bytes = size_t{1} << 20;
  // Waiting for the disk, above which must_stall() says so.
  size_t backlog_bytes_max = size_t{64} << 20;
  SnapshotWriterOptions writer = {};
};

// Of the thread that owns the dataset, which must outlive it and stay in its place.
class SnapshotCutJob {
 public:
  enum class State : uint8_t {
    kCutting,  // advance() it
    kWriting,  // the cut is over; the disk is not yet done
    kDone,     // the file is durable, and the store lists it
    kFailed,   // error() says why. Nothing is left of it
  };

  // The snapshot is of this very moment, for which `facts` must be true. Only if
  // keyspace.cut_may_begin(kSnapshot).
  SnapshotCutJob(data::Keyspace& keyspace, SnapshotStore& store, const SnapshotFacts& facts,
                 SnapshotCutOptions options = {});
  // Abandons what is not done. Waits for the writer: see may_end().
  ~SnapshotCutJob();
  SnapshotCutJob(const SnapshotCutJob&) = delete;
  SnapshotCutJob& operator=(const SnapshotCutJob&) = delete;

  // Once a turn: walks on, past about `entries` keys, as long as the writer has room. True if the
  // owner should come back without waiting: there is more to do, and room for it. (Otherwise the
  // writer's on_progress tells when.)
  bool advance(size_t entries);
  State state() const { return state_; }
  const std::string& error() const { return error_; }
  SnapshotId id() const { return id_; }

  // Old values of keys that are written to can't be held back. If so many wait for the disk that
  // this is true, nothing may be applied to the dataset until it is false again.
  bool must_stall() const { return backlog_bytes() > options_.backlog_bytes_max; }
  size_t backlog_bytes() const { return block_.bytes.size() + writer_->backlog_bytes(); }

  // Stops without a file; state() is kFailed then. The destructor does not wait once may_end().
  void abandon();
  bool may_end() const { return writer_->state() != SnapshotWriter::State::kWriting; }

  // --- how far it is, for people
  uint64_t keys_total() const { return keys_total_; }
  uint64_t keys_done() const { return keys_done_; }
  uint64_t bytes_written() const { return writer_->bytes_written(); }

 private:
  void take(const data::Entry& entry);
  void walk(size_t entries);
  void end_cut();
  void hand_over();
  void look_at_writer();
  void fail(std::string error);

  data::Keyspace& keyspace_;
  const SnapshotCutOptions options_;
  const SnapshotId id_;
  const uint64_t keys_total_;
  uint64_t keys_done_ = 0;
  uint64_t bytes_made_ = 0;
  State state_ = State::kCutting;
  std::string error_;
  RdbBlock block_;
  std::unique_ptr<SnapshotWriter> writer_;
};

}  // namespace raftkv::storage
