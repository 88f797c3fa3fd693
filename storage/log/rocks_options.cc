#include "storage/log/rocks_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/table.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <memory>

namespace raftkv::storage {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
// Of flushes: more than the log grows by at the highest rate of writes, and yet a memtable takes a
// quarter of a second. In small steps, or each would be a burst.
constexpr int64_t kFlushBytesPerSecond = 128 * kMiB;
constexpr int64_t kRefillUs = 10'000;
constexpr int32_t kFairness = 10;  // RocksDB's default, between priorities

rocksdb::BlockBasedTableOptions table_options() {
  rocksdb::BlockBasedTableOptions table;
  table.checksum = rocksdb::kXXH3;
  // Reads are runs of entries for a follower that fell behind: bigger blocks, and a cache that is
  // just there to hold index blocks.
  table.block_size = 32 << 10;
  table.block_cache = rocksdb::NewLRUCache(4 * kMiB);
  return table;
}

// RocksDB's warnings and errors go to this process's stderr. Its own diary, a file beside the
// log's, ends the process when the disk is full: after a line that found no room, the next one
// meets an assertion (release 7.8, as Debian builds it).
class WarningsToStderr : public rocksdb::Logger {
 public:
  WarningsToStderr() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    std::array<char, 1024> line;
    std::vsnprintf(line.data(), line.size(), format, arguments);
    std::fprintf(stderr, "RocksDB: %s\n", line.data());
  }
  // The options, in hundreds of lines.
  void LogHeader(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace

rocksdb::DBOptions log_db_options(rocksdb::Env* env) {
  rocksdb::DBOptions options;
  if (env != nullptr) options.env = env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  // Blocks that are allocated but were never written make a sync slower, not faster.
  options.allow_fallocate = false;

  // What is damaged must be noticed, and what failed must not be healed behind our back: after a
  // failed sync the kernel may have dropped the dirty pages, so a retry that succeeds proves
  // nothing.
  options.paranoid_checks = true;
  options.max_bgerror_resume_count = 0;
  // Replays every intact write and skips what is not: the only mode that shows whether something
  // intact follows the damage. A torn tail has nothing behind it; a hole in the middle has, and is
  // refused (wal_audit.h). The stricter sounding modes stop at the first damage and silently drop
  // all that was acknowledged behind it.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;

  // A write-ahead log file lives until every family that wrote to it has flushed, and the facts in
  // `meta` are in every write: all families flush together, so that none pins old files.
  options.atomic_flush = true;
  // The write-ahead log holds it all, and is synced: a stop need not flush.
  options.avoid_flush_during_shutdown = true;

  // One thread writes: no concurrent inserts, no spinning for other writers.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  options.max_background_jobs = 2;  // one flush, one compaction
  options.max_subcompactions = 1;

  // Flushed files go to the disk in small steps, or one big write-back stands before a log sync.
  options.bytes_per_sync = kMiB;
  // And not all at once: a memtable that goes out as fast as the disk takes it makes each sync
  // beside it take ten times as long.
  options.rate_limiter.reset(rocksdb::NewGenericRateLimiter(
      kFlushBytesPerSecond, kRefillUs, kFairness, rocksdb::RateLimiter::Mode::kWritesOnly));
  options.use_fsync = false;
  options.allow_mmap_reads = false;
  options.allow_mmap_writes = false;

  options.max_open_files = 256;
  options.skip_stats_update_on_db_open = true;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.info_log = std::make_shared<WarningsToStderr>();
  options.max_manifest_file_size = 4 * kMiB;
  return options;
}

rocksdb::ColumnFamilyOptions log_family_options(size_t memtable_bytes) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = memtable_bytes;
  options.max_write_buffer_number = 3;
  // Payloads are small strings already packed together; the log is written twice and hardly read.
  options.compression = rocksdb::kNoCompression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options()));
  // Keys only grow, so files do not overlap and "compaction" moves them from level to level without
  // rewriting them, except around a truncation.
  options.compaction_style = rocksdb::kCompactionStyleLevel;
  options.target_file_size_base = 64 * kMiB;
  // A file whose entries were all cut off is deleted as a whole, which RocksDB does not do on level
  // 0: so what is flushed is moved on at once. That costs an entry in the manifest, no data.
  options.level0_file_num_compaction_trigger = 1;
  options.max_bytes_for_level_base = 1024 * kMiB;
  options.force_consistency_checks = true;
  return options;
}

rocksdb::ColumnFamilyOptions meta_family_options(size_t memtable_bytes) {
  rocksdb::ColumnFamilyOptions options = log_family_options(memtable_bytes);
  options.target_file_size_base = kMiB;
  options.level0_file_num_compaction_trigger = 4;
  return options;
}

}  // namespace raftkv::storage

#ifdef __SANITIZE_THREAD__
// Debian's RocksDB is not built with ThreadSanitizer, which therefore misses RocksDB's own atomics
// and sees races where it frees what it handed out.
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions() {
  return "race:librocksdb.so\n";
}
#endif
