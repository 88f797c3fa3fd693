#include "storage/snapshot/snapshot_loader.h"

#include <fmt/format.h>
#include <pthread.h>

#include <thread>
#include <utility>

#include "storage/data/check.h"
#include "storage/snapshot/rdb_reader.h"

namespace raftkv::storage {
namespace {

using Failure = std::unexpected<std::string>;

std::string what_is_wrong(const SnapshotFacts& facts, SnapshotId id, std::string_view cluster_id) {
  if (facts.meta.index != id.index || facts.meta.term != id.term) {
    return fmt::format("it says that it is the snapshot of index {} and term {}", facts.meta.index,
                       facts.meta.term);
  }
  if (!cluster_id.empty() && facts.cluster_id != cluster_id) {
    return fmt::format("it belongs to the cluster {}, not to {}", facts.cluster_id, cluster_id);
  }
  return "";
}

// Reads the file to its end; on_resize(keys) and on_key(reader) get what belongs to the dataset.
template <typename OnResize, typename OnKey>
std::expected<SnapshotFacts, std::string> read_snapshot(const SnapshotFile& file, SnapshotId id,
                                                        std::string_view cluster_id,
                                                        OnResize on_resize, OnKey on_key) {
  using Item = RdbReader::Item;
  SnapshotFileSource source(file);
  RdbReader reader(source, {.checksum_required = true});
  SnapshotFactsReader facts_reader;
  uint64_t keys = 0;
  while (true) {
    const auto item = reader.next();
    if (!item) return Failure(item.error());
    if (*item == Item::kEnd) break;
    if (*item == Item::kResize) on_resize(reader.keys_announced());
    if (*item == Item::kKey) {
      ++keys;
      if (std::string problem = on_key(reader, keys); !problem.empty())
        return Failure(std::move(problem));
    }
    if (*item == Item::kAux) {
      if (auto taken = facts_reader.take(reader.name(), reader.value()); !taken) {
        return Failure(taken.error());
      }
    }
  }
  auto facts = facts_reader.finish();
  if (!facts) return Failure(facts.error());
  if (std::string wrong = what_is_wrong(*facts, id, cluster_id); !wrong.empty())
    return Failure(std::move(wrong));
  if (keys != reader.keys_announced()) {
    return Failure(
        fmt::format("it has {} keys, but says that they are {}", keys, reader.keys_announced()));
  }
  return facts;
}

Failure named(SnapshotId id, const std::string& problem) {
  return Failure(fmt::format("{}: {}", snapshot_name(id), problem));
}

}  // namespace

std::expected<LoadedSnapshot, std::string> load_snapshot(const SnapshotFile& file, SnapshotId id,
                                                         std::string_view cluster_id,
                                                         uint64_t hash_seed,
                                                         LoadProgress* progress) {
  constexpr uint64_t kReportEvery = 1024;
  // No key takes less in the file: room is not made for more than can come.
  constexpr uint64_t kKeyBytesMin = 3;
  LoadProgress unwatched;
  LoadProgress& shown = progress != nullptr ? *progress : unwatched;
  shown.bytes_total = file.size();
  data::Keyspace keyspace(hash_seed);
  const auto make_room = [&](uint64_t keys) {
    shown.keys_total = keys;
    if (keyspace.size() == 0) keyspace.reserve(std::min(keys, file.size() / kKeyBytesMin));
  };
  const auto add = [&](const RdbReader& reader, uint64_t keys) -> std::string {
    keyspace.set_string(reader.key(), reader.value(), reader.expiry_ms());
    if (keyspace.size() != keys)
      return fmt::format("the key {} comes twice", printable_key(reader.key()));
    if (keys % kReportEvery != 0) return "";
    shown.keys = keys;
    shown.bytes = reader.offset();
    return shown.cancel ? "the load was cancelled" : "";
  };
  auto facts = read_snapshot(file, id, cluster_id, make_room, add);
  if (!facts) return named(id, facts.error());
  shown.keys = keyspace.size();
  shown.bytes = file.size();
  return LoadedSnapshot{std::move(keyspace), std::move(*facts)};
}

std::expected<SnapshotFacts, std::string> verify_snapshot(const SnapshotFile& file, SnapshotId id,
                                                          std::string_view cluster_id) {
  auto facts = read_snapshot(
      file, id, cluster_id, [](uint64_t) {},
      [](const RdbReader&, uint64_t) { return std::string(); });
  if (!facts) return named(id, facts.error());
  return facts;
}

// --- beside ------------------------------------------------------------------------------------

class SnapshotLoader::Impl {
 public:
  Impl(std::shared_ptr<const SnapshotFile> file, SnapshotId id, std::string cluster_id,
       uint64_t hash_seed, std::function<void()> on_done) {
    thread = std::thread([this, file = std::move(file), id, cluster_id = std::move(cluster_id),
                          hash_seed, on_done = std::move(on_done)] {
      result.emplace(load_snapshot(*file, id, cluster_id, hash_seed, &progress));
      done = true;
      if (on_done) on_done();
    });
    pthread_setname_np(thread.native_handle(), "snap-loader");
  }

  LoadProgress progress;
  std::optional<std::expected<LoadedSnapshot, std::string>> result;  // the thread's until done
  std::atomic<bool> done = false;
  std::thread thread;
};

SnapshotLoader::SnapshotLoader(std::shared_ptr<const SnapshotFile> file, SnapshotId id,
                               std::string cluster_id, uint64_t hash_seed,
                               std::function<void()> on_done)
    : impl_(std::make_unique<Impl>(std::move(file), id, std::move(cluster_id), hash_seed,
                                   std::move(on_done))) {}

SnapshotLoader::~SnapshotLoader() {
  cancel();
  impl_->thread.join();
}

const LoadProgress& SnapshotLoader::progress() const {
  return impl_->progress;
}
void SnapshotLoader::cancel() {
  impl_->progress.cancel = true;
}
bool SnapshotLoader::done() const {
  return impl_->done;
}

std::expected<LoadedSnapshot, std::string> SnapshotLoader::take() {
  data::check(impl_->done && impl_->result.has_value(), "a load is taken once, when it is done");
  std::expected<LoadedSnapshot, std::string> taken = std::move(*impl_->result);
  impl_->result.reset();
  return taken;
}

}  // namespace raftkv::storage
