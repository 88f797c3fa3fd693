#include "server/peer/snapshot_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "server/peer/descriptor.h"
#include "server/peer/on_pool.h"

namespace raftkv::server {
namespace {

constexpr size_t kHashBytes = size_t{1} << 20;
// Written bytes are pushed to the disk in pieces of this size: were the page cache to collect a
// whole snapshot, the one large sync at its end would make the log's syncs wait.
constexpr uint64_t kSyncBytes = uint64_t{8} << 20;
constexpr std::string_view kPartialPrefix = "incoming-";

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

// Exactly `bytes`; the error is the system's, 0 for the end of the file.
std::expected<void, int> read_at(int fd, char* out, size_t bytes, uint64_t offset) {
  while (bytes != 0) {
    const ssize_t got = ::pread(fd, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::unexpected(got == 0 ? 0 : errno);
    out += got;
    bytes -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

std::expected<void, int> write_at(int fd, std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return std::unexpected(put == 0 ? ENOSPC : errno);
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return {};
}

std::string read_error(const std::string& path, int error) {
  return fmt::format("{}: {}", path,
                     error == 0 ? "the file is shorter than it was" : reason(error));
}

// A running XXH3-64.
class Digest {
 public:
  Digest() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void add(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

std::expected<void, int> digest_file(int fd, uint64_t size, Digest& digest) {
  std::string buffer(static_cast<size_t>(std::min<uint64_t>(size, kHashBytes)), '\0');
  for (uint64_t offset = 0; offset < size;) {
    const auto bytes = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - offset));
    if (const auto read = read_at(fd, buffer.data(), bytes, offset); !read) return read;
    digest.add({buffer.data(), bytes});
    offset += bytes;
  }
  return {};
}

// What came of other snapshots: they were overtaken, and nobody will ask for them again. If one
// stays, it costs room and no more.
void remove_other_partials(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path own = fs::absolute(path);
  if (!own.filename().string().starts_with(kPartialPrefix)) return;
  std::error_code error;
  for (fs::directory_iterator it(own.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.starts_with(kPartialPrefix) && name != own.filename()) ::unlink(it->path().c_str());
  }
}

std::expected<uint64_t, std::string> size_of(int fd, const std::string& path) {
  struct stat facts = {};
  if (::fstat(fd, &facts) != 0) return fault(fmt::format("{}: {}", path, reason(errno)));
  return static_cast<uint64_t>(facts.st_size);
}

}  // namespace

// --- the source -------------------------------------------------------------------------------

struct FileSnapshotSource::File {
  Descriptor fd;
  std::string path;
};

FileSnapshotSource::FileSnapshotSource(uv_loop_t* loop, std::shared_ptr<const File> file,
                                       SnapshotOffer offer)
    : loop_(loop), file_(std::move(file)), offer_(std::move(offer)) {}

void FileSnapshotSource::open(uv_loop_t* loop, const std::string& path, std::string meta,
                              Opened done) {
  struct Opening {
    std::shared_ptr<File> file = std::make_shared<File>();
    std::expected<SnapshotOffer, std::string> offer;
  };
  auto opening = std::make_shared<Opening>();
  opening->file->path = path;
  opening->offer->meta = std::move(meta);
  const auto look = [](File& file, SnapshotOffer& offer) -> std::expected<void, std::string> {
    file.fd = Descriptor(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.fd.valid()) return fault(fmt::format("{}: {}", file.path, reason(errno)));
    const auto size = size_of(file.fd.get(), file.path);
    if (!size) return fault(size.error());
    if (*size == 0) return fault(file.path + ": the file is empty");
    Digest digest;
    const auto read = digest_file(file.fd.get(), *size, digest);
    if (!read) return fault(read_error(file.path, read.error()));
    offer.size = *size;
    offer.checksum = digest.value();
    return {};
  };
  on_pool(
      loop,
      [opening, look] {
        if (auto looked = look(*opening->file, *opening->offer); !looked) {
          opening->offer = fault(looked.error());
        }
      },
      [loop, opening, done = std::move(done)] {
        if (!opening->offer) return done(fault(opening->offer.error()));
        done(std::make_shared<FileSnapshotSource>(loop, opening->file, *opening->offer));
      });
}

void FileSnapshotSource::read(uint64_t offset, size_t bytes, Read done) {
  auto chunk = std::make_shared<std::expected<std::string, std::string>>();
  on_pool(
      loop_,
      [file = file_, chunk, offset, bytes] {
        (*chunk)->resize(bytes);
        const auto read = read_at(file->fd.get(), (*chunk)->data(), bytes, offset);
        if (!read) *chunk = fault(read_error(file->path, read.error()));
      },
      [chunk, done = std::move(done)] { done(std::move(*chunk)); });
}

// --- the sink ---------------------------------------------------------------------------------

std::string partial_snapshot_name(const SnapshotOffer& offer) {
  return fmt::format("{}{:016x}-{:016x}-{:x}", kPartialPrefix, offer.checksum,
                     XXH3_64bits(offer.meta.data(), offer.meta.size()), offer.size);
}

// Used by one operation at a time, on the pool or, between two of them, in the loop.
struct FileSnapshotSink::State {
  std::string path;
  uint64_t size = 0;  // of the whole
  uint64_t checksum = 0;
  Descriptor fd;
  Digest digest;
  uint64_t length = 0;  // written
  uint64_t synced = 0;
  std::string error;  // of the last operation, empty if it went well

  // Loop only.
  bool busy = false;
  bool ended = false;           // abort() or the destructor: no `done` but abort()'s
  std::function<void()> abort;  // begins when the operation on its way is over

  void fail(int number) { error = fmt::format("{}: {}", path, reason(number)); }
  void open();
  void append(std::string_view bytes);
  void finish();
};

void FileSnapshotSink::State::open() {
  remove_other_partials(path);
  fd = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail(errno);
  const auto there = size_of(fd.get(), path);
  if (!there) {
    error = there.error();
    return;
  }
  length = *there;
  if (length > size) {
    if (::ftruncate(fd.get(), 0) != 0) return fail(errno);
    length = 0;
  }
  if (const auto read = digest_file(fd.get(), length, digest); !read) {
    error = read_error(path, read.error());
    return;
  }
  if (::fsync(fd.get()) != 0) return fail(errno);
  synced = length;
}

void FileSnapshotSink::State::append(std::string_view bytes) {
  if (const auto put = write_at(fd.get(), bytes, length); !put) return fail(put.error());
  digest.add(bytes);
  length += bytes.size();
  if (length - synced < kSyncBytes) return;
  if (::fdatasync(fd.get()) != 0) return fail(errno);
  synced = length;
}

void FileSnapshotSink::State::finish() {
  if (length != size || digest.value() != checksum) {
    fd.close();
    ::unlink(path.c_str());
    error = fmt::format(
        "the {} bytes that came have another checksum than was offered: they were damaged on a "
        "disk or on the way, and are thrown away",
        length);
    return;
  }
  if (::fsync(fd.get()) != 0) return fail(errno);
  fd.close();
  const std::string directory = std::filesystem::absolute(path).parent_path();
  const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid() || ::fsync(parent.get()) != 0) fail(errno);
}

FileSnapshotSink::FileSnapshotSink(uv_loop_t* loop, std::string path, const SnapshotOffer& offer)
    : loop_(loop), state_(std::make_shared<State>()) {
  state_->path = std::move(path);
  state_->size = offer.size;
  state_->checksum = offer.checksum;
}

FileSnapshotSink::~FileSnapshotSink() {
  state_->ended = true;
}

const std::string& FileSnapshotSink::path() const {
  return state_->path;
}

void FileSnapshotSink::run(std::function<void(State&)> work, std::function<void()> after) {
  CHECK(!state_->busy && !state_->ended) << "one operation at a time, and none after abort()";
  state_->busy = true;
  on_pool(
      loop_, [state = state_, work = std::move(work)] { work(*state); },
      [state = state_, after = std::move(after)] {
        state->busy = false;
        if (state->abort) return std::exchange(state->abort, nullptr)();
        if (!state->ended) after();
      });
}

void FileSnapshotSink::open(Opened done) {
  run([](State& state) { state.open(); },
      [state = state_, done = std::move(done)] {
        if (!state->error.empty()) return done(fault(state->error));
        done(state->length);
      });
}

void FileSnapshotSink::append(std::string_view bytes, Done done) {
  // A copy, so that the write may outlive whoever asked for it.
  run([bytes = std::string(bytes)](State& state) { state.append(bytes); },
      [state = state_, done = std::move(done)] {
        if (!state->error.empty()) return done(fault(state->error));
        done({});
      });
}

void FileSnapshotSink::finish(Done done) {
  run([](State& state) { state.finish(); },
      [state = state_, done = std::move(done)] {
        if (!state->error.empty()) return done(fault(state->error));
        done({});
      });
}

void FileSnapshotSink::abort(bool keep, std::function<void()> done) {
  CHECK(!state_->ended) << "a sink was aborted twice";
  state_->ended = true;
  auto begin = [loop = loop_, state = state_, keep, done = std::move(done)] {
    on_pool(
        loop,
        [state, keep] {
          state->fd.close();
          if (!keep) ::unlink(state->path.c_str());
        },
        done);
  };
  if (state_->busy) {
    state_->abort = std::move(begin);
  } else {
    begin();
  }
}

}  // namespace raftkv::server
