#include "client/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace raftkv::client {
namespace {

using ::testing::HasSubstr;

struct Values {
  std::string key;
  std::string name = "unnamed";
  int64_t n = 7;
  double part = 0.5;
  bool json = false;
};

std::expected<void, std::string> parse(Values& values, const std::vector<std::string>& args) {
  Flags flags;
  flags.required_text("key", &values.key, "the key");
  flags.text("name", &values.name, "a name");
  flags.number("n", &values.n, -10, 100, "how many");
  flags.share("part", &values.part, "a part");
  flags.toggle("json", &values.json, "as JSON");
  return flags.parse(args);
}

std::string error_of(const std::vector<std::string>& args) {
  Values values;
  const auto parsed = parse(values, args);
  return parsed ? "" : parsed.error();
}

TEST(Flags, TakeTheirValueFromTheNextArgumentOrBehindAnEqualsSign) {
  Values values;
  ASSERT_TRUE(parse(values, {"--key", "a", "--n=-3", "--part=1", "--json", "--name="}));
  EXPECT_EQ(values.key, "a");
  EXPECT_EQ(values.n, -3);
  EXPECT_EQ(values.part, 1.0);
  EXPECT_TRUE(values.json);
  EXPECT_EQ(values.name, "");
}

TEST(Flags, KeepTheirDefaults) {
  Values values;
  ASSERT_TRUE(parse(values, {"--key=k", "--json=false"}));
  EXPECT_EQ(values.n, 7);
  EXPECT_EQ(values.name, "unnamed");
  EXPECT_FALSE(values.json);
}

TEST(Flags, AValueMayLookLikeAFlagOrHaveAnEqualsSign) {
  Values values;
  ASSERT_TRUE(parse(values, {"--key", "--json", "--name=a=b"}));
  EXPECT_EQ(values.key, "--json");
  EXPECT_EQ(values.name, "a=b");
  EXPECT_FALSE(values.json);
}

TEST(Flags, SayWhatIsWrong) {
  EXPECT_EQ(error_of({}), "--key is missing");
  EXPECT_EQ(error_of({"--key"}), "--key needs a value");
  EXPECT_EQ(error_of({"--kee=1"}), "unknown flag --kee");
  EXPECT_EQ(error_of({"--key=a", "--key=b"}), "--key is given twice");
  EXPECT_EQ(error_of({"key"}), "unexpected argument 'key': flags begin with --");
  EXPECT_EQ(error_of({"-key=a"}), "unexpected argument '-key=a': flags begin with --");
  for (const std::string bad : {"", "x", "1x", "101", "-11", "99999999999999999999", "1.5"}) {
    EXPECT_EQ(error_of({"--n=" + bad}), "--n takes a number from -10 to 100, not '" + bad + "'");
  }
  for (const std::string bad : {"", "x", "1.1", "-0.1", "nan", "inf"}) {
    EXPECT_EQ(error_of({"--part=" + bad}),
              "--part takes a number from 0.0 to 1.0, not '" + bad + "'");
  }
  EXPECT_EQ(error_of({"--json=maybe"}), "--json takes true or false, not 'maybe'");
}

TEST(Flags, HelpNamesEachWithItsDefault) {
  Values values;
  Flags flags;
  flags.required_text("key", &values.key, "the key");
  flags.number("n", &values.n, 0, 1, "how many");
  flags.toggle("json", &values.json, "as JSON");
  EXPECT_EQ(flags.help(),
            "  --key TEXT\n      the key (required)\n"
            "  --n N\n      how many (default: 7)\n"
            "  --json\n      as JSON\n");
}

}  // namespace
}  // namespace raftkv::client
