// Numbers as Redis reads and writes them.

#include "server/command/args.h"

#include <limits>

namespace raftkv::server {
namespace {

TEST(Integers, AreReadInCanonicalFormOnly) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-1"), -1);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  for (const std::string_view text :
       {"", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x1", "a", "--1",
        "9223372036854775808", "-9223372036854775809", "99999999999999999999999999"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_integer(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Floats, AreReadAsCDoesButAsAWhole) {
  EXPECT_EQ(parse_long_double("0.5"), 0.5L);
  EXPECT_EQ(parse_long_double("+5"), 5.0L);
  EXPECT_EQ(parse_long_double("-.5e1"), -5.0L);
  EXPECT_EQ(parse_long_double("0x10"), 16.0L);
  EXPECT_EQ(parse_long_double("5."), 5.0L);
  EXPECT_EQ(parse_long_double("inf"), std::numeric_limits<long double>::infinity());
  for (const std::string_view text : {"", " 1", "1 ", "a", "1a", "1e", "nan", "1e5000", "-1e5000",
                                      "1e-6000", "\t1", "--1", "0x"}) {
    EXPECT_EQ(parse_long_double(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_long_double(std::string_view("1\0", 2)), std::nullopt);
  EXPECT_EQ(parse_long_double(std::string(5 * 1024, '0')), std::nullopt);
  EXPECT_EQ(parse_long_double(std::string(5 * 1024 - 1, '0')), 0.0L);
}

TEST(Floats, AreWrittenWithoutExponentAndTrailingZeros) {
  EXPECT_EQ(format_long_double(0), "0");
  EXPECT_EQ(format_long_double(-0.0L), "0");
  EXPECT_EQ(format_long_double(3), "3");
  EXPECT_EQ(format_long_double(10), "10");
  EXPECT_EQ(format_long_double(-1.5L), "-1.5");
  EXPECT_EQ(format_long_double(0.1L + 0.2L), "0.3");
  EXPECT_EQ(format_long_double(1e-17L), "0.00000000000000001");
  EXPECT_EQ(format_long_double(1e-18L), "0");
  EXPECT_EQ(format_long_double(1e20L), "100000000000000000000");
  EXPECT_EQ(format_long_double(std::numeric_limits<long double>::max()).size(), 4933u);
}

TEST(Floats, DoNotDependOnTheLocaleOfTheProcess) {
  // A locale with a decimal comma, if the machine has one; else the test shows less.
  const std::string before = setlocale(LC_ALL, nullptr);
  setlocale(LC_ALL, "de_DE.UTF-8");
  EXPECT_EQ(format_long_double(1.5L), "1.5");
  EXPECT_EQ(parse_long_double("1.5"), 1.5L);
  EXPECT_EQ(parse_long_double("1,5"), std::nullopt);
  setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace raftkv::server
