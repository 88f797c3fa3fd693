#include "client/info_text.h"

#include <gtest/gtest.h>

namespace raftkv::client {
namespace {

TEST(InfoText, ReadsFieldsOfAllSections) {
  const InfoText info(
      "# Raft\r\nraft_term:7\r\nraft_role:leader\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=1\r\n");
  EXPECT_EQ(info.number("raft_term"), 7U);
  EXPECT_EQ(info.text("raft_role"), "leader");
  EXPECT_EQ(info_part(info.text("db0"), "keys"), "3");
  EXPECT_EQ(info_part(info.text("db0"), "expires"), "1");
  EXPECT_EQ(info_part(info.text("db0"), "key"), "");
}

TEST(InfoText, AValueMayHaveColonsOrBeEmpty) {
  const InfoText info("a:127.0.0.1:7001\nb:\nno field\n#c:1\nd:x");
  EXPECT_EQ(info.text("a"), "127.0.0.1:7001");
  EXPECT_EQ(info.text("b"), "");
  EXPECT_EQ(info.fields().size(), 3U);
  EXPECT_EQ(info.text("d"), "x");
}

TEST(InfoText, OnlyDigitsAreANumber) {
  const InfoText info("a:1x\nb:\nc:-1\nd:18446744073709551615\ne:18446744073709551616\n");
  for (const char* field : {"a", "b", "c", "e", "absent"}) {
    EXPECT_EQ(info.number(field), std::nullopt) << field;
  }
  EXPECT_EQ(info.number("d"), UINT64_MAX);
}

}  // namespace
}  // namespace raftkv::client
