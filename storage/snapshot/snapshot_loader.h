// Loads a snapshot file into a fresh dataset, in the calling thread or beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "storage/data/keyspace.h"
#include "storage/snapshot/snapshot_facts.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::storage {

struct LoadedSnapshot {
  data::Keyspace keyspace;
  SnapshotFacts facts;
};

// May be read by any thread while the load runs.
struct LoadProgress {
  std::atomic<uint64_t> bytes = 0;
  std::atomic<uint64_t> bytes_total = 0;
  std::atomic<uint64_t> keys = 0;
  std::atomic<uint64_t> keys_total = 0;
  std::atomic<bool> cancel = false;  // set to make the load fail soon
};

// Reads the whole file, checks its checksum, that it is the snapshot `id` of this cluster (empty:
// of any), and that it has as many keys as it says; only then is it trusted. Due keys are loaded
// like others: the dataset is that of the snapshot's index. The error says what is wrong and, for
// damage, at which byte.
[[nodiscard]] std::expected<LoadedSnapshot, std::string> load_snapshot(
    const SnapshotFile& file, SnapshotId id, std::string_view cluster_id, uint64_t hash_seed,
    LoadProgress* progress = nullptr);

// The same without making a dataset: whether the file is whole, and what it says of itself.
[[nodiscard]] std::expected<SnapshotFacts, std::string> verify_snapshot(
    const SnapshotFile& file, SnapshotId id, std::string_view cluster_id);

// load_snapshot() in a thread of its own.
class SnapshotLoader {
 public:
  // `on_done` is called once, on that thread, to wake the owner.
  SnapshotLoader(std::shared_ptr<const SnapshotFile> file, SnapshotId id, std::string cluster_id,
                 uint64_t hash_seed, std::function<void()> on_done);
  // Cancels, and waits for the thread unless it is done().
  ~SnapshotLoader();
  SnapshotLoader(const SnapshotLoader&) = delete;
  SnapshotLoader& operator=(const SnapshotLoader&) = delete;

  const LoadProgress& progress() const;
  void cancel();
  bool done() const;
  // Once, when done().
  [[nodiscard]] std::expected<LoadedSnapshot, std::string> take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::storage
