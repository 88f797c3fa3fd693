// The table of all commands: finding one, and the errors for what is not there.

#include <algorithm>
#include <set>

#include "server/command/command.h"

namespace raftkv::server {
namespace {

const CommandTable& table() {
  return CommandTable::instance();
}

std::string error_of(const std::vector<std::string_view>& words) {
  const CommandSpec* spec = nullptr;
  return table().admission_error(words, &spec);
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? c - 32 : c; });
  return text;
}

TEST(Table, FindsEveryCommandInAnyCase) {
  ASSERT_GT(table().all().size(), 60u);
  for (const CommandSpec* spec : table().all()) {
    EXPECT_EQ(table().find(spec->name), spec);
    EXPECT_EQ(table().find(upper(spec->name)), spec) << spec->name;
  }
  EXPECT_EQ(table().find("iNcRbYfLoAt"), table().find("incrbyfloat"));
}

TEST(Table, FindsNothingUnderOtherNames) {
  for (const std::string_view name :
       {"", "ge", "gett", "get ", "g@t", "incrbyfloat2",
        "a name that is longer than any command has", "\xe7\xe5\xf4", "[et", "client|list"}) {
    EXPECT_EQ(table().find(name), nullptr) << name;
  }
  EXPECT_EQ(table().find(std::string_view("get\0", 4)), nullptr);
}

// Letters differ from other characters in more than the bit that tells upper from lower case.
TEST(Table, DoesNotTakeOtherCharactersForLetters) {
  for (const CommandSpec* spec : table().all()) {
    for (size_t i = 0; spec->name[i] != '\0'; ++i) {
      for (const int flip : {0x20 | 0x40, 0x40, 0x80, 0x01}) {
        std::string name = spec->name;
        name[i] = static_cast<char>(name[i] ^ flip);
        const CommandSpec* found = table().find(name);
        EXPECT_TRUE(found == nullptr || found->name == name) << spec->name << " as " << name;
      }
    }
  }
}

TEST(Table, ListsCommandsByName) {
  EXPECT_TRUE(std::ranges::is_sorted(
      table().all(), {}, [](const CommandSpec* spec) { return std::string_view(spec->name); }));
}

TEST(Table, ResolvesSubcommandsOfContainersOnly) {
  const std::vector<std::string_view> encoding = {"OBJECT", "Encoding", "k"};
  ASSERT_NE(table().resolve(encoding), nullptr);
  EXPECT_STREQ(table().resolve(encoding)->name, "encoding");
  const std::vector<std::string_view> get = {"get", "encoding"};
  EXPECT_STREQ(table().resolve(get)->name, "get");
  const std::vector<std::string_view> alone = {"object"};
  EXPECT_STREQ(table().resolve(alone)->name, "object");
  const std::vector<std::string_view> unknown = {"object", "nope"};
  EXPECT_EQ(table().resolve(unknown), nullptr);
  EXPECT_EQ(table().resolve({}), nullptr);
}

TEST(Admission, AcceptsWhatFits) {
  EXPECT_EQ(error_of({"get", "k"}), "");
  EXPECT_EQ(error_of({"DEL", "a", "b"}), "");
  EXPECT_EQ(error_of({"command"}), "");
  EXPECT_EQ(error_of({"command", "count"}), "");
  EXPECT_EQ(error_of({"MULTI"}), "");
}

TEST(Admission, GivesTheSpecAlsoWhenTheArityIsWrong) {
  const CommandSpec* spec = nullptr;
  const std::vector<std::string_view> words = {"get"};
  EXPECT_NE(table().admission_error(words, &spec), "");
  ASSERT_NE(spec, nullptr);
  EXPECT_STREQ(spec->name, "get");
}

TEST(Admission, QuotesAnUnknownCommandAsRedisDoes) {
  EXPECT_EQ(error_of({"FOO"}), "ERR unknown command 'FOO', with args beginning with: ");
  EXPECT_EQ(error_of({"foo", "a", "b c", ""}),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b c' '' ");
}

TEST(Admission, QuotesNoMoreThan128BytesOfACommandAndItsArguments) {
  const std::string name(200, 'n');
  const std::string argument(100, 'a');
  EXPECT_EQ(error_of({name}),
            "ERR unknown command '" + name.substr(0, 128) + "', with args beginning with: ");
  // The quotes and the space count: 128 - 103 bytes are left for the second, none for the third.
  EXPECT_EQ(error_of({"foo", argument, argument, argument}),
            "ERR unknown command 'foo', with args beginning with: '" + argument + "' '" +
                argument.substr(0, 25) + "' ");
}

TEST(Admission, NamesTheHelpOfAContainer) {
  EXPECT_EQ(error_of({"Object", "Nope"}), "ERR unknown subcommand 'Nope'. Try OBJECT HELP.");
  EXPECT_EQ(error_of({"command", "x"}), "ERR unknown subcommand 'x'. Try COMMAND HELP.");
}

TEST(Admission, NamesTheCommandWhoseArityIsWrong) {
  EXPECT_EQ(error_of({"GET"}), "ERR wrong number of arguments for 'get' command");
  EXPECT_EQ(error_of({"get", "a", "b"}), "ERR wrong number of arguments for 'get' command");
  EXPECT_EQ(error_of({"object"}), "ERR wrong number of arguments for 'object' command");
  EXPECT_EQ(error_of({"OBJECT", "FREQ"}),
            "ERR wrong number of arguments for 'object|freq' command");
  EXPECT_EQ(error_of({"client", "setname"}),
            "ERR wrong number of arguments for 'client|setname' command");
}

TEST(Admission, TakesNoEmptyCommand) {
  EXPECT_NE(error_of({}), "");
}

void visit_all(const std::function<void(const CommandSpec&)>& visit) {
  for (const CommandSpec* spec : table().all()) {
    visit(*spec);
    for (const CommandSpec& subcommand : spec->subcommands) visit(subcommand);
  }
}

TEST(Declarations, TellEverythingThatDocumentationNeeds) {
  visit_all([](const CommandSpec& spec) {
    for (const char* text : {spec.summary, spec.since, spec.complexity, spec.group}) {
      EXPECT_NE(std::string_view(text), "") << spec.name;
    }
  });
}

TEST(Declarations, OfDataCommandsAreEitherReadsOrWrites) {
  visit_all([](const CommandSpec& spec) {
    if (spec.is_data()) {
      EXPECT_NE(spec.is_write(), (spec.flags & kReadonly) != 0) << spec.name;
    }
  });
}

TEST(Declarations, OfContainersHaveHelpWhereTheyHaveSubcommands) {
  for (const CommandSpec* spec : table().all()) {
    if (!spec->subcommands.empty()) {
      EXPECT_NE(find_subcommand(*spec, "help"), nullptr) << spec->name;
    }
  }
}

TEST(Declarations, SayWhatIsDoneWithEachKey) {
  visit_all([](const CommandSpec& spec) {
    EXPECT_EQ(spec.keys.first != 0, spec.keys.access != 0) << spec.name;
  });
}

// Optional arguments may be missing, so a call that has only the others must have a fitting arity.
TEST(Declarations, HaveArgumentsThatFitTheArity) {
  const std::function<int(const ArgDoc&)> least = [&](const ArgDoc& argument) -> int {
    if (argument.flags & ArgDoc::kOptional) return 0;
    const int token = argument.token ? 1 : 0;
    const std::string_view type = argument.type;
    if (type == "pure-token") return token;
    if (type == "block") {
      int sum = token;
      for (const ArgDoc& child : argument.children) sum += least(child);
      return sum;
    }
    if (type == "oneof") {
      int fewest = 100;
      for (const ArgDoc& child : argument.children) fewest = std::min(fewest, least(child));
      return token + fewest;
    }
    return token + 1;
  };
  for (const CommandSpec* spec : table().all()) {
    if (!spec->subcommands.empty()) continue;
    int words = 1;
    for (const ArgDoc& argument : spec->arguments) words += least(argument);
    EXPECT_TRUE(arity_fits(*spec, static_cast<size_t>(words))) << spec->name << " " << words;
  }
}

}  // namespace
}  // namespace raftkv::server
