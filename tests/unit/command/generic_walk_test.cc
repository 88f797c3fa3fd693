// Reads over the keyspace as a whole.

#include <algorithm>
#include <set>

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

// The keys of a reply of bulk strings without quotes in them: "['a', 'b']".
std::multiset<std::string> keys_in(std::string_view reply) {
  std::multiset<std::string> keys;
  for (size_t at = reply.find('\''); at != std::string_view::npos; at = reply.find('\'', at)) {
    const size_t end = reply.find('\'', at + 1);
    keys.emplace(reply.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return keys;
}

using Keys = std::multiset<std::string>;

class Walk : public testing::Test {
 protected:
  Keys keys(const std::string& pattern) { return keys_in(world.call({"KEYS", pattern})); }

  // All keys that a whole iteration returns.
  Keys scan_all(const std::string& options) {
    Keys found;
    std::string cursor = "0";
    do {
      const std::string reply = world.run("SCAN " + cursor + options);
      // ['cursor', [keys]]
      cursor = reply.substr(2, reply.find('\'', 2) - 2);
      for (const std::string& key : keys_in(reply.substr(reply.find(',')))) found.insert(key);
    } while (cursor != "0");
    return found;
  }

  DataWorld world;
};

TEST_F(Walk, KeysReturnsWhatMatches) {
  EXPECT_EQ(world.run("KEYS *"), "[]");
  world.run("MSET one 1 two 2 three 3");
  EXPECT_EQ(keys("*"), Keys({"one", "two", "three"}));
  EXPECT_EQ(keys("t*"), Keys({"two", "three"}));
  EXPECT_EQ(keys("t??"), Keys({"two"}));
  EXPECT_EQ(keys("four"), Keys());
}

TEST_F(Walk, EmptyKeyIsFoundByTheStarAlone) {
  world.call({"SET", "", "v"});
  EXPECT_EQ(keys("*"), Keys({""}));
  EXPECT_EQ(keys("**"), Keys());
  EXPECT_EQ(keys(""), Keys({""}));
}

TEST_F(Walk, SkipsWhatIsDue) {
  world.run("SET a 1");
  world.run("SET b 1 PX 10");
  world.now += 10;
  EXPECT_EQ(keys("*"), Keys({"a"}));
  EXPECT_EQ(scan_all(""), Keys({"a"}));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(world.run("RANDOMKEY"), "'a'");
}

TEST_F(Walk, ScanVisitsEveryKey) {
  Keys all;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key:" + std::to_string(i);
    world.call({"SET", key, "v"});
    all.insert(key);
  }
  const auto unique = [](const Keys& found) { return std::set(found.begin(), found.end()); };
  EXPECT_EQ(unique(scan_all("")), unique(all));
  EXPECT_EQ(unique(scan_all(" COUNT 1")), unique(all));
  EXPECT_EQ(unique(scan_all(" COUNT 9223372036854775807")), unique(all));
  EXPECT_EQ(unique(scan_all(" MATCH *:99*")).size(), 11u);
  EXPECT_EQ(unique(scan_all(" TYPE String COUNT 100")), unique(all));
  EXPECT_EQ(scan_all(" TYPE hash"), Keys());
}

TEST_F(Walk, ScanTakesCursorsAsStrtoulDoes) {
  world.run("SET k v");
  EXPECT_EQ(world.call({"SCAN", ""}), "['0', ['k']]");
  EXPECT_EQ(world.run("SCAN +0"), "['0', ['k']]");
  EXPECT_EQ(world.run("SCAN -0"), "['0', ['k']]");
  for (const std::string cursor :
       {"a", " 0", "0 ", "-", "+", "+-0", "0x0", "18446744073709551616"}) {
    EXPECT_EQ(world.call({"SCAN", cursor}), "-ERR invalid cursor") << cursor;
  }
}

TEST_F(Walk, ScanRefusesBadOptions) {
  EXPECT_EQ(world.run("SCAN 0 COUNT 0"), "-ERR syntax error");
  EXPECT_EQ(world.run("SCAN 0 COUNT"), "-ERR syntax error");
  EXPECT_EQ(world.run("SCAN 0 MATCH"), "-ERR syntax error");
  EXPECT_EQ(world.run("SCAN 0 FOO 1"), "-ERR syntax error");
  EXPECT_EQ(world.run("SCAN 0 COUNT x"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("SCAN x COUNT 0"), "-ERR invalid cursor");
}

TEST_F(Walk, RandomkeyDrawsEveryKeySometimes) {
  EXPECT_EQ(world.run("RANDOMKEY"), "nil");
  world.run("MSET a 1 b 2 c 3");
  std::set<std::string> drawn;
  for (int i = 0; i < 500; ++i) drawn.insert(world.run("RANDOMKEY"));
  EXPECT_EQ(drawn, std::set<std::string>({"'a'", "'b'", "'c'"}));
}

TEST_F(Walk, RandomkeyFindsTheOneLiveKeyAmongManyThatAreDue) {
  for (int i = 0; i < 2000; ++i) world.call({"SET", "due" + std::to_string(i), "v", "PX", "10"});
  world.run("SET live v");
  world.now += 10;
  EXPECT_EQ(world.run("RANDOMKEY"), "'live'");
  world.run("DEL live");
  EXPECT_EQ(world.run("RANDOMKEY"), "nil");
}

TEST_F(Walk, DbsizeCountsKeys) {
  EXPECT_EQ(world.run("DBSIZE"), "0");
  world.run("MSET a 1 b 2");
  EXPECT_EQ(world.run("DBSIZE"), "2");
}

}  // namespace
}  // namespace raftkv::test
