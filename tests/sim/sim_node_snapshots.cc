// The snapshots of a simulated process: what server/snapshot_service.cc does in a real one.
#include <stdexcept>
#include <utility>

#include "server/replica/start_point.h"
#include "storage/snapshot/crc64.h"
#include "storage/snapshot/snapshot_loader.h"
#include "tests/sim/sim_node.h"

namespace raftkv::sim {

namespace {

storage::SnapshotId id_of(const raft::SnapshotMeta& meta) {
  return {.term = meta.term, .index = meta.index};
}

std::expected<storage::LoadedSnapshot, std::string> load_file(const storage::SnapshotMemory& store,
                                                              storage::SnapshotId id,
                                                              const std::string& cluster_id,
                                                              uint64_t hash_seed) {
  auto file = store.open(id);
  if (!file) return std::unexpected(file.error());
  auto loaded = storage::load_snapshot(**file, id, cluster_id, hash_seed);
  if (!loaded) return loaded;
  if (auto known = server::StateMachine::check_parts(loaded->facts); !known) {
    return std::unexpected(known.error());
  }
  return loaded;
}

}  // namespace

NodeCounts SimNode::counts() const {
  NodeCounts counts = counts_;
  if (replica_ == nullptr) return counts;
  counts.snapshots += replica_->snapshot_status().saves;
  counts.installs += replica_->snapshot_status().installs;
  counts.digest_checks += replica_->digest_status().checks;
  return counts;
}

// --- the start ---------------------------------------------------------------------------------

void SimNode::load(storage::SnapshotId id) {
  // A file that was opened can be read to its end.
  auto loaded = std::make_shared<std::expected<storage::LoadedSnapshot, std::string>>(
      load_file(snapshots_, id, cluster_id_, profile_.hash_seed));
  world_.after(snapshot_delay(), [this, id, loaded, life = life_] {
    if (life != life_) return;
    enqueue([this, id, loaded] {
      if (*loaded) return replica_->loaded(std::move(**loaded));
      if (!damaged_ && counts_.repairs == 0)
        throw std::runtime_error("a snapshot is damaged: " + loaded->error());
      ++counts_.damaged_files;
      (void)snapshots_.remove(id);
      // Not from within its own turn.
      world_.after(0, [this, life = life_] {
        if (life != life_ || !up()) return;
        crash();
        start();
      });
    });
  });
}

// A node is sound again when it has reached the index that its damaged log ended at.
void SimNode::notice_repair() {
  if (!damaged_ || replica_->awaits_dataset() || replica_->raft_status().repairing) return;
  damaged_ = false;
  ++counts_.repairs;
  trace_.say("node {} has again all that it held", id_);
}

void SimNode::tell_snapshots() {
  if (!trace_.on()) return;
  const server::SnapshotStatus& status = replica_->snapshot_status();
  if (status.saves != std::exchange(told_.snapshots, status.saves)) {
    trace_.say("node {} has taken a snapshot at {}", id_, status.index);
  }
  if (status.installs != std::exchange(told_.installs, status.installs)) {
    trace_.say("node {} has installed a snapshot at {}", id_, status.index);
  }
}

// --- digests -----------------------------------------------------------------------------------

void SimNode::dataset_differs(const server::DigestDifference& difference) {
  if (!differences_expected_) {
    throw std::runtime_error("the dataset of node " + std::to_string(id_) +
                             " differs from the majority's at index " +
                             std::to_string(difference.index));
  }
  differences.push_back(difference);
}

void SimNode::digests_undecided(raft::Index index) {
  if (!differences_expected_) {
    throw std::runtime_error("no majority has the same dataset at index " + std::to_string(index));
  }
  undecided.push_back(index);
}

void SimNode::start_without_data() {
  discard_ = true;
  // Not from within its own turn.
  world_.after(0, [this, life = life_] {
    if (life != life_ || !up()) return;
    crash();
    start();
  });
}

bool SimNode::damage_disk() {
  Random& random = world_.random();
  const auto files = snapshots_.list();
  if (files && !files->empty() && random.chance(0.5)) {
    const storage::SnapshotInfo& newest = files->front();
    damaged_ = snapshots_.damage(newest.id, random.below(newest.bytes),
                                 static_cast<unsigned>(random.below(8))) ||
               damaged_;
    return damaged_;
  }
  const storage::LogStoreStats log = disk_.stats();
  if (log.first_index == 0) return false;
  disk_.damage(random.between(log.first_index, log.last_index));
  damaged_ = true;
  return true;
}

// --- to the disk -------------------------------------------------------------------------------

void SimNode::write_snapshots() {
  if (std::exchange(writing_snapshots_, true)) return;
  world_.after(snapshot_delay(), [this, life = life_] {
    if (life != life_ || !up()) return;
    writing_snapshots_ = false;
    if (disk_.disk_full()) snapshots_.fail_next_write("no space left on device");
    snapshots_.finish_writers();
    if (install_ != nullptr || replica_->snapshot_status().in_progress) write_snapshots();
  });
}

// --- to and from other nodes -------------------------------------------------------------------

void SimNode::send_snapshot(raft::NodeId to, const raft::SnapshotMeta& meta) {
  const auto done = [this, to, life = life_](raft::Index index) {
    if (life != life_) return;
    enqueue([this, to, index] { replica_->snapshot_sent(to, index); });
  };
  world_.after(world_.random().below(2000), [this, to, meta, done, life = life_] {
    if (life != life_ || !up()) return;
    const auto file = snapshots_.open(id_of(meta));
    if (!file) return done(0);
    std::string bytes((*file)->size(), '\0');
    if (!(*file)->read_at(0, bytes.data(), bytes.size())) return done(0);
    trace_.say("node {} sends node {} its snapshot at {}, {} bytes", id_, to, meta.index,
               bytes.size());
    const uint64_t checksum = storage::crc64(0, bytes);
    send_snapshot_({.from = id_,
                    .to = to,
                    .meta = meta,
                    .bytes = std::move(bytes),
                    .checksum = checksum,
                    .done = done});
  });
}

void SimNode::receive_snapshot(const SnapshotTransfer& transfer,
                               std::function<void(raft::Index)> respond) {
  // Each piece on its way has a checksum, so what was flipped there never becomes a file.
  if (storage::crc64(0, transfer.bytes) != transfer.checksum) {
    trace_.say("node {} got a snapshot of node {} that was damaged on its way", id_, transfer.from);
    return respond(0);
  }
  enqueue(
      [this, meta = transfer.meta, bytes = transfer.bytes, respond = std::move(respond)]() mutable {
        if (install_ != nullptr || !replica_->wants_snapshot(meta)) return respond(0);
        install_ = std::make_unique<Install>();
        install_->meta = meta;
        install_->respond = std::move(respond);
        storage::SnapshotWriterOptions options{.compress = false, .append_checksum = false};
        options.on_progress = [this, life = life_] {
          if (life == life_ && up()) enqueue([this] { install(); });
        };
        install_->writer = snapshots_.write(id_of(meta), std::move(options));
        storage::RdbBlock block;
        block.bytes = std::move(bytes);
        install_->writer->submit(std::move(block));
        install_->writer->finish();
        write_snapshots();
      });
}

void SimNode::fail_install() {
  const std::unique_ptr<Install> install = std::move(install_);
  install->respond(0);
}

// The file is there, or will never be.
void SimNode::install() {
  using State = storage::SnapshotWriter::State;
  if (install_ == nullptr || install_->writer == nullptr) return;
  const State state = install_->writer->state();
  if (state == State::kWriting) return;
  install_->writer.reset();
  if (state != State::kDone) return fail_install();
  auto loaded = std::make_shared<std::expected<storage::LoadedSnapshot, std::string>>(
      load_file(snapshots_, id_of(install_->meta), cluster_id_, profile_.hash_seed));
  world_.after(snapshot_delay(), [this, loaded, life = life_] {
    if (life != life_) return;
    enqueue([this, loaded] {
      if (!*loaded || (*loaded)->facts.meta != install_->meta) {
        (void)snapshots_.remove(id_of(install_->meta));
        return fail_install();
      }
      const std::unique_ptr<Install> install = std::move(install_);
      replica_->install(std::move(**loaded));
      install->respond(install->meta.index);
    });
  });
}

}  // namespace raftkv::sim
