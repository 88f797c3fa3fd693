#include "resp/translate_reply.h"

#include <functional>

namespace raftkv::resp {
namespace {

using Write = std::function<void(ReplyWriter&)>;

std::string written(Protocol protocol, const Write& write) {
  std::string out;
  ReplyWriter writer(out, protocol);
  write(writer);
  return out;
}

std::string translated(std::string_view reply, Protocol from, Protocol to) {
  std::string out = "before";
  translate_reply(reply, from, to, out);
  return out.substr(6);
}

// Everything a writer can write but the null array, of which RESP3 does not tell that it is one.
const std::vector<Write> kEveryType = {
    [](ReplyWriter& w) { w.ok(); },
    [](ReplyWriter& w) { w.error("ERR $5 is %2"); },
    [](ReplyWriter& w) { w.integer(-17); },
    [](ReplyWriter& w) { w.bulk("*1\r\n_\r\n"); },
    [](ReplyWriter& w) { w.bulk(""); },
    [](ReplyWriter& w) { w.null(); },
    [](ReplyWriter& w) {
      w.array(2);
      w.null();
      w.array(0);
    },
    [](ReplyWriter& w) {
      w.map(2);
      w.bulk("a");
      w.double_value(1.5);
      w.bulk("b");
      w.set(1);
      w.boolean(true);
    },
    [](ReplyWriter& w) { w.boolean(false); },
    [](ReplyWriter& w) { w.double_value(-3e300); },
    [](ReplyWriter& w) { w.big_number("123456789012345678901234567890"); },
    [](ReplyWriter& w) { w.verbatim("txt", "a\r\nb"); },
    [](ReplyWriter& w) {
      w.push(1);
      w.integer(0);
    },
};

TEST(TranslateReply, MakesOfResp3ExactlyWhatResp2WouldHaveBeenWritten) {
  for (size_t i = 0; i < kEveryType.size(); ++i) {
    EXPECT_EQ(
        translated(written(Protocol::kResp3, kEveryType[i]), Protocol::kResp3, Protocol::kResp2),
        written(Protocol::kResp2, kEveryType[i]))
        << i;
  }
}

TEST(TranslateReply, ChangesOnlyTheNullsOfResp2) {
  EXPECT_EQ(
      translated("*4\r\n$-1\r\n*-1\r\n$2\r\nxy\r\n:1\r\n", Protocol::kResp2, Protocol::kResp3),
      "*4\r\n_\r\n_\r\n$2\r\nxy\r\n:1\r\n");
}

TEST(TranslateReply, CopiesWhatIsOfTheSameProtocol) {
  for (const Protocol protocol : {Protocol::kResp2, Protocol::kResp3}) {
    for (const Write& write : kEveryType) {
      const std::string reply = written(protocol, write);
      EXPECT_EQ(translated(reply, protocol, protocol), reply);
    }
  }
}

TEST(TranslateReplyDeathTest, EndsTheProcessOnBytesThatAreNoReply) {
  for (const char* bytes : {"$5\r\nab\r\n", "?1\r\n", "+OK", "*x\r\n", "=3\r\ntxt\r\n"}) {
    EXPECT_DEATH(translated(bytes, Protocol::kResp3, Protocol::kResp2), "translate_reply") << bytes;
  }
}

}  // namespace
}  // namespace raftkv::resp
