#include "server/snapshot_service.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "raft/codec.h"
#include "server/peer/on_pool.h"
#include "server/peer/snapshot_files.h"
#include "server/replica/start_point.h"
#include "storage/disk/sync_directory.h"

namespace raftkv::server {

namespace {

constexpr uint64_t kTellProgressMs = 2000;
constexpr char kDamagedSuffix[] = ".damaged";

storage::SnapshotId id_of(const raft::SnapshotMeta& meta) {
  return {.term = meta.term, .index = meta.index};
}

std::expected<storage::LoadedSnapshot, std::string> check(
    std::expected<storage::LoadedSnapshot, std::string> loaded) {
  if (!loaded) return loaded;
  if (auto known = StateMachine::check_parts(loaded->facts); !known) {
    return std::unexpected(known.error());
  }
  return loaded;
}

}  // namespace

// A received snapshot on its way into the dataset.
struct SnapshotService::Install {
  uint64_t from = 0;
  raft::SnapshotMeta meta;
  std::unique_ptr<SnapshotSink> sink;
  std::unique_ptr<storage::SnapshotLoader> loader;
  std::function<void(SnapshotResult)> respond;
};

SnapshotService::SnapshotService(uv_loop_t* loop, uint64_t hash_seed)
    : loop_(loop), hash_seed_(hash_seed) {
  async_.data = progress_timer_.data = this;
  uv_async_init(loop_, &async_, [](uv_async_t* async) {
    static_cast<SnapshotService*>(async->data)->progressed();
  });
  uv_timer_init(loop_, &progress_timer_);
}

SnapshotService::~SnapshotService() = default;

// --- the start ---------------------------------------------------------------------------------

std::expected<void, std::string> SnapshotService::open(const std::string& data_dir,
                                                       storage::LogStore& log,
                                                       raft::Restored& restored) {
  auto directory = storage::SnapshotDirectory::open(data_dir + "/snapshots");
  if (!directory) return std::unexpected(directory.error());
  directory_ = std::move(*directory);
  auto start = find_start_point(log, *directory_, restored);
  if (!start) return std::unexpected(start.error());
  if (!start->notice.empty()) LOG(ERROR) << start->notice;
  start_ = start->snapshot;
  return {};
}

void SnapshotService::start(Replica& replica, PeerTransport& peers,
                            std::function<void(const std::string& why)> lost) {
  replica_ = &replica;
  peers_ = &peers;
  lost_ = std::move(lost);
  if (start_.index == 0) return;
  auto file = directory_->open(start_);
  if (!file) return lost_(file.error());
  LOG(INFO) << "loading " << path_of(start_) << ", " << (*file)->size() << " bytes";
  load_began_us_ = uv_hrtime() / 1000;
  // Of whichever cluster, here as from a peer: identities were compared before, and the files of a
  // cluster that was renamed (--force_new_cluster) keep its old id.
  loader_ = std::make_unique<storage::SnapshotLoader>(std::move(*file), start_, "", hash_seed_,
                                                      [this] { wake(); });
  uv_timer_start(
      &progress_timer_,
      [](uv_timer_t* timer) {
        const auto facts = static_cast<SnapshotService*>(timer->data)->load_facts();
        if (!facts || facts->bytes_total == 0) return;
        LOG(INFO) << "loaded " << 100 * facts->bytes / facts->bytes_total << " % of the snapshot, "
                  << facts->keys << " keys";
      },
      kTellProgressMs, kTellProgressMs);
}

std::optional<LoadFacts> SnapshotService::load_facts() const {
  if (loader_ == nullptr) return std::nullopt;
  const storage::LoadProgress& progress = loader_->progress();
  return LoadFacts{.bytes = progress.bytes,
                   .bytes_total = progress.bytes_total,
                   .keys = progress.keys,
                   .keys_total = progress.keys_total,
                   .elapsed_us = uv_hrtime() / 1000 - load_began_us_};
}

void SnapshotService::progressed() {
  if (stopped_) return;
  if (loader_ != nullptr && loader_->done()) finish_load();
  if (install_ != nullptr && install_->loader != nullptr && install_->loader->done()) {
    finish_install();
  }
}

void SnapshotService::finish_load() {
  uv_timer_stop(&progress_timer_);
  auto loaded = check(loader_->take());
  loader_.reset();
  if (!loaded) {
    const std::string path = path_of(start_);
    std::error_code error;
    std::filesystem::rename(path, path + kDamagedSuffix, error);
    if (auto synced = storage::sync_directory(directory_->path()); !synced) {
      LOG(ERROR) << synced.error();
    }
    return lost_(fmt::format("the snapshot {} can't be used: {}; it is kept as {}{}", path,
                             loaded.error(), path, kDamagedSuffix));
  }
  LOG(INFO) << "loaded " << loaded->keyspace.size() << " keys in "
            << (uv_hrtime() / 1000 - load_began_us_) / 1000 << " ms";
  replica_->loaded(std::move(*loaded));
}

// --- to other nodes ----------------------------------------------------------------------------

void SnapshotService::send(raft::NodeId to, const raft::SnapshotMeta& meta) {
  std::string bytes;
  raft::encode_snapshot_meta(meta, bytes);
  FileSnapshotSource::open(
      loop_, path_of(id_of(meta)), std::move(bytes),
      [this, to,
       index = meta.index](std::expected<std::shared_ptr<SnapshotSource>, std::string> source) {
        if (stopped_) return;
        if (!source) {
          LOG(ERROR) << "the snapshot at index " << index << " can't be sent to node " << to << ": "
                     << source.error();
          return replica_->snapshot_sent(to, 0);
        }
        LOG(INFO) << "sending node " << to << " the snapshot at index " << index << ", "
                  << (*source)->offer().size << " bytes";
        peers_->send_snapshot(to, std::move(*source), [this, to, index](SnapshotResult result) {
          if (stopped_) return;
          if (result) {
            LOG(INFO) << "node " << to << " has installed the snapshot at index " << *result;
          } else {
            LOG(WARNING) << "the snapshot at index " << index << " did not reach node " << to
                         << ": " << result.error();
          }
          replica_->snapshot_sent(to, result.value_or(0));
        });
      });
}

// --- from other nodes --------------------------------------------------------------------------

std::expected<std::unique_ptr<SnapshotSink>, std::string> SnapshotService::offered(
    uint64_t from, const SnapshotOffer& offer) {
  if (replica_ == nullptr || stopped_) return std::unexpected(std::string("not ready yet"));
  const auto meta = raft::decode_snapshot_meta(offer.meta);
  if (!meta) return std::unexpected("its description is damaged: " + meta.error());
  if (!replica_->wants_snapshot(*meta)) {
    return std::unexpected(fmt::format("this node has index {} already", meta->index));
  }
  LOG(INFO) << "receiving a snapshot at index " << meta->index << " from node " << from << ", "
            << offer.size << " bytes";
  return std::make_unique<FileSnapshotSink>(
      loop_, directory_->path() + "/" + partial_snapshot_name(offer), offer);
}

void SnapshotService::received(uint64_t from, const SnapshotOffer& offer,
                               std::unique_ptr<SnapshotSink> sink,
                               std::function<void(SnapshotResult)> respond) {
  const auto meta = raft::decode_snapshot_meta(offer.meta);
  if (!meta || install_ != nullptr || stopped_) {
    return respond(std::unexpected(std::string("another snapshot is being installed")));
  }
  install_ = std::make_unique<Install>(Install{.from = from,
                                               .meta = *meta,
                                               .sink = std::move(sink),
                                               .loader = nullptr,
                                               .respond = std::move(respond)});
  const std::string partial = directory_->path() + "/" + partial_snapshot_name(offer);
  auto named = std::make_shared<std::expected<void, std::string>>();
  on_pool(
      loop_,
      [named, partial, path = path_of(id_of(*meta)), folder = directory_->path()] {
        std::error_code error;
        std::filesystem::rename(partial, path, error);
        *named = error ? std::unexpected(path + " can't be named: " + error.message())
                       : storage::sync_directory(folder);
      },
      [this, named] {
        if (stopped_) return;
        if (!*named) return fail_install(named->error());
        auto file = directory_->open(id_of(install_->meta));
        if (!file) return fail_install(file.error());
        install_->loader = std::make_unique<storage::SnapshotLoader>(
            std::move(*file), id_of(install_->meta), "", hash_seed_, [this] { wake(); });
      });
}

void SnapshotService::fail_install(const std::string& why) {
  const std::unique_ptr<Install> install = std::move(install_);
  LOG(ERROR) << "the snapshot at index " << install->meta.index << " of node " << install->from
             << " can't be installed: " << why;
  // A file that could not be named is none; under its name there may be one of our own.
  if (install->loader != nullptr) {
    if (auto removed = directory_->remove(id_of(install->meta)); !removed) {
      LOG(ERROR) << removed.error();
    }
  }
  install->respond(std::unexpected(why));
}

void SnapshotService::finish_install() {
  auto loaded = check(install_->loader->take());
  if (!loaded) return fail_install(loaded.error());
  if (loaded->facts.meta != install_->meta) {
    return fail_install("its file says something else of it than the offer");
  }
  const std::unique_ptr<Install> install = std::move(install_);
  const size_t keys = loaded->keyspace.size();
  if (replica_->install(std::move(*loaded))) {
    LOG(INFO) << "installed the snapshot at index " << install->meta.index << " of node "
              << install->from << ", " << keys << " keys";
  }
  // Otherwise its file is left to the replica's keeper: it may be one that this node has taken
  // itself meanwhile, at the same index.
  // Who needed it no more has its index all the same.
  install->respond(install->meta.index);
}

void SnapshotService::stop() {
  stopped_ = true;
  // Their threads wake the loop through the handle: they end first.
  loader_.reset();
  install_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&progress_timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
}

}  // namespace raftkv::server
