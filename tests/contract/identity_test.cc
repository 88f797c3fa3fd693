// Whose data directory it is, and who may use it now.
#include "storage/log/identity.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kClusterA(40, 'a');
const std::string kClusterB(40, 'b');

Identity identity(uint64_t node_id = 1, const std::string& cluster = kClusterA,
                  uint64_t incarnation = 77) {
  return {.cluster_id = cluster, .node_id = node_id, .incarnation = incarnation};
}

std::string contents_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& file, const std::string& contents) {
  std::ofstream(file, std::ios::binary) << contents;
}

// Unlike put(), keeps the blocks of the file: many times faster on a real disk.
void put_byte(const std::string& file, size_t at, char byte) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(at));
  out.put(byte);
}

class DataDirectory : public testing::Test {
 protected:
  // Opens, checks that it worked, and closes again.
  OpenedDirectory open_once(const Identity& wanted = identity()) {
    auto opened = open_data_directory(path_, wanted);
    EXPECT_TRUE(opened) << opened.error();
    if (!opened) return {};
    opened->lock.reset();
    return *std::move(opened);
  }
  std::string error(const Identity& wanted = identity()) {
    const auto opened = open_data_directory(path_, wanted);
    EXPECT_FALSE(opened);
    if (opened) return "";
    EXPECT_THAT(opened.error(), Not(HasSubstr("\n")));
    return opened.error();
  }

  TempDir dir_;
  std::string path_ = dir_ / "data";
};

TEST_F(DataDirectory, IsMadeWhereThereWasNone) {
  const OpenedDirectory opened = open_once();
  EXPECT_TRUE(opened.created);
  EXPECT_EQ(opened.identity, identity());
  EXPECT_FALSE(fs::exists(path_ + "/IDENTITY.tmp"));
}

TEST_F(DataDirectory, IsMadeWithItsParents) {
  path_ = dir_ / "a/b/c/";
  EXPECT_TRUE(open_once().created);
  EXPECT_FALSE(open_once().created);
}

TEST_F(DataDirectory, AnEmptyOneIsTaken) {
  fs::create_directories(path_ + "/lost+found");  // a fresh file system has this
  EXPECT_TRUE(open_once().created);
}

TEST_F(DataDirectory, OpensAgainWithTheIncarnationItWasMadeWith) {
  open_once(identity(1, kClusterA, 77));
  const OpenedDirectory again = open_once(identity(1, kClusterA, 99));
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.identity.incarnation, 77);
}

TEST_F(DataDirectory, OfAnotherNodeIsRefused) {
  open_once(identity(1));
  EXPECT_THAT(error(identity(2)), AllOf(HasSubstr("belongs to node 1"), HasSubstr("node 2"),
                                        HasSubstr("--node_id"), HasSubstr(path_)));
}

TEST_F(DataDirectory, OfAnotherClusterIsRefused) {
  open_once(identity(1, kClusterA));
  EXPECT_THAT(error(identity(1, kClusterB)),
              AllOf(HasSubstr("belongs to cluster " + kClusterA), HasSubstr(kClusterB)));
}

TEST_F(DataDirectory, IsFreedByARefusal) {
  open_once(identity(1));
  error(identity(2));
  EXPECT_FALSE(open_once(identity(1)).created);
}

TEST_F(DataDirectory, ThatHoldsOtherThingsIsNotTouched) {
  fs::create_directories(path_);
  put(path_ + "/thesis.tex", "years of work");
  EXPECT_THAT(error(),
              AllOf(HasSubstr("not empty"), HasSubstr("thesis.tex"), HasSubstr("--data_dir")));
  EXPECT_FALSE(fs::exists(path_ + "/LOCK"));
  EXPECT_FALSE(fs::exists(path_ + "/IDENTITY"));
}

TEST_F(DataDirectory, ThatLostItsIdentityIsRefused) {
  open_once();
  fs::create_directories(path_ + "/log");
  fs::remove(path_ + "/IDENTITY");
  EXPECT_THAT(error(), AllOf(HasSubstr("holds log but no IDENTITY"), HasSubstr("backup")));
}

TEST_F(DataDirectory, ThatIsAFileIsRefused) {
  put(path_, "");
  EXPECT_THAT(error(), HasSubstr("is not a directory"));
}

TEST_F(DataDirectory, BelowAFileIsRefused) {
  put(path_, "");
  path_ += "/below";
  EXPECT_THAT(error(), AllOf(HasSubstr("can't be created"), HasSubstr("Not a directory")));
}

// While it lives, this process has the rights of a stranger; root could write anywhere.
class AsStranger {
 public:
  AsStranger() : was_(::geteuid()) {
    if (was_ == 0) {
      EXPECT_EQ(::seteuid(kNobody), 0);
    }
  }
  ~AsStranger() { EXPECT_EQ(::seteuid(was_), 0); }

 private:
  static constexpr uid_t kNobody = 65534;
  uid_t was_;
};

TEST_F(DataDirectory, WhereNothingMayBeWrittenIsRefused) {
  fs::permissions(dir_.path(), fs::perms{0755});
  fs::permissions(fs::path(dir_.path()).parent_path(), fs::perms{0755});
  fs::create_directories(path_);
  fs::permissions(path_, fs::perms{0555});
  {
    const AsStranger stranger;
    EXPECT_THAT(error(), AllOf(HasSubstr("not writable"), HasSubstr("Permission denied"),
                               HasSubstr("rights")));
    path_ += "/below";
    EXPECT_THAT(error(), AllOf(HasSubstr("can't be created"), HasSubstr("Permission denied")));
  }
  fs::permissions(dir_ / "data", fs::perms::owner_all);
}

TEST_F(DataDirectory, OnAReadOnlyFileSystemIsRefused) {
  if (!fs::is_directory("/proc/self")) GTEST_SKIP() << "no /proc to stand for one";
  path_ = "/proc/self/raftkv";
  EXPECT_THAT(error(), HasSubstr("can't be created"));
}

TEST_F(DataDirectory, AnyFlippedBitInTheIdentityIsNoticed) {
  open_once();
  const std::string intact = contents_of(path_ + "/IDENTITY");
  for (size_t bit = 0; bit < intact.size() * 8; ++bit) {
    const char byte = intact[bit / 8];
    put_byte(path_ + "/IDENTITY", bit / 8, static_cast<char>(byte ^ (1 << (bit % 8))));
    ASSERT_THAT(error(), AllOf(HasSubstr("IDENTITY is damaged"), HasSubstr("backup"))) << bit;
    put_byte(path_ + "/IDENTITY", bit / 8, byte);
  }
}

TEST_F(DataDirectory, ATruncatedOrLengthenedIdentityIsNoticed) {
  open_once();
  const std::string intact = contents_of(path_ + "/IDENTITY");
  for (size_t size = intact.size(); size-- > 0;) {
    fs::resize_file(path_ + "/IDENTITY", size);
    ASSERT_THAT(error(), HasSubstr("IDENTITY is damaged")) << size;
  }
  put(path_ + "/IDENTITY", intact + "\n");
  EXPECT_THAT(error(), HasSubstr("IDENTITY is damaged"));
}

TEST_F(DataDirectory, ACrashAtAnyStepOfMakingItLeavesItNew) {
  open_once();
  const std::string intact = contents_of(path_ + "/IDENTITY");
  for (const bool locked : {false, true}) {
    for (const size_t draft_bytes : {size_t{0}, intact.size() / 2, intact.size()}) {
      fs::remove_all(path_);
      fs::create_directories(path_);
      if (locked) put(path_ + "/LOCK", "");
      put(path_ + "/IDENTITY.tmp", intact.substr(0, draft_bytes));
      EXPECT_TRUE(open_once(identity(2, kClusterB, 5)).created);
      EXPECT_EQ(open_once(identity(2, kClusterB, 6)).identity.incarnation, 5);
    }
  }
}

TEST_F(DataDirectory, InUseIsRefusedAndTheHolderIsNamed) {
  const auto held = open_data_directory(path_, identity());
  ASSERT_TRUE(held);
  EXPECT_THAT(error(), AllOf(HasSubstr("in use by process " + std::to_string(::getpid())),
                             HasSubstr("stop")));
}

TEST_F(DataDirectory, InUseIsFreeAgainAfterItsHolderWasKilled) {
  int ready[2] = {};
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = open_data_directory(path_, identity());
    const char answer = held ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_THAT(error(), HasSubstr("in use by process " + std::to_string(child)));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(open_once().created);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(DataDirectoryDeathTest, AMalformedClusterIdIsAProgrammersMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  TempDir dir;
  EXPECT_DEATH((void)open_data_directory(dir / "data", identity(1, "short")), "40 hexadecimal");
  EXPECT_DEATH((void)open_data_directory(dir / "data", identity(0)), "node id 0");
}

}  // namespace
}  // namespace raftkv::storage
