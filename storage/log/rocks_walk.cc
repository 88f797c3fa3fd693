#include "storage/log/rocks_walk.h"

#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "storage/log/record.h"

namespace raftkv::storage {
namespace {

constexpr raft::Index kProgressStep = 100'000;

std::unexpected<WalkFault> damage(std::string text) {
  return std::unexpected(WalkFault{.is_damage = true, .text = std::move(text)});
}
std::unexpected<WalkFault> refusal(std::string text) {
  return std::unexpected(WalkFault{.is_damage = false, .text = std::move(text)});
}

std::expected<void, WalkFault> add_record(std::string_view key, std::string_view record,
                                          RestoredLog& log) {
  const auto index = parse_entry_key(key);
  if (!index) return damage(fmt::format("the log holds {}", index.error()));
  const auto entry = decode_entry_record(*index, record);
  if (!entry && is_of_another_release(record)) {
    return refusal(fmt::format("log entry {} was written by another release: {}; start that one",
                               *index, entry.error()));
  }
  if (!entry) return damage(fmt::format("log entry {} is damaged: {}", *index, entry.error()));
  if (log.add(*entry)) return {};
  if (!log.error_is_damage()) return refusal(log.error() + "; start the release that wrote it");
  return damage(log.error());
}

}  // namespace

bool means_damage(const rocksdb::Status& status) {
  return status.IsCorruption() || status.IsPathNotFound() || status.IsNotFound();
}

std::expected<void, WalkFault> walk_log(const RocksDatabase& database, const LogExtent& extent,
                                        const std::function<void(raft::Index)>& progress,
                                        RestoredLog& log) {
  rocksdb::ReadOptions options;
  options.verify_checksums = true;
  options.fill_cache = false;
  options.readahead_size = 4 << 20;
  const std::unique_ptr<rocksdb::Iterator> it(database.db().NewIterator(options, database.log()));
  // What lies before was dropped by a cut, whether it is gone already or not.
  const EntryKey first = entry_key(extent.first_index);
  for (it->Seek(rocksdb::Slice(first.data(), first.size())); it->Valid(); it->Next()) {
    auto added = add_record({it->key().data(), it->key().size()},
                            {it->value().data(), it->value().size()}, log);
    if (!added) return added;
    if (progress && log.last_index() % kProgressStep == 0) progress(log.last_index());
  }
  if (!it->status().ok()) {
    const std::string text = fmt::format("the log can't be read behind entry {}: {}",
                                         log.last_index(), it->status().ToString());
    if (means_damage(it->status())) return damage(text);
    return refusal(text + "; check the disk, then start this node again");
  }
  if (log.last_index() != extent.last_index || log.last_term() != extent.last_term) {
    return damage(fmt::format(
        "the log ends with entry {} of term {}, but entry {} of term {} was written last",
        log.last_index(), log.last_term(), extent.last_index, extent.last_term));
  }
  return {};
}

}  // namespace raftkv::storage
