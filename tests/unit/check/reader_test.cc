#include "client/check/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/check/words.h"

namespace raftkv::client::check {
namespace {

using ::testing::HasSubstr;

ReadHistory read(const std::string& text) {
  std::istringstream in(text);
  return read_history(in);
}

TEST(Reader, EachMalformedLineIsToldWithItsNumberAndWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "no JSON"},
      {"[]", "must be a JSON object"},
      {R"({"client":1})", "\"op\" is missing"},
      {R"({"op":"fly","client":1,"key":"k","call":1,"return":2,"ok":true})", "unknown op \"fly\""},
      {R"({"op":"get","key":"k","call":1,"return":2,"ok":true,"value":null})",
       "\"client\" is missing"},
      {R"({"op":"get","client":1,"key":"k","call":1,"return":2,"ok":true})",
       "\"value\" is missing"},
      {R"({"op":"get","client":1,"key":"k","call":1,"ok":true,"value":null})",
       "\"return\" is missing"},
      {R"({"op":"get","client":1,"key":"k","call":3,"return":2,"ok":true,"value":null})",
       "\"return\" 2 is before \"call\" 3"},
      {R"({"op":"get","client":1,"key":"k","call":1.5,"return":2,"ok":true,"value":null})",
       "\"call\" must be an integer"},
      {R"({"op":"get","client":1,"key":"k","call":1,"return":18446744073709551615,"ok":true})",
       "beyond 64 bits"},
      {R"({"op":"get","client":1,"key":"k","call":1,"return":2,"ok":"maybe","value":null})",
       "\"ok\" must be true, false or \"unknown\""},
      {R"({"op":"get","client":1,"key":5,"call":1,"return":2,"ok":true,"value":null})",
       "\"key\" must be a string"},
      {R"({"op":"cas","client":1,"key":"k","call":1,"return":2,"ok":true,"value":"a","result":true})",
       "\"expect\" is missing"},
      {R"({"op":"cas","client":1,"key":"k","call":1,"return":2,"ok":true,"value":"a","expect":"b","result":1})",
       "must be true, false or null"},
      {R"({"op":"rpush","client":1,"key":"k","call":1,"return":2,"ok":true,"value":[],"result":1})",
       "empty array"},
      {R"({"op":"txn","client":1,"call":1,"return":2,"ok":true,"ops":[]})", "at least one op"},
      {R"({"op":"txn","client":1,"call":1,"return":2,"ok":true,"ops":[{"op":"txn"}]})",
       "op 1 of the txn"},
  };
  for (const auto& [text, what] : cases) {
    const ReadHistory got = read("\n" + std::string(text) + "\n");
    ASSERT_EQ(got.error_count, 1) << text;
    EXPECT_EQ(got.errors[0].line, 2) << text;
    EXPECT_THAT(got.errors[0].what, HasSubstr(what)) << text;
    EXPECT_TRUE(got.history->operations.empty() && got.history->actions.empty());
  }
}

TEST(Reader, AHugeLineIsRefusedAndTheNextOneRead) {
  const std::string good =
      R"({"op":"set","client":1,"key":"k","value":1,"call":1,"return":1,"ok":true})";
  const ReadHistory got = read(std::string(kLineBytesMax + 10, ' ') + "\n" + good);
  EXPECT_EQ(got.error_count, 1);
  EXPECT_THAT(got.errors[0].what, HasSubstr("longer than"));
  EXPECT_EQ(got.history->operations.size(), 1);
  EXPECT_EQ(command_text(*got.history, got.history->operations[0], false), "set '1'");
}

TEST(Reader, ErrorsAreCountedButOnlyTheFirstAreKept) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "x\n";
  EXPECT_EQ(read(text).error_count, 100);
  EXPECT_EQ(read(text).errors.size(), kInputErrorsShown);
}

TEST(Reader, AKeyBeginsOnce) {
  const std::string init = R"({"op":"init","key":"k","value":["a"]})";
  EXPECT_EQ(read(init).error_count, 0);
  EXPECT_THAT(read(init + "\n" + init).errors[0].what, HasSubstr("a second init of key \"k\""));
}

}  // namespace
}  // namespace raftkv::client::check
