#include "storage/snapshot/snapshot_cut_job.h"

#include <algorithm>
#include <utility>

#include "storage/data/check.h"

namespace raftkv::storage {

using data::CutKind;

SnapshotCutJob::SnapshotCutJob(data::Keyspace& keyspace, SnapshotStore& store,
                               const SnapshotFacts& facts, SnapshotCutOptions options)
    : keyspace_(keyspace),
      options_(std::move(options)),
      id_{facts.meta.term, facts.meta.index},
      keys_total_(keyspace.size()),
      writer_(store.write(id_, options_.writer)) {
  RdbEncoder encoder(block_);
  encoder.header();
  encode_facts(facts, keyspace.memory_used(), encoder);
  encoder.database(0, keys_total_, keyspace.size_with_expiry());
  keyspace_.begin_cut(CutKind::kSnapshot, [this](const data::Entry& entry) { take(entry); });
}

SnapshotCutJob::~SnapshotCutJob() {
  if (state_ == State::kCutting) keyspace_.abandon_cut(CutKind::kSnapshot);
}

void SnapshotCutJob::take(const data::Entry& entry) {
  RdbEncoder(block_).entry(entry);
  ++keys_done_;
  if (block_.bytes.size() >= options_.block_bytes) hand_over();
}

void SnapshotCutJob::hand_over() {
  bytes_made_ += block_.bytes.size();
  const size_t capacity = std::min(block_.bytes.capacity(), 2 * options_.block_bytes);
  writer_->submit(std::exchange(block_, {}));
  block_.bytes.reserve(capacity);
}

bool SnapshotCutJob::advance(size_t entries) {
  look_at_writer();
  if (state_ != State::kCutting) return false;
  walk(entries);
  return state_ == State::kCutting && writer_->has_room();
}

void SnapshotCutJob::walk(size_t entries) {
  constexpr size_t kStep = 32;  // between two looks at the limits
  const uint64_t begun_at = bytes_made_ + block_.bytes.size();
  while (entries > 0 && writer_->has_room()) {
    const size_t step = std::min(entries, kStep);
    if (!keyspace_.advance_cut(CutKind::kSnapshot, step)) return end_cut();
    entries -= step;
    if (bytes_made_ + block_.bytes.size() - begun_at >= options_.slice_bytes) return;
  }
}

void SnapshotCutJob::end_cut() {
  data::check(keys_done_ == keys_total_, "a cut hands over each key of its moment once");
  RdbEncoder(block_).end_mark();
  hand_over();
  block_ = {};
  writer_->finish();
  state_ = State::kWriting;
  look_at_writer();
}

void SnapshotCutJob::look_at_writer() {
  if (state_ != State::kCutting && state_ != State::kWriting) return;
  switch (writer_->state()) {
    case SnapshotWriter::State::kWriting:
      return;
    case SnapshotWriter::State::kDone:
      state_ = State::kDone;
      return;
    case SnapshotWriter::State::kFailed:
      return fail(writer_->error());
    case SnapshotWriter::State::kAbandoned:
      return fail("the writer was stopped");
  }
}

void SnapshotCutJob::fail(std::string error) {
  if (state_ == State::kCutting) keyspace_.abandon_cut(CutKind::kSnapshot);
  state_ = State::kFailed;
  error_ = std::move(error);
  block_ = {};
}

void SnapshotCutJob::abandon() {
  if (state_ != State::kCutting && state_ != State::kWriting) return;
  writer_->abandon();
  fail("the snapshot was abandoned");
}

}  // namespace raftkv::storage
