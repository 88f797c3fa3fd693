#include "client/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/answer.h"

namespace raftkv::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Address, ReadsHostAndPort) {
  EXPECT_EQ(parse_address("127.0.0.1:7001"), (Address{"127.0.0.1", 7001}));
  EXPECT_EQ(parse_address("node-1.example:65535"), (Address{"node-1.example", 65535}));
}

TEST(Address, ReadsIpV6WithAndWithoutBrackets) {
  EXPECT_EQ(parse_address("[::1]:7001"), (Address{"::1", 7001}));
  EXPECT_EQ(parse_address("::1:7001"), (Address{"::1", 7001}));
  EXPECT_EQ((Address{"::1", 7001}).to_string(), "[::1]:7001");
}

TEST(Address, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:1x", "a: 1"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
  EXPECT_THAT(parse_address("a:0").error(), HasSubstr("1 to 65535"));
  EXPECT_THAT(parse_address("localhost").error(), HasSubstr("host:port"));
}

TEST(Address, AListIsSeparatedByCommas) {
  EXPECT_THAT(*parse_addresses("a:1,b:2,"), ElementsAre(Address{"a", 1}, Address{"b", 2}));
  EXPECT_THAT(parse_addresses("").error(), HasSubstr("no address"));
  EXPECT_THAT(parse_addresses("a:1,b").error(), HasSubstr("'b'"));
  EXPECT_THAT(parse_addresses("a:1,b:2,a:1").error(), HasSubstr("a:1 is named twice"));
}

TEST(Answer, SaysWhatAnErrorMeans) {
  EXPECT_EQ(judge("MOVED 1 a:1"), Verdict::kMoved);
  EXPECT_EQ(judge("CLUSTERDOWN"), Verdict::kNotNow);
  EXPECT_EQ(judge("UNKNOWN x"), Verdict::kUnknown);
  EXPECT_EQ(judge("ERR x"), Verdict::kFinal);
  EXPECT_EQ(judge("MOVEDX"), Verdict::kFinal);
  EXPECT_EQ(judge("UNKNOWNCMD x"), Verdict::kFinal);
  EXPECT_EQ(judge(""), Verdict::kFinal);
}

TEST(Answer, FindsTheAddressOfARedirect) {
  const Address from = {"10.0.0.1", 7001};
  EXPECT_EQ(moved_to("MOVED 16287 10.0.0.2:7002", from), (Address{"10.0.0.2", 7002}));
  EXPECT_EQ(moved_to("MOVED 16287 ::1:7002", from), (Address{"::1", 7002}));
  EXPECT_EQ(moved_to("MOVED 16287 :7002", from), (Address{"10.0.0.1", 7002}));
  EXPECT_EQ(moved_to("MOVED", from), std::nullopt);
  EXPECT_EQ(moved_to("MOVED 1 nowhere", from), std::nullopt);
}

}  // namespace
}  // namespace raftkv::client
