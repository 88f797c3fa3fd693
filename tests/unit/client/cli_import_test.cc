// raftkv-cli import against nodes that answer what the test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "storage/snapshot/rdb_reader.h"
#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace): bytes with zeros
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

// A file of version 9 whose checksum was not computed.
class CliImport : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/raftkv-import-test-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_GE(fd, 0);
    close(fd);
    path_ = name;
  }
  void TearDown() override { (void)std::remove(path_.c_str()); }

  void write(const std::string& records) {
    std::ofstream(path_, std::ios::binary)
        << "REDIS0009" << records << "\xff" << std::string(8, '\0');
  }
  static std::string key(const std::string& name, const std::string& value) {
    return "\0"s + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
  }
  CliRun import(const FakeNode& node, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {
        "import",       path_, "--nodes",      node.address().to_string(),
        "--timeout_ms", "500", "--patience_s", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return cli(args);
  }

  std::string path_;
};

TEST_F(CliImport, SendsEachKeyWithItsDeadlineAndSumsUp) {
  write(key("a", "1") + "\xfc\x00\xd8\xc3,\xbb\x03\x00\x00"s + key("b", "two") +
        "\xfd\x01\x00\x00\x00"s + key("gone", "x"));
  FakeNode node([](const Args&) { return ok(); });
  const CliRun run = import(node);
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("keys=3 imported=2 expired=1 existing=0"));
  EXPECT_THAT(node.requests(), ElementsAre(Args{"SET", "a", "1", "NX"},
                                           Args{"SET", "b", "two", "PXAT", "4102444800000", "NX"}));
}

TEST_F(CliImport, ReplaceSendsNoCondition) {
  write(key("a", "1"));
  FakeNode node([](const Args&) { return ok(); });
  const Json json = Json::parse(import(node, {"--replace", "--json"}).out);
  EXPECT_EQ(json["imported"], 1);
  EXPECT_EQ(json["ok"], true);
  EXPECT_THAT(node.requests(), ElementsAre(Args{"SET", "a", "1"}));
}

TEST_F(CliImport, AFileThatIsNotWhollyRightSendsNothing) {
  FakeNode node([](const Args&) { return ok(); });
  write(key("a", "1") + "\x01\x01q\x01\x01x"s);
  CliRun run = import(node);
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("key 'q' is a list"));
  EXPECT_THAT(run.err, HasSubstr("nothing was sent"));
  write(key("a", "1") + "\xfe\x02"s + key("b", "2"));
  EXPECT_THAT(import(node).err, HasSubstr("database 2"));
  std::ofstream(path_) << "REDIS0009";
  EXPECT_THAT(import(node).err, HasSubstr("ends within"));
  run = cli({"import", "/no/such/file"});
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("cannot read /no/such/file: No such file"));
  EXPECT_THAT(cli({"import", "/tmp"}).err, HasSubstr("it is no file"));
  EXPECT_THAT(node.requests(), IsEmpty());
  EXPECT_EQ(cli({"import"}).exit_code, kExitUsage);
  EXPECT_EQ(cli({"import", "a", "b"}).exit_code, kExitUsage);
}

TEST_F(CliImport, KeysThatAreThereWithAnotherValueAreNamed) {
  write(key("mine", "1") + key("same", "2") + key("other", "3") + key("list", "4"));
  FakeNode node([](const Args& args) {
    if (args[0] == "SET") return args[1] == "mine" ? ok() : text("$-1");
    if (args[0] == "PEXPIRETIME") return text(":-1");
    if (args[1] == "list") return text("-WRONGTYPE no string");
    return bulk("2");
  });
  const CliRun run = import(node);
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.out, HasSubstr("imported=2 expired=0 existing=2"));
  EXPECT_THAT(run.err, HasSubstr("('other', 'list')"));
}

TEST_F(CliImport, ALostReplyIsNoKeyOfSomebodyElse) {
  write(key("a", "1") + key("b", "2"));
  std::map<std::string, std::string> stored;
  bool lost = false;
  FakeNode node([&](const Args& args) {
    if (args[0] == "PEXPIRETIME") return text(":-1");
    if (args[0] == "GET") return bulk(stored[args[1]]);
    if (!stored.emplace(args[1], args[2]).second) return text("$-1");
    if (args[1] == "b" && !lost) {
      lost = true;
      return hang_up();
    }
    return ok();
  });
  const CliRun run = import(node);
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_TRUE(lost);
  EXPECT_THAT(run.out, HasSubstr("imported=2"));
}

TEST_F(CliImport, AChangeOfLeadersIsSurvived) {
  std::string records;
  for (int i = 0; i < 100; ++i) records += key("k" + std::to_string(i), "v");
  write(records);
  FakeNode second([](const Args&) { return ok(); });
  int served = 0;
  FakeNode first([&](const Args&) {
    return ++served <= 30 ? ok()
           : served < 35  ? text("-CLUSTERDOWN no leader")
                          : moved_to(second.address());
  });
  const CliRun run = import(first, {"--pipeline", "7"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("imported=100"));
}

TEST_F(CliImport, PatienceEndsAndSaysWhatHappened) {
  write(key("a", "1"));
  FakeNode down([](const Args&) { return text("-CLUSTERDOWN no leader"); });
  CliRun run = import(down);
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("0 keys were imported; importing the file again is safe"));
  FakeNode silent([](const Args&) { return hang_up(); });
  run = import(silent);
  EXPECT_EQ(run.exit_code, kExitUnknown);
  EXPECT_THAT(run.err, HasSubstr("may or may not be there"));
  FakeNode full([](const Args&) { return text("-OOM memory"); });
  run = import(full, {"--json"});
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_EQ(Json::parse(run.out)["error"], "OOM memory");
}

}  // namespace
}  // namespace raftkv::client
