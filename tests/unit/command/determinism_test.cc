// Every data command with generated arguments: no crash, reads change nothing, and two replicas
// whose tables are laid out differently come to the same replies and the same data.

#include <random>

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

using server::CommandSpec;

struct Callable {
  const CommandSpec* spec;
  std::vector<std::string> name;  // one word or two
};

std::vector<Callable> data_commands() {
  std::vector<Callable> result;
  for (const CommandSpec* spec : server::CommandTable::instance().all()) {
    if (spec->data != nullptr) result.push_back({spec, {spec->name}});
    for (const CommandSpec& subcommand : spec->subcommands) {
      if (subcommand.data != nullptr) {
        result.push_back({&subcommand, {spec->name, subcommand.name}});
      }
    }
  }
  return result;
}

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  // Flushing is rare, or there would never be much to change.
  Callable command(const std::vector<Callable>& commands) {
    for (;;) {
      const Callable& drawn = commands[below(commands.size())];
      if (!drawn.name[0].starts_with("flush") || below(50) == 0) return drawn;
    }
  }

  uint64_t below(uint64_t bound) { return random_() % bound; }

  std::string word() {
    static const std::vector<std::string> kWords = {"a",
                                                    "b",
                                                    "c",
                                                    "d",
                                                    "",
                                                    "{t}x",
                                                    "0",
                                                    "1",
                                                    "-1",
                                                    "2",
                                                    "100",
                                                    "1000000",
                                                    "2000000000000",
                                                    "9223372036854775807",
                                                    "-9223372036854775808",
                                                    "0.1",
                                                    "-2.5e3",
                                                    "inf",
                                                    "nan",
                                                    "1e4930",
                                                    "EX",
                                                    "PX",
                                                    "EXAT",
                                                    "PXAT",
                                                    "KEEPTTL",
                                                    "PERSIST",
                                                    "NX",
                                                    "XX",
                                                    "GT",
                                                    "LT",
                                                    "GET",
                                                    "LEN",
                                                    "IDX",
                                                    "MINMATCHLEN",
                                                    "WITHMATCHLEN",
                                                    "REPLACE",
                                                    "DB",
                                                    "ASYNC",
                                                    "MATCH",
                                                    "COUNT",
                                                    "TYPE",
                                                    "*",
                                                    "[a-",
                                                    "string",
                                                    std::string("\0\xff\r\n", 4),
                                                    std::string(100, 'x')};
    return kWords[below(kWords.size())];
  }

  // Keys from few, so that commands meet each other's.
  std::string key() { return std::string(1, static_cast<char>('a' + below(4))); }

  std::vector<std::string> call(const Callable& command) {
    std::vector<std::string> words = command.name;
    const auto least = static_cast<size_t>(std::abs(command.spec->arity));
    const size_t size = least + (command.spec->arity < 0 ? below(5) : 0);
    while (words.size() < size) words.push_back(word());
    const server::KeyRange range = server::key_range(*command.spec, words.size());
    for (size_t i = 0; i < range.count; ++i) words[range.first + i * range.step] = key();
    if (below(20) == 0) words.pop_back();
    if (below(20) == 0) words.push_back(word());
    // Some megabytes are enough to see what is right, and LCS takes the product of its lengths.
    if (words.size() > 2 && words[0] == "setrange") words[2] = std::to_string(below(300));
    return words;
  }

 private:
  std::mt19937_64 random_;
};

TEST(EveryDataCommand, AnswersForAMissingKey) {
  for (const Callable& command : data_commands()) {
    DataWorld world;
    std::vector<std::string> words = command.name;
    while (words.size() < static_cast<size_t>(std::abs(command.spec->arity)))
      words.emplace_back("1");
    EXPECT_NE(world.call(words), "malformed") << words[0];
    EXPECT_NE(world.call(words), "") << words[0];
  }
}

TEST(EveryDataCommand, RefusesAWrongArity) {
  for (const Callable& command : data_commands()) {
    DataWorld world;
    std::vector<std::string> words = command.name;
    const auto least = static_cast<size_t>(std::abs(command.spec->arity));
    words.resize(least, "1");
    if (command.spec->arity > 0) {
      words.emplace_back("1");
    } else if (words.size() > command.name.size()) {
      words.pop_back();
    } else {
      continue;  // any number fits
    }
    EXPECT_THAT(world.call(words), testing::StartsWith("-ERR wrong number of arguments for '"));
  }
}

TEST(EveryDataCommand, GivesOneWellFormedReplyWhateverItsArguments) {
  const std::vector<Callable> commands = data_commands();
  Generator generator(1);
  DataWorld world;
  for (int i = 0; i < 60'000; ++i) {
    const std::vector<std::string> words = generator.call(generator.command(commands));
    world.protocol = i % 2 ? resp::Protocol::kResp3 : resp::Protocol::kResp2;
    world.now += static_cast<data::TimeMs>(generator.below(2));
    const std::string reply = world.call(words);
    ASSERT_TRUE(reply != "malformed" && !reply.empty()) << testing::PrintToString(words);
  }
}

TEST(EveryRead, ChangesNothing) {
  const std::vector<Callable> commands = data_commands();
  Generator generator(2);
  DataWorld world;
  for (int i = 0; i < 30'000; ++i) {
    const Callable command = generator.command(commands);
    const data::Keyspace::Digest before = world.digest();
    const size_t size_before = world.keyspace.size();
    const std::vector<std::string> words = generator.call(command);
    world.call(words);
    if (!command.spec->is_write()) {
      ASSERT_EQ(world.digest(), before) << testing::PrintToString(words);
      ASSERT_EQ(world.keyspace.size(), size_before) << testing::PrintToString(words);
    }
  }
}

TEST(EveryWrite, ThatFailsChangesNothing) {
  const std::vector<Callable> commands = data_commands();
  Generator generator(3);
  DataWorld world;
  for (int i = 0; i < 30'000; ++i) {
    const data::Keyspace::Digest before = world.digest();
    const std::vector<std::string> words = generator.call(generator.command(commands));
    if (world.run_bytes(words).starts_with("-")) {
      ASSERT_EQ(world.digest(), before) << testing::PrintToString(words);
    }
  }
}

TEST(EveryWrite, HasTheSameEffectAndReplyOnEveryReplica) {
  const std::vector<Callable> commands = data_commands();
  for (const uint64_t seed : {4, 5, 6}) {
    Generator generator(seed);
    DataWorld one(0x1234);
    DataWorld two(0xdeadbeefcafe);
    for (int i = 0; i < 20'000; ++i) {
      const Callable command = generator.command(commands);
      const std::vector<std::string> words = generator.call(command);
      one.now = two.now += static_cast<data::TimeMs>(generator.below(3));
      const std::string reply = one.run_bytes(words);
      const std::string other = two.run_bytes(words);
      if (command.spec->is_write()) {
        ASSERT_EQ(reply, other) << testing::PrintToString(words);
      }
      // One replica deletes what is due earlier than the other: no write may notice.
      if (generator.below(10) == 0) one.keyspace.expire_due(one.now, 1);
      if (i % 50 == 0) {
        ASSERT_EQ(one.digest(), two.digest()) << i;
      }
    }
    ASSERT_EQ(one.digest(), two.digest());
  }
}

}  // namespace
}  // namespace raftkv::test
