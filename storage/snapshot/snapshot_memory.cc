#include "storage/snapshot/snapshot_memory.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "storage/snapshot/crc64.h"
#include "storage/snapshot/rdb_packer.h"

namespace raftkv::storage {

using Bytes = std::shared_ptr<const std::string>;
class SnapshotMemoryWriter;

// Outlives a crash; writers of before it are cut off from it.
struct SnapshotMemory::Disk {
  explicit Disk(Finish how) : finish(how) {}

  const Finish finish;
  std::map<SnapshotId, Bytes> files;
  std::vector<SnapshotMemoryWriter*> writers;
  std::string next_error;
};

class SnapshotMemoryWriter final : public SnapshotWriter {
 public:
  SnapshotMemoryWriter(std::shared_ptr<SnapshotMemory::Disk> disk, SnapshotId id,
                       SnapshotWriterOptions options)
      : disk_(std::move(disk)), id_(id), options_(std::move(options)) {
    disk_->writers.push_back(this);
  }
  ~SnapshotMemoryWriter() override {
    if (disk_ != nullptr) std::erase(disk_->writers, this);
  }
  SnapshotMemoryWriter(const SnapshotMemoryWriter&) = delete;
  SnapshotMemoryWriter& operator=(const SnapshotMemoryWriter&) = delete;

  size_t backlog_bytes() const override { return backlog_; }
  size_t queue_bytes() const override { return options_.queue_bytes; }
  State state() const override { return state_; }
  std::string error() const override { return error_; }
  uint64_t bytes_written() const override { return bytes_.size(); }

  void submit(RdbBlock block) override {
    if (state_ != State::kWriting || fail_if_told()) return;
    packer_.pack(block, bytes_);
    if (waits()) backlog_ += block.bytes.size();
  }
  void finish() override {
    finishing_ = true;
    if (!waits()) disk_has_come_so_far();
  }
  void abandon() override {
    if (state_ == State::kWriting) end(State::kAbandoned);
  }

  void disk_has_come_so_far() {
    if (state_ != State::kWriting) return;
    const bool was_full = !has_room();
    backlog_ = 0;
    if (finishing_ && !fail_if_told()) {
      if (options_.append_checksum) append_checksum();
      disk_->files[id_] = std::make_shared<const std::string>(bytes_);
      end(State::kDone);
    } else if (was_full) {
      wake_owner();
    }
  }
  void cut_off() {
    disk_ = nullptr;
    abandon();
  }

 private:
  bool waits() const {
    return disk_ != nullptr && disk_->finish == SnapshotMemory::Finish::kWhenTold;
  }
  void append_checksum() {
    const uint64_t checksum = crc64(0, bytes_);
    bytes_.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
  }
  bool fail_if_told() {
    if (disk_->next_error.empty()) return false;
    error_ = std::exchange(disk_->next_error, {});
    end(State::kFailed);
    return true;
  }
  void end(State state) {
    state_ = state;
    backlog_ = 0;
    wake_owner();
  }
  void wake_owner() {
    if (options_.on_progress) options_.on_progress();
  }

  std::shared_ptr<SnapshotMemory::Disk> disk_;
  const SnapshotId id_;
  const SnapshotWriterOptions options_;
  RdbPacker packer_{options_.compress};
  std::string bytes_;
  size_t backlog_ = 0;
  bool finishing_ = false;
  State state_ = State::kWriting;
  std::string error_;
};

namespace {

class MemoryFile : public SnapshotFile {
 public:
  explicit MemoryFile(Bytes bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_->size(); }
  std::expected<size_t, std::string> read_at(uint64_t offset, char* to,
                                             size_t size) const override {
    if (offset >= bytes_->size()) return 0;
    return bytes_->copy(to, size, offset);
  }

 private:
  Bytes bytes_;
};

}  // namespace

SnapshotMemory::SnapshotMemory(Finish finish) : disk_(std::make_shared<Disk>(finish)) {}
SnapshotMemory::~SnapshotMemory() {
  crash();
}

std::unique_ptr<SnapshotWriter> SnapshotMemory::write(SnapshotId id,
                                                      SnapshotWriterOptions options) {
  return std::make_unique<SnapshotMemoryWriter>(disk_, id, std::move(options));
}

std::expected<std::shared_ptr<const SnapshotFile>, std::string> SnapshotMemory::open(
    SnapshotId id) const {
  const auto found = disk_->files.find(id);
  if (found == disk_->files.end()) {
    return std::unexpected(fmt::format("cannot open {}: there is no such file", snapshot_name(id)));
  }
  return std::make_shared<const MemoryFile>(found->second);
}

std::expected<std::vector<SnapshotInfo>, std::string> SnapshotMemory::list() const {
  std::vector<SnapshotInfo> found;
  for (auto it = disk_->files.rbegin(); it != disk_->files.rend(); ++it) {
    found.push_back({it->first, it->second->size()});
  }
  return found;
}

std::expected<void, std::string> SnapshotMemory::remove(SnapshotId id) {
  disk_->files.erase(id);
  return {};
}

void SnapshotMemory::finish_writers() {
  // A writer that is done may be destroyed by its owner from within.
  const std::vector<SnapshotMemoryWriter*> writers = disk_->writers;
  for (SnapshotMemoryWriter* writer : writers) {
    if (std::erase(disk_->writers, writer) == 0) continue;
    disk_->writers.push_back(writer);
    writer->disk_has_come_so_far();
  }
}

void SnapshotMemory::crash() {
  for (SnapshotMemoryWriter* writer : std::exchange(disk_->writers, {})) writer->cut_off();
}

void SnapshotMemory::fail_next_write(std::string error) {
  disk_->next_error = std::move(error);
}

bool SnapshotMemory::damage(SnapshotId id, uint64_t offset, unsigned bit) {
  const auto found = disk_->files.find(id);
  if (found == disk_->files.end() || offset >= found->second->size()) return false;
  std::string bytes = *found->second;
  bytes[offset] = static_cast<char>(bytes[offset] ^ (1 << (bit & 7)));
  found->second = std::make_shared<const std::string>(std::move(bytes));
  return true;
}

}  // namespace raftkv::storage
