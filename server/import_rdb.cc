#include "server/import_rdb.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "storage/data/keyspace.h"
#include "storage/log/rocks_log_store.h"
#include "storage/snapshot/rdb_file.h"
#include "storage/snapshot/rdb_reader.h"
#include "storage/snapshot/snapshot_cut_job.h"
#include "storage/snapshot/snapshot_directory.h"

namespace raftkv::server {

namespace {

namespace fs = std::filesystem;
using Failure = std::unexpected<std::string>;
using Clock = std::chrono::steady_clock;
using storage::RdbReader;

constexpr raft::Index kFirstIndex = 1;
constexpr raft::Term kFirstTerm = 1;
constexpr std::chrono::seconds kTellProgressEvery{2};

// A log that nobody was promised anything by, in a directory that is locked.
struct FreshLog {
  storage::OpenedDirectory directory;
  std::unique_ptr<storage::RocksLogStore> store;
};

std::expected<FreshLog, std::string> open_fresh(const ImportRdbOptions& options) {
  FreshLog fresh;
  auto directory = storage::open_data_directory(options.data_dir, options.identity);
  if (!directory) return Failure(directory.error());
  fresh.directory = std::move(*directory);
  if (auto there = storage::check_log_is_not_lost(options.data_dir); !there) {
    return Failure(there.error());
  }
  // Room for much to come is made by the start that follows.
  auto store = storage::RocksLogStore::open(options.data_dir + "/log", {.spare_wal_files = 0});
  if (!store) return Failure(store.error());
  fresh.store = std::move(*store);
  const auto restored = fresh.store->recover();
  if (!restored) return Failure(restored.error());
  // A term is a promise as well: this node may have voted in it.
  const bool unused = restored->last_index == 0 && restored->snapshot.index == 0 &&
                      restored->lost_up_to == 0 && restored->hard_state.term == 0;
  if (!unused) {
    return Failure(fmt::format(
        "--import_rdb fills only a fresh data directory, but {} is in use (term {}, last index "
        "{}); leave --import_rdb out to start with what is there, or give another --data_dir",
        options.data_dir, restored->hard_state.term,
        std::max(restored->last_index, restored->snapshot.index)));
  }
  return fresh;
}

bool holds_anything(const std::string& data_dir) {
  std::error_code error;
  return fs::exists(data_dir, error) && !fs::is_empty(data_dir, error);
}

// Adds the key that `reader` is at. The error is what is wrong with it.
std::string add_key(const RdbReader& reader, const ImportRdbOptions& options,
                    data::Keyspace& keyspace, ImportRdbReport& report) {
  const auto now_ms = static_cast<int64_t>(options.wall_us / 1000);
  if (reader.expiry_ms() != RdbReader::kNoExpiry && reader.expiry_ms() <= now_ms) {
    ++report.expired;
    return "";
  }
  keyspace.set_string(reader.key(), reader.value(), reader.expiry_ms());
  ++report.keys;
  if (keyspace.size() == report.keys) return "";
  return fmt::format("the key {} comes twice", storage::printable_key(reader.key()));
}

std::expected<data::Keyspace, std::string> read_dump(const ImportRdbOptions& options,
                                                     ImportRdbReport& report) {
  const auto wrong = [&options](const std::string& what) {
    return Failure(fmt::format("--import_rdb={}: {}", options.file, what));
  };
  auto source = storage::RdbFile::open(options.file);
  if (!source) return wrong(source.error());
  const uint64_t size = std::max<uint64_t>(source->remaining().value_or(1), 1);
  RdbReader reader(*source);
  data::Keyspace keyspace(options.hash_seed);
  auto tell_at = Clock::now() + kTellProgressEvery;
  for (;;) {
    const auto item = reader.next();
    if (!item) return wrong(item.error());
    if (*item == RdbReader::Item::kEnd) return keyspace;
    if (*item != RdbReader::Item::kKey) continue;
    if (const std::string problem = add_key(reader, options, keyspace, report); !problem.empty()) {
      return wrong(problem);
    }
    if ((report.keys & 0xfff) == 0 && Clock::now() >= tell_at) {
      tell_at = Clock::now() + kTellProgressEvery;
      LOG(INFO) << "read " << 100 * reader.offset() / size << " % of " << options.file << ", "
                << report.keys << " keys";
    }
  }
}

std::expected<void, std::string> write_snapshot(const ImportRdbOptions& options,
                                                const raft::SnapshotMeta& meta,
                                                data::Keyspace& keyspace) {
  auto directory = storage::SnapshotDirectory::open(options.data_dir + "/snapshots");
  if (!directory) return Failure(directory.error());
  std::mutex mutex;
  std::condition_variable progress;
  uint64_t steps = 0;
  storage::SnapshotCutOptions cut;
  cut.writer.on_progress = [&] {
    const std::lock_guard lock(mutex);
    ++steps;
    progress.notify_one();
  };
  const storage::SnapshotFacts facts{
      .meta = meta, .cluster_id = options.identity.cluster_id, .parts = {}};
  storage::SnapshotCutJob job(keyspace, **directory, facts, cut);
  using State = storage::SnapshotCutJob::State;
  for (uint64_t seen = 0; job.state() == State::kCutting || job.state() == State::kWriting;) {
    constexpr size_t kStep = 4096;
    if (job.advance(kStep)) continue;
    if (job.state() == State::kDone || job.state() == State::kFailed) break;
    // What the writer did before we looked counts as well.
    std::unique_lock lock(mutex);
    progress.wait(lock, [&] { return steps != seen; });
    seen = steps;
  }
  if (job.state() == State::kFailed) return Failure(job.error());
  return {};
}

std::expected<void, std::string> record(storage::LogStore& log, const raft::SnapshotMeta& meta) {
  raft::Persist persist;
  persist.token = {.sequence = 1, .last_term = 0, .last_index = 0};
  persist.hard_state = raft::HardState{.term = meta.term, .vote = 0, .commit = meta.index};
  persist.cut = raft::LogCut{.snapshot = meta, .first_index = meta.index + 1, .replaces_log = true};
  const raft::Persist* const batch[] = {&persist};
  if (auto written = log.write(batch); !written) return Failure(written.error().text);
  return {};
}

}  // namespace

std::expected<ImportRdbReport, std::string> import_rdb(const ImportRdbOptions& options) {
  CHECK_EQ(options.membership.voters.size(), 1u) << "a state that others lack is not committed";
  // Known before a large file is read.
  if (holds_anything(options.data_dir)) {
    if (const auto fresh = open_fresh(options); !fresh) return Failure(fresh.error());
  }
  ImportRdbReport report;
  auto keyspace = read_dump(options, report);
  if (!keyspace) return Failure(keyspace.error());
  const auto fresh = open_fresh(options);
  if (!fresh) return Failure(fresh.error());
  const raft::SnapshotMeta meta{.index = kFirstIndex,
                                .term = kFirstTerm,
                                .time_us = options.wall_us,
                                .membership = options.membership};
  if (auto written = write_snapshot(options, meta, *keyspace); !written) {
    return Failure(written.error() + "; mend that, and start again");
  }
  if (auto recorded = record(*fresh->store, meta); !recorded) {
    return Failure(recorded.error() + "; mend that, and start again");
  }
  return report;
}

}  // namespace raftkv::server
