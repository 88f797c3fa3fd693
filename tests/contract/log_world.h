// The world of the log store's tests: directories, Persists made in one line, and both stores
// behind one face.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "raft/node.h"
#include "raft/ready.h"
#include "storage/log/log_store.h"

namespace raftkv::storage {

// In memory if there is room, since nothing here pulls the machine's plug: what a killed process
// leaves behind is the same, and syncs cost nothing.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The time that entry(index) has.
constexpr uint64_t time_of(raft::Index index) {
  return 1'700'000'000'000'000 + index * 10;
}

raft::Entry entry(raft::Index index, raft::Term term, const std::string& payload = "payload");
// Three voters; `generation` tells memberships apart.
raft::Membership membership(uint64_t generation);
raft::Entry membership_entry(raft::Index index, raft::Term term, uint64_t generation);
// Its time is that of the entry, its membership's generation is its index.
raft::SnapshotMeta snapshot(raft::Index index, raft::Term term);

// A Persist, made by chaining: Write().term(2).append(5, 2).append(6, 2)
class Write {
 public:
  Write& hard_state(raft::Term term, raft::NodeId vote = 0, raft::Index commit = 0);
  Write& append(raft::Index index, raft::Term term, const std::string& payload = "payload");
  Write& append(raft::Entry entry);
  // Records a snapshot at `index`, and drops what is before `first_index`.
  Write& cut(raft::Index index, raft::Term term, raft::Index first_index);
  // Replaces the whole log by a snapshot at `index`.
  Write& install(raft::Index index, raft::Term term);
  Write& sequence(uint64_t sequence);
  const raft::Persist& get() const { return persist_; }

 private:
  raft::Persist persist_;
};

// One group; the test fails if the store returns an error.
void write_group(LogStore& store, const std::vector<Write>& group);
void write(LogStore& store, const Write& persist);
// Entries 1 to `last` of `term`, each in a write of its own.
void fill(LogStore& store, raft::Index last, raft::Term term = 1);

// Everything that a store holds, readable and comparable.
struct Contents {
  raft::HardState hard_state{};
  raft::Index first_index = 1;
  raft::Term base_term = 0;
  raft::SnapshotMeta snapshot{};
  raft::Index lost_up_to = 0;
  std::vector<std::string> entries{};  // described by describe()

  friend bool operator==(const Contents&, const Contents&) = default;
};
std::string describe(const raft::Entry& entry);
std::vector<std::string> describe(const std::vector<raft::Entry>& entries);
std::vector<raft::Entry> read(const LogStore& store, raft::Index first, raft::Index last,
                              size_t bytes_limit = SIZE_MAX);
// `restored` is what recover() of `store` returned. Fails the test if the two disagree.
Contents contents(const LogStore& store, const raft::Restored& restored);

// Flips a bit in an entry of the closed RocksDB store at `path`, in its record, under intact
// blocks.
void damage_entry(const std::string& path, raft::Index index);

// A store that can be closed and opened again.
class StoreWorld {
 public:
  virtual ~StoreWorld() = default;
  virtual LogStore& store() = 0;
  // The process ends cleanly and starts again, up to before recover().
  virtual void restart() = 0;
  // The process is killed, and what was not synced is lost.
  virtual void crash() = 0;

  // The process ends cleanly, an entry is damaged on disk, and the process starts again.
  virtual void damage_and_restart(raft::Index index) = 0;
  // From now on the disk has no room (or has room again).
  virtual void set_disk_full(bool full) = 0;

  // restart() and recover(), which must succeed.
  raft::Restored reopen();
  Contents reopened_contents();
};

std::unique_ptr<StoreWorld> rocks_world(size_t memtable_bytes = size_t{1} << 20,
                                        size_t spare_wal_files = 2);
std::unique_ptr<StoreWorld> memory_world();

}  // namespace raftkv::storage
