// Which arguments are keys, and their slots.

#include "server/command/command.h"

namespace raftkv::server {
namespace {

std::vector<std::string> keys_of(const std::vector<std::string_view>& words) {
  const CommandSpec* spec = CommandTable::instance().resolve(words);
  std::vector<std::string> keys;
  if (spec) for_each_key(*spec, words, [&](std::string_view key) { keys.emplace_back(key); });
  return keys;
}

using Keys = std::vector<std::string>;

TEST(Slots, AreTheCrc16OfTheKey) {
  EXPECT_EQ(key_slot("123456789"), 0x31C3 % 16384);
  EXPECT_EQ(key_slot("123456789"), 12739);
  EXPECT_EQ(key_slot("x"), 16287);
  EXPECT_EQ(key_slot("foo"), 12182);
  EXPECT_EQ(key_slot(""), 0);
  EXPECT_EQ(key_slot(std::string_view("\0\xff", 2)), key_slot(std::string("\0\xff", 2)));
}

TEST(Slots, OfAKeyWithAHashTagAreThoseOfTheTag) {
  EXPECT_EQ(key_slot("{user}.x"), key_slot("user"));
  EXPECT_EQ(key_slot("a{user}b"), key_slot("user"));
  EXPECT_EQ(key_slot("{user}{other}"), key_slot("user"));
  EXPECT_EQ(key_slot("{{user}}"), key_slot("{user"));
}

TEST(Slots, OfAKeyWithAnEmptyOrOpenHashTagAreThoseOfTheWholeKey) {
  EXPECT_NE(key_slot("{}x"), key_slot("{}y"));
  EXPECT_NE(key_slot("{}{user}"), key_slot("user"));
  EXPECT_NE(key_slot("{user"), key_slot("user"));
  EXPECT_NE(key_slot("user}"), key_slot("user"));
}

TEST(Keys, AreFoundByFirstLastAndStep) {
  EXPECT_EQ(keys_of({"get", "k"}), Keys({"k"}));
  EXPECT_EQ(keys_of({"mset", "a", "1", "b", "2"}), Keys({"a", "b"}));
  EXPECT_EQ(keys_of({"mset", "a", "1", "b"}), Keys({"a", "b"}));
  EXPECT_EQ(keys_of({"del", "a", "b", "c"}), Keys({"a", "b", "c"}));
  EXPECT_EQ(keys_of({"lcs", "a", "b", "IDX"}), Keys({"a", "b"}));
  EXPECT_EQ(keys_of({"object", "encoding", "k"}), Keys({"k"}));
  EXPECT_EQ(keys_of({"keys", "*"}), Keys());
}

TEST(Keys, OfACallThatIsTooShortAreThoseThatAreThere) {
  EXPECT_EQ(keys_of({"get"}), Keys());
  EXPECT_EQ(keys_of({"del"}), Keys());
  EXPECT_EQ(keys_of({"lcs", "a"}), Keys({"a"}));
  EXPECT_EQ(keys_of({"rename", "a"}), Keys({"a"}));
}

TEST(Keys, GiveTheSlotOfTheFirst) {
  const auto slot = [](const std::vector<std::string_view>& words) {
    return command_slot(*CommandTable::instance().resolve(words), words);
  };
  EXPECT_EQ(slot({"set", "x", "1"}), 16287);
  EXPECT_EQ(slot({"mget", "x", "foo"}), 16287);
  EXPECT_EQ(slot({"object", "freq", "foo"}), 12182);
  EXPECT_EQ(slot({"dbsize"}), 0);
}

}  // namespace
}  // namespace raftkv::server
