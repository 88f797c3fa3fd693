// RDB files as this code writes and reads them, for tests and measurements beside a stock Redis.
//
//   rdb_tool varied DIR               a snapshot of keys and values of every form, in DIR
//   rdb_tool many DIR KEYS BYTES      a snapshot of so many keys with values of so many bytes
//   rdb_tool read FILE                the file's keys: "<key in hex> <value in hex> <deadline>"
//   rdb_tool load DIR                 loads the snapshot there, and tells how long it took
//
// The snapshots are of index 7 and term 3.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "storage/snapshot/rdb_reader.h"
#include "storage/snapshot/snapshot_cut_job.h"
#include "storage/snapshot/snapshot_directory.h"
#include "storage/snapshot/snapshot_loader.h"

namespace {

using namespace raftkv::storage;  // NOLINT(google-build-using-namespace): a program of one file
using raftkv::data::Keyspace;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  fmt::print(stderr, "rdb_tool: {}\n", why);
  std::exit(1);
}

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

std::string noise(std::mt19937_64& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

void fill_varied(Keyspace& keyspace) {
  constexpr int64_t kFuture = 4'102'444'800'000;  // the year 2100
  for (const char* number :
       {"0", "1", "-1", "127", "-128", "128", "-129", "32767", "-32768", "32768", "2147483647",
        "-2147483648", "2147483648", "9223372036854775807", "-9223372036854775808", "007", "+1",
        "1.5", ""}) {
    keyspace.set_string(fmt::format("number:{}", number), number);
    keyspace.set_string(number, "a key that looks like one", kFuture);
  }
  std::mt19937_64 random(1);
  for (const size_t size : {1, 20, 21, 63, 64, 255, 384, 385, 16383, 16384, 300'000}) {
    keyspace.set_string(fmt::format("noise:{}", size), noise(random, size),
                        kFuture + static_cast<int64_t>(size));
    keyspace.set_string(fmt::format("text:{}", size), std::string(size, 't'));
    keyspace.set_string("key:" + std::string(size, 'k'), "v");
  }
  keyspace.set_string(std::string("\0\xff\r\n", 4), std::string("\0\r\n\xff", 4));
}

void fill_many(Keyspace& keyspace, size_t keys, size_t bytes) {
  std::mt19937_64 random(1);
  for (size_t i = 0; i < keys; ++i)
    keyspace.set_string(fmt::format("key:{:012}", i), noise(random, bytes));
}

void write(Keyspace& keyspace, const std::string& path) {
  auto store = SnapshotDirectory::open(path);
  if (!store) fail(store.error());
  SnapshotFacts facts;
  facts.meta.index = 7;
  facts.meta.term = 3;
  facts.meta.time_us = 1'700'000'000'000'000;
  facts.meta.membership.voters = {1};
  facts.meta.membership.contexts[1] = "127.0.0.1:7001";
  facts.cluster_id = std::string(40, 'c');
  facts.parts["sessions"] = std::string("\0\xff", 2);
  const auto begun = Clock::now();
  SnapshotCutJob job(keyspace, **store, facts);
  double longest = 0;
  while (job.state() == SnapshotCutJob::State::kCutting ||
         job.state() == SnapshotCutJob::State::kWriting) {
    const auto slice = Clock::now();
    // Only the writer's thread has something to do then.
    if (!job.advance(1000)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (job.state() == SnapshotCutJob::State::kCutting)
      longest = std::max(longest, seconds_since(slice));
  }
  if (job.state() == SnapshotCutJob::State::kFailed) fail(job.error());
  fmt::print(stderr, "{} keys, {} bytes in {:.3f} s, longest slice of 1000 keys {:.2f} ms\n",
             job.keys_done(), job.bytes_written(), seconds_since(begun), 1000 * longest);
}

std::string contents_of(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) fail("cannot open " + path);
  std::string bytes;
  char piece[65536];
  while (const size_t count = std::fread(piece, 1, sizeof(piece), file)) bytes.append(piece, count);
  (void)std::fclose(file);
  return bytes;
}

void read(const std::string& path) {
  const std::string bytes = contents_of(path);
  ViewSource source(bytes);
  RdbReader reader(source);
  while (true) {
    const auto item = reader.next();
    if (!item) fail(item.error());
    if (*item == RdbReader::Item::kEnd) return;
    if (*item != RdbReader::Item::kKey) continue;
    fmt::print("{} {} {}\n", hex(reader.key()), hex(reader.value()), reader.expiry_ms());
  }
}

void load(const std::string& directory) {
  const auto store = SnapshotDirectory::open(directory);
  if (!store) fail(store.error());
  const SnapshotId id{.term = 3, .index = 7};
  const auto file = (*store)->open(id);
  if (!file) fail(file.error());
  const auto begun = Clock::now();
  const auto loaded = load_snapshot(**file, id, "", 1);
  if (!loaded) fail(loaded.error());
  fmt::print("{} keys in {:.3f} s\n", loaded->keyspace.size(), seconds_since(begun));
  std::_Exit(0);  // without freeing it all one by one
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  Keyspace keyspace(1);
  if (command == "varied") {
    fill_varied(keyspace);
    write(keyspace, argv[2]);
  } else if (command == "many" && argc == 5) {
    fill_many(keyspace, std::stoull(argv[3]), std::stoull(argv[4]));
    write(keyspace, argv[2]);
  } else if (command == "read") {
    read(argv[2]);
  } else if (command == "load") {
    load(argv[2]);
  } else {
    fail("varied DIR, many DIR KEYS BYTES, read FILE, or load DIR");
  }
}
