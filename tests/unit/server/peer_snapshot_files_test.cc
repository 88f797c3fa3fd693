#include "server/peer/snapshot_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

#include "tests/unit/server/peer_snapshot_kit.h"

namespace raftkv::server {
namespace {

using namespace test;  // NOLINT: the kit of these tests
using testing::HasSubstr;
namespace fs = std::filesystem;

class SnapshotFilesTest : public PeerSnapshotTest {
 protected:
  SnapshotFilesTest() {
    std::string pattern = testing::TempDir() + "snapshot_files_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~SnapshotFilesTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string content(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  std::expected<std::shared_ptr<SnapshotSource>, std::string> open(const std::string& name) {
    std::optional<std::expected<std::shared_ptr<SnapshotSource>, std::string>> opened;
    FileSnapshotSource::open(loop_.get(), path(name), "meta",
                             [&](auto result) { opened = std::move(result); });
    EXPECT_FALSE(opened);
    EXPECT_TRUE(until([&] { return opened.has_value(); }));
    return *opened;
  }
  std::expected<uint64_t, std::string> open(FileSnapshotSink& sink) {
    std::optional<std::expected<uint64_t, std::string>> opened;
    sink.open([&](auto result) { opened = std::move(result); });
    EXPECT_TRUE(until([&] { return opened.has_value(); }));
    return *opened;
  }
  std::expected<void, std::string> append(FileSnapshotSink& sink, const std::string& bytes) {
    std::optional<std::expected<void, std::string>> done;
    sink.append(bytes, [&](auto result) { done = std::move(result); });
    EXPECT_TRUE(until([&] { return done.has_value(); }));
    return *done;
  }
  std::expected<void, std::string> finish(FileSnapshotSink& sink) {
    std::optional<std::expected<void, std::string>> done;
    sink.finish([&](auto result) { done = std::move(result); });
    EXPECT_TRUE(until([&] { return done.has_value(); }));
    return *done;
  }
  static SnapshotOffer offer_of(const std::string& bytes) {
    return {.checksum = XXH3_64bits(bytes.data(), bytes.size()), .size = bytes.size(), .meta = "m"};
  }

  std::string directory_;
};

TEST_F(SnapshotFilesTest, AFileGoesFromDirectoryToDirectory) {
  const std::string bytes = random_bytes(3'000'000);
  write("sent", bytes);
  auto what = open("sent");
  ASSERT_TRUE(what) << what.error();
  EXPECT_EQ((*what)->offer().size, bytes.size());
  EXPECT_EQ((*what)->offer().checksum, offer_of(bytes).checksum);
  fs::remove(path("sent"));  // its name is not needed any more

  fs::create_directory(path("in"));
  PeerOptions to = options(2);
  to.snapshots.offered = [&](uint64_t, const SnapshotOffer& offer) {
    return std::make_unique<FileSnapshotSink>(loop_.get(),
                                              path("in/" + partial_snapshot_name(offer)), offer);
  };
  std::string arrived;
  to.snapshots.received = [&](uint64_t, const SnapshotOffer& offer, std::unique_ptr<SnapshotSink>,
                              const std::function<void(SnapshotResult)>& respond) {
    arrived = content("in/" + partial_snapshot_name(offer));
    respond(5);
  };
  const auto one = start(sending_options(1));
  const auto two = start(std::move(to));
  const auto result = send(*one, 2, *what);
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  ASSERT_TRUE(**result) << (*result)->error();
  EXPECT_EQ(arrived, bytes);
}

TEST_F(SnapshotFilesTest, FilesThatCanNotBeSentAreAnError) {
  EXPECT_THAT(open("missing").error(), HasSubstr("No such file"));
  write("empty", "");
  EXPECT_THAT(open("empty").error(), HasSubstr("the file is empty"));
}

TEST_F(SnapshotFilesTest, AFileThatBecomesShorterIsAnError) {
  write("sent", random_bytes(1000));
  auto what = open("sent");
  ASSERT_TRUE(what);
  fs::resize_file(path("sent"), 500);
  std::optional<std::expected<std::string, std::string>> read;
  (*what)->read(400, 200, [&](auto result) { read = std::move(result); });
  ASSERT_TRUE(until([&] { return read.has_value(); }));
  ASSERT_FALSE(*read);
  EXPECT_THAT(read->error(), HasSubstr("shorter"));
}

TEST_F(SnapshotFilesTest, APartialFileIsGoneOnWithAndVerified) {
  const std::string bytes = random_bytes(20'000);
  const SnapshotOffer offer = offer_of(bytes);
  const std::string name = partial_snapshot_name(offer);
  {
    FileSnapshotSink sink(loop_.get(), path(name), offer);
    EXPECT_EQ(open(sink), 0u);
    ASSERT_TRUE(append(sink, bytes.substr(0, 7000)));
    bool over = false;
    sink.abort(true, [&] { over = true; });
    ASSERT_TRUE(until([&] { return over; }));
  }
  FileSnapshotSink sink(loop_.get(), path(name), offer);
  EXPECT_EQ(open(sink), 7000u);
  ASSERT_TRUE(append(sink, bytes.substr(7000)));
  const auto finished = finish(sink);
  ASSERT_TRUE(finished) << finished.error();
  EXPECT_EQ(content(name), bytes);
}

TEST_F(SnapshotFilesTest, APartialFileThatWasDamagedIsThrownAwayAtTheEnd) {
  const std::string bytes = random_bytes(20'000);
  const SnapshotOffer offer = offer_of(bytes);
  const std::string name = partial_snapshot_name(offer);
  std::string damaged = bytes.substr(0, 7000);
  damaged[3000] = static_cast<char>(damaged[3000] ^ 1);
  write(name, damaged);
  {
    FileSnapshotSink sink(loop_.get(), path(name), offer);
    EXPECT_EQ(open(sink), 7000u);
    ASSERT_TRUE(append(sink, bytes.substr(7000)));
    const auto finished = finish(sink);
    ASSERT_FALSE(finished);
    EXPECT_THAT(finished.error(), HasSubstr("another checksum"));
    EXPECT_FALSE(fs::exists(path(name)));
  }
  write(name, bytes + "longer than the whole");
  FileSnapshotSink sink(loop_.get(), path(name), offer);
  EXPECT_EQ(open(sink), 0u);
}

TEST_F(SnapshotFilesTest, AnAbortedSinkKeepsOrDeletesItsFile) {
  const SnapshotOffer offer = offer_of("0123456789");
  for (const bool keep : {true, false}) {
    FileSnapshotSink sink(loop_.get(), path("file"), offer);
    EXPECT_EQ(open(sink), 0u);
    bool over = false;
    // While a write is on its way, whose end nobody hears of.
    sink.append("01234", [](auto) { FAIL(); });
    sink.abort(keep, [&] { over = true; });
    ASSERT_TRUE(until([&] { return over; }));
    EXPECT_EQ(content("file"), keep ? "01234" : "");
    EXPECT_EQ(fs::exists(path("file")), keep);
    fs::remove(path("file"));
  }
}

TEST_F(SnapshotFilesTest, WhatCameOfAnotherSnapshotIsDeleted) {
  const SnapshotOffer old = offer_of("old");
  const SnapshotOffer fresh = offer_of("fresh");
  EXPECT_NE(partial_snapshot_name(old), partial_snapshot_name(fresh));
  SnapshotOffer other_meta = fresh;
  other_meta.meta = "n";
  EXPECT_NE(partial_snapshot_name(other_meta), partial_snapshot_name(fresh));
  write(partial_snapshot_name(old), "ol");
  write(partial_snapshot_name(fresh), "fre");
  write("snapshot.rdb", "kept");
  FileSnapshotSink sink(loop_.get(), path(partial_snapshot_name(fresh)), fresh);
  EXPECT_EQ(open(sink), 3u);
  EXPECT_FALSE(fs::exists(path(partial_snapshot_name(old))));
  EXPECT_TRUE(fs::exists(path("snapshot.rdb")));
}

TEST_F(SnapshotFilesTest, ADirectoryThatIsNotThereIsAnError) {
  FileSnapshotSink sink(loop_.get(), path("nowhere/file"), offer_of("x"));
  const auto opened = open(sink);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error(), HasSubstr("No such file"));
}

}  // namespace
}  // namespace raftkv::server
