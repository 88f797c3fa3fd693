// Snapshots in files, read and written on libuv's thread pool.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "server/peer/snapshot_io.h"

namespace raftkv::server {

// A file that is sent.
class FileSnapshotSource final : public SnapshotSource {
 public:
  struct File;
  using Opened = std::function<void(std::expected<std::shared_ptr<SnapshotSource>, std::string>)>;

  // Opens the file and reads it once, for its checksum. `done` is called once, later, from the
  // loop. The open file stays readable when its name is deleted or replaced, and must not be
  // changed.
  static void open(uv_loop_t* loop, const std::string& path, std::string meta, Opened done);

  FileSnapshotSource(uv_loop_t* loop, std::shared_ptr<const File> file, SnapshotOffer offer);
  const SnapshotOffer& offer() const override { return offer_; }
  void read(uint64_t offset, size_t bytes, Read done) override;

 private:
  uv_loop_t* loop_;
  std::shared_ptr<const File> file_;
  const SnapshotOffer offer_;
};

// The name under which what came of a snapshot is kept until it is whole: another snapshot never
// finds it. A sink with such a name deletes what lies beside it of other ones.
std::string partial_snapshot_name(const SnapshotOffer& offer);

// A file that is received. What is there when it is opened is taken for the beginning of the same
// snapshot (see partial_snapshot_name()); if it is not, or was damaged, the checksum says so at the
// end.
class FileSnapshotSink final : public SnapshotSink {
 public:
  FileSnapshotSink(uv_loop_t* loop, std::string path, const SnapshotOffer& offer);
  ~FileSnapshotSink() override;

  void open(Opened done) override;
  void append(std::string_view bytes, Done done) override;
  // Afterwards the file is closed, whole and synced, and its name is synced in its directory. A
  // file that is not what was offered is deleted.
  void finish(Done done) override;
  // Without `keep` the file is deleted.
  void abort(bool keep, std::function<void()> done) override;

  const std::string& path() const;

 private:
  struct State;
  void run(std::function<void(State&)> work, std::function<void()> after);

  uv_loop_t* loop_;
  std::shared_ptr<State> state_;
};

}  // namespace raftkv::server
