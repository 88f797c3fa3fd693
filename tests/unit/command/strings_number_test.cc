// Strings as numbers.

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

constexpr char kNotAnInteger[] = "-ERR value is not an integer or out of range";
constexpr char kNotAFloat[] = "-ERR value is not a valid float";

class Numbers : public testing::Test {
 protected:
  DataWorld world;
};

TEST_F(Numbers, BeginAtZero) {
  EXPECT_EQ(world.run("INCR a"), "1");
  EXPECT_EQ(world.run("DECR b"), "-1");
  EXPECT_EQ(world.run("INCRBY c 5"), "5");
  EXPECT_EQ(world.run("DECRBY d -5"), "5");
  EXPECT_EQ(world.run("INCRBYFLOAT e 0.5"), "'0.5'");
}

TEST_F(Numbers, KeepTheDeadline) {
  world.run("SET k 1 EX 10");
  EXPECT_EQ(world.run("INCR k"), "2");
  EXPECT_EQ(world.run("TTL k"), "10");
  EXPECT_EQ(world.run("INCRBYFLOAT k 0.5"), "'2.5'");
  EXPECT_EQ(world.run("TTL k"), "10");
}

TEST_F(Numbers, BeginAtZeroWhereTheKeyIsDue) {
  for (const std::string_view write : {"INCR k", "INCRBYFLOAT k 1"}) {
    world.run("SET k 100 PX 10");
    world.now += 10;
    world.run(write);
    EXPECT_EQ(world.run("GET k"), "'1'") << write;
    EXPECT_EQ(world.run("TTL k"), "-1") << write;
  }
}

TEST_F(Numbers, DoNotOverflow) {
  const std::string overflow = "-ERR increment or decrement would overflow";
  world.run("SET k 9223372036854775807");
  EXPECT_EQ(world.run("INCR k"), overflow);
  EXPECT_EQ(world.run("INCRBY k 9223372036854775807"), overflow);
  EXPECT_EQ(world.run("DECRBY k -1"), overflow);
  EXPECT_EQ(world.run("GET k"), "'9223372036854775807'");
  world.run("SET k -9223372036854775808");
  EXPECT_EQ(world.run("DECR k"), overflow);
  EXPECT_EQ(world.run("INCRBY k -1"), overflow);
  EXPECT_EQ(world.run("INCRBY k 9223372036854775807"), "-1");
  EXPECT_EQ(world.run("DECRBY k -9223372036854775808"), "-ERR decrement would overflow");
}

TEST_F(Numbers, RefuseWhatIsNoCanonicalInteger) {
  for (const std::string value :
       {"", " 1", "1 ", "01", "-0", "+1", "1.0", "abc", "9223372036854775808"}) {
    world.call({"SET", "k", value});
    EXPECT_EQ(world.run("INCR k"), kNotAnInteger) << value;
    EXPECT_EQ(world.run("GET k"), "'" + value + "'");
    EXPECT_EQ(world.call({"INCRBY", "n", value}), kNotAnInteger) << value;
    EXPECT_EQ(world.call({"DECRBY", "n", value}), kNotAnInteger) << value;
  }
  EXPECT_EQ(world.run("EXISTS n"), "0");
}

TEST_F(Numbers, WithFractionsAreDecimal) {
  world.run("SET k 10.50");
  EXPECT_EQ(world.run("INCRBYFLOAT k 0.1"), "'10.6'");
  EXPECT_EQ(world.run("GET k"), "'10.6'");
  EXPECT_EQ(world.run("INCRBYFLOAT k -5"), "'5.6'");
  world.run("SET k 5.0e3");
  EXPECT_EQ(world.run("INCRBYFLOAT k 2.0e2"), "'5200'");
  EXPECT_EQ(world.run("INCR k"), "5201") << "a result without decimals is an integer";
  EXPECT_EQ(world.run("INCRBYFLOAT k -5201"), "'0'");
  EXPECT_EQ(world.run("INCRBYFLOAT k -0.000000000000000001"), "'0'");
}

TEST_F(Numbers, WithFractionsRefuseWhatIsNone) {
  EXPECT_EQ(world.run("INCRBYFLOAT k x"), kNotAFloat);
  EXPECT_EQ(world.run("INCRBYFLOAT k nan"), kNotAFloat);
  EXPECT_EQ(world.call({"INCRBYFLOAT", "k", " 1"}), kNotAFloat);
  EXPECT_EQ(world.run("EXISTS k"), "0");
  world.run("SET k abc");
  EXPECT_EQ(world.run("INCRBYFLOAT k 1"), kNotAFloat);
}

TEST_F(Numbers, WithFractionsDoNotBecomeInfinite) {
  const std::string infinite = "-ERR increment would produce NaN or Infinity";
  EXPECT_EQ(world.run("INCRBYFLOAT k inf"), infinite);
  EXPECT_EQ(world.run("INCRBYFLOAT k -inf"), infinite);
  world.run("SET k 1e4932");
  EXPECT_EQ(world.run("INCRBYFLOAT k 1e4932"), infinite);
  EXPECT_EQ(world.run("GET k"), "'1e4932'");
}

}  // namespace
}  // namespace raftkv::test
