// Where snapshot files are kept: a directory, or memory for tests and the simulator. Knows them as
// bytes under an id; what stands in them is the business of snapshot_cut_job.h and
// snapshot_loader.h.
//
// A file is there as a whole or not at all: written aside, made durable, and only then visible.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"
#include "storage/snapshot/rdb_encoder.h"
#include "storage/snapshot/rdb_source.h"

namespace raftkv::storage {

// A later snapshot of one log has a higher term or, in the same term, a higher index. Compared in
// this order: a file of another history with a higher index must not hide a newer one.
struct SnapshotId {
  raft::Term term = 0;
  raft::Index index = 0;

  friend auto operator<=>(const SnapshotId&, const SnapshotId&) = default;
};

struct SnapshotInfo {
  SnapshotId id;
  uint64_t bytes = 0;

  friend bool operator==(const SnapshotInfo&, const SnapshotInfo&) = default;
};

// A whole file, to be read by any thread, by several at once. It can be read to the end even if it
// is removed meanwhile.
class SnapshotFile {
 public:
  virtual ~SnapshotFile() = default;
  virtual uint64_t size() const = 0;
  // Reads up to `size` bytes from `offset` on; fewer only at the end.
  [[nodiscard]] virtual std::expected<size_t, std::string> read_at(uint64_t offset, char* to,
                                                                   size_t size) const = 0;
};

struct SnapshotWriterOptions {
  // Bytes that wait to be written, above which has_room() says no. Few: what is made faster than
  // it can be written is made at the cost of those who wait for an answer.
  size_t queue_bytes = size_t{512} << 10;
  // Long strings are compressed (on the writer's thread).
  bool compress = true;
  // The file gets its checksum at the end. Not if the bytes are those of a whole file already.
  bool append_checksum = true;
  // Bytes go to the disk in steps of so many, so that no large write stands in front of the log's
  // syncs.
  size_t step_bytes = size_t{256} << 10;
  // Of the submitted bytes, before they are compressed. 0: as fast as the disk takes them.
  uint64_t bytes_per_second_max = 0;
  // Called on the writer's thread when there is room again and when state() has changed, to wake
  // the owner.
  std::function<void()> on_progress = nullptr;
};

// One file on its way. Belongs to one thread, its owner; whatever takes time happens elsewhere.
// A failure is not the end of the process: an unfinished file is worth nothing, and is removed.
class SnapshotWriter {
 public:
  enum class State : uint8_t {
    kWriting,
    kDone,       // durable, and the store lists it
    kFailed,     // error() says why (disk full ...)
    kAbandoned,  // as asked for
  };

  // Call it only when the state is no longer kWriting, or else it waits for the disk.
  virtual ~SnapshotWriter() = default;

  // May more be submitted? The owner should not produce more while not; what it can't hold back
  // (old values of keys that are being overwritten) is taken all the same.
  bool has_room() const { return backlog_bytes() < queue_bytes(); }
  virtual size_t backlog_bytes() const = 0;  // submitted and not yet written
  virtual size_t queue_bytes() const = 0;
  virtual void submit(RdbBlock block) = 0;
  virtual void finish() = 0;   // all has been submitted
  virtual void abandon() = 0;  // soon kAbandoned; or the end that was reached before

  virtual State state() const = 0;
  virtual std::string error() const = 0;
  virtual uint64_t bytes_written() const = 0;
};

class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;

  // A file of the same id is replaced when the new one is done. Failing to open the file shows as
  // kFailed.
  virtual std::unique_ptr<SnapshotWriter> write(SnapshotId id, SnapshotWriterOptions options) = 0;
  [[nodiscard]] virtual std::expected<std::shared_ptr<const SnapshotFile>, std::string> open(
      SnapshotId id) const = 0;
  // What is there, the newest first.
  [[nodiscard]] virtual std::expected<std::vector<SnapshotInfo>, std::string> list() const = 0;
  // It is no longer listed; fine if it was not there. After a crash it may be there again.
  [[nodiscard]] virtual std::expected<void, std::string> remove(SnapshotId id) = 0;
};

// "snapshot-<index>-<term>.rdb"
std::string snapshot_name(SnapshotId id);
// The id in such a name; false if it is none.
bool parse_snapshot_name(std::string_view name, SnapshotId& id);

// A file from its beginning to its end.
class SnapshotFileSource : public ByteSource {
 public:
  explicit SnapshotFileSource(const SnapshotFile& file) : file_(file) {}
  std::expected<size_t, std::string> read(char* to, size_t size) override;
  std::optional<uint64_t> remaining() const override { return file_.size() - offset_; }

 private:
  const SnapshotFile& file_;
  uint64_t offset_ = 0;
};

}  // namespace raftkv::storage
