// COMMAND and its subcommands, and HELP of the containers here.

#include "tests/support/run_local.h"
#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class Command : public testing::Test {
 protected:
  std::string run(std::string_view line) {
    const std::vector<std::string> words = split_words(line);
    return readable(world.run({words.begin(), words.end()}));
  }
  void use_resp3() { world.client.protocol = resp::Protocol::kResp3; }

  LocalWorld world;
};

TEST_F(Command, CountIsThatOfTheTable) {
  EXPECT_EQ(run("COMMAND COUNT"), std::to_string(server::CommandTable::instance().all().size()));
}

TEST_F(Command, InfoHasTheTenElementsOfRedis) {
  EXPECT_EQ(run("COMMAND INFO get"),
            "[['get', 2, [readonly, fast], 1, 1, 1, [@read, @string, @fast], [], "
            "[['flags', [RO, access], "
            "'begin_search', ['type', 'index', 'spec', ['index', 1]], "
            "'find_keys', ['type', 'range', 'spec', ['lastkey', 0, 'keystep', 1, 'limit', 0]]]], "
            "[]]]");
}

TEST_F(Command, InfoUsesSetsAndMapsInRespThree) {
  use_resp3();
  EXPECT_EQ(run("COMMAND INFO mset"),
            "[['mset', -3, (write, denyoom), 1, -1, 2, (@write, @string, @slow), "
            "('request_policy:multi_shard', 'response_policy:all_succeeded'), "
            "({'flags': (OW, update), "
            "'begin_search': {'type': 'index', 'spec': {'index': 1}}, "
            "'find_keys': {'type': 'range', 'spec': {'lastkey': -1, 'keystep': 2, 'limit': 0}}}), "
            "[]]]");
}

TEST_F(Command, InfoGivesKeysThatAreUsedDifferentlySpecificationsOfTheirOwn) {
  const std::string info = run("COMMAND INFO rename");
  EXPECT_THAT(info, testing::HasSubstr("['flags', [RW, access, delete], 'begin_search', "
                                       "['type', 'index', 'spec', ['index', 1]]"));
  EXPECT_THAT(info, testing::HasSubstr("['flags', [OW, update], 'begin_search', "
                                       "['type', 'index', 'spec', ['index', 2]]"));
}

TEST_F(Command, InfoNestsSubcommandsAndTakesTheirFullNames) {
  const std::string object = run("COMMAND INFO object");
  EXPECT_THAT(object,
              testing::StartsWith("[['object', -2, [], 0, 0, 0, [@slow], [], [], [['object|"));
  const std::string encoding = run("COMMAND INFO Object|Encoding");
  EXPECT_THAT(encoding, testing::StartsWith("[['object|encoding', 3, [readonly], 2, 2, 1, "));
  EXPECT_THAT(object, testing::HasSubstr(encoding.substr(1, encoding.size() - 2)));
}

TEST_F(Command, InfoAnswersNullForWhatIsNotThere) {
  EXPECT_EQ(run("COMMAND INFO nope object|nope get|x"), "[nil, nil, nil]");
}

TEST_F(Command, InfoOfEverythingIsWhatCommandAloneSays) {
  EXPECT_EQ(run("COMMAND INFO"), run("COMMAND"));
  const std::string header =
      "*" + std::to_string(server::CommandTable::instance().all().size()) + "\r\n";
  EXPECT_TRUE(world.run({"COMMAND"}).starts_with(header));
}

TEST_F(Command, DocsDescribeArguments) {
  use_resp3();
  EXPECT_EQ(run("COMMAND DOCS getex"),
            "{'getex': {"
            "'summary': 'Returns the string of a key and sets or removes its deadline.', "
            "'since': '6.2.0', 'group': 'string', 'complexity': 'O(1)', "
            "'arguments': [{'name': 'key', 'type': 'key', 'key_spec_index': 0}, "
            "{'name': 'expiration', 'type': 'oneof', 'flags': (optional), 'arguments': ["
            "{'name': 'seconds', 'type': 'integer', 'token': 'EX'}, "
            "{'name': 'milliseconds', 'type': 'integer', 'token': 'PX'}, "
            "{'name': 'unix-time-seconds', 'type': 'unix-time', 'token': 'EXAT'}, "
            "{'name': 'unix-time-milliseconds', 'type': 'unix-time', 'token': 'PXAT'}, "
            "{'name': 'persist', 'type': 'pure-token', 'token': 'PERSIST'}]}]}}");
}

TEST_F(Command, DocsNumberKeysThatHaveSpecificationsOfTheirOwn) {
  use_resp3();
  EXPECT_THAT(run("COMMAND DOCS rename"), testing::HasSubstr("'newkey', 'type': 'key', "
                                                             "'key_spec_index': 1"));
  EXPECT_THAT(run("COMMAND DOCS lcs"), testing::HasSubstr("'key2', 'type': 'key', "
                                                          "'key_spec_index': 0"));
}

TEST_F(Command, DocsSayWhatIsDeprecated) {
  use_resp3();
  EXPECT_THAT(run("COMMAND DOCS substr"),
              testing::HasSubstr("'doc_flags': (deprecated), 'deprecated_since': '2.0.0', "
                                 "'replaced_by': '`GETRANGE`'"));
}

TEST_F(Command, DocsLeaveOutWhatIsNotThere) {
  EXPECT_EQ(run("COMMAND DOCS nope"), "[]");
  EXPECT_THAT(run("COMMAND DOCS nope object"), testing::HasSubstr("'subcommands', ['object|"));
}

TEST_F(Command, DocsCoverTheWholeTable) {
  use_resp3();
  const std::string docs = run("COMMAND DOCS");
  for (const server::CommandSpec* spec : server::CommandTable::instance().all()) {
    EXPECT_THAT(docs, testing::HasSubstr("'" + std::string(spec->name) + "': {'summary': "));
  }
}

TEST_F(Command, GetkeysFindsTheKeysOfACall) {
  EXPECT_EQ(run("COMMAND GETKEYS mset a 1 b 2"), "['a', 'b']");
  EXPECT_EQ(run("COMMAND GETKEYS object encoding k"), "['k']");
  EXPECT_EQ(run("COMMAND GETKEYS WATCH a b"), "['a', 'b']");
}

TEST_F(Command, GetkeysRefusesAsRedisDoes) {
  EXPECT_EQ(run("COMMAND GETKEYS nope k"), "-ERR Invalid command specified");
  EXPECT_EQ(run("COMMAND GETKEYS object nope k"), "-ERR Invalid command specified");
  EXPECT_EQ(run("COMMAND GETKEYS ping k"), "-ERR The command has no key arguments");
  EXPECT_EQ(run("COMMAND GETKEYS get k k"),
            "-ERR Invalid number of arguments specified for command");
  EXPECT_EQ(run("COMMAND GETKEYS get"),
            "-ERR wrong number of arguments for 'command|getkeys' command");
}

TEST_F(Command, GetkeysandflagsSaysWhatIsDoneWithEach) {
  EXPECT_EQ(run("COMMAND GETKEYSANDFLAGS rename a b"),
            "[['a', [RW, access, delete]], ['b', [OW, update]]]");
  EXPECT_EQ(run("COMMAND GETKEYSANDFLAGS set k v"), "[['k', [OW, update]]]");
  EXPECT_EQ(run("COMMAND GETKEYSANDFLAGS set k get"), "[['k', [OW, update]]]");
  EXPECT_EQ(run("COMMAND GETKEYSANDFLAGS set k v EX 10 get"), "[['k', [RW, access, update]]]");
}

TEST_F(Command, ListFilters) {
  EXPECT_EQ(run("COMMAND LIST FILTERBY PATTERN GET*"),
            "['get', 'getdel', 'getex', 'getrange', 'getset']");
  EXPECT_EQ(run("COMMAND LIST FILTERBY pattern object|f*"), "['object|freq']");
  EXPECT_EQ(run("COMMAND LIST FILTERBY ACLCAT Transaction"),
            "['discard', 'exec', 'multi', 'unwatch', 'watch']");
  EXPECT_EQ(run("COMMAND LIST FILTERBY ACLCAT nope"), "[]");
  EXPECT_EQ(run("COMMAND LIST FILTERBY MODULE any"), "[]");
  EXPECT_EQ(run("COMMAND LIST FILTERBY"), "-ERR syntax error");
  EXPECT_EQ(run("COMMAND LIST FILTERBY FOO bar"), "-ERR syntax error");
  EXPECT_THAT(run("COMMAND LIST"), testing::HasSubstr("'command', 'command|count', "));
}

TEST_F(Command, HelpListsSubcommands) {
  EXPECT_THAT(
      run("COMMAND HELP"),
      testing::StartsWith("[COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
  EXPECT_THAT(run("OBJECT HELP"), testing::HasSubstr("ENCODING <key>"));
  EXPECT_EQ(run("OBJECT HELP k"), "-ERR wrong number of arguments for 'object|help' command");
}

}  // namespace
}  // namespace raftkv::test
