// The table of all commands: one perfect hash over their names, and the errors for what is not
// there.

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "server/command/command.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// A command's name in lower case, padded with zeros: compared and hashed as three words. The size
// tells "get" from "get\0".
constexpr size_t kNameBytesMax = 24;

struct PackedName {
  uint64_t words[3] = {};
  uint64_t size = 0;
  friend bool operator==(const PackedName&, const PackedName&) = default;
};

// Adds 0x20 to each byte that is in 'A'..'Z', eight at a time. The high bit of a byte says whether
// it passed a bound. (So do some bytes that had it set before, but no command's name has any.)
uint64_t lower_ascii(uint64_t word) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x80 * kOnes;
  const uint64_t low_bits = word & ~kHigh;
  const uint64_t from_a = low_bits + (0x80 - 'A') * kOnes;
  const uint64_t beyond_z = low_bits + (0x80 - 'Z' - 1) * kOnes;
  return word + (((from_a & ~beyond_z & kHigh) >> 7) * 0x20);
}

// The name must not be longer than kNameBytesMax.
PackedName pack(std::string_view name) {
  PackedName packed;
  packed.size = name.size();
  name.copy(reinterpret_cast<char*>(packed.words), name.size());
  for (uint64_t& word : packed.words) word = lower_ascii(word);
  return packed;
}

constexpr size_t kPlaces = 2048;  // a power of two, some ten times the number of commands
constexpr int kPlaceBits = std::countr_zero(kPlaces);

size_t place_of(const PackedName& name, uint64_t multiplier) {
  const uint64_t mixed =
      name.words[0] ^ std::rotl(name.words[1], 21) ^ std::rotl(name.words[2], 42);
  return (mixed * multiplier) >> (64 - kPlaceBits);
}

[[noreturn]] void refuse_table(const char* why, const char* name) {
  std::fprintf(stderr, "the command table is wrong: %s: %s\n", why, name);
  std::abort();
}

// A programmer's mistake in a declaration is found when the process starts, not when it is called.
void check(const CommandSpec& spec, bool has_parent) {
  const bool container = !spec.subcommands.empty();
  const int handlers = (spec.data != nullptr) + (spec.local != nullptr);
  if (spec.arity == 0) refuse_table("no arity", spec.name);
  if (handlers > 1) refuse_table("two handlers", spec.name);
  if (handlers > 0 && (spec.flags & kStateMachine)) refuse_table("two handlers", spec.name);
  if (handlers == 0 && !container && !(spec.flags & (kSession | kStateMachine))) {
    refuse_table("no handler", spec.name);
  }
  if (std::strlen(spec.name) > kNameBytesMax) refuse_table("name too long", spec.name);
  if (has_parent && container) refuse_table("nested container", spec.name);
  if (spec.is_write() && !spec.is_data()) refuse_table("a write without data", spec.name);
  for (const CommandSpec& subcommand : spec.subcommands) check(subcommand, true);
}

}  // namespace

struct CommandTable::Impl {
  struct Place {
    PackedName name;
    const CommandSpec* spec = nullptr;
  };

  std::vector<const CommandSpec*> all;
  std::vector<Place> places;
  uint64_t multiplier = 0;

  void add(std::span<const CommandSpec> family) {
    for (const CommandSpec& spec : family) {
      check(spec, false);
      all.push_back(&spec);
    }
  }

  // True if no two names share a place under this multiplier.
  bool try_multiplier(uint64_t candidate) {
    multiplier = candidate;
    places.assign(kPlaces, {});
    for (const CommandSpec* spec : all) {
      const PackedName name = pack(spec->name);
      Place& place = places[place_of(name, multiplier)];
      if (place.spec) return false;
      place = {name, spec};
    }
    return true;
  }

  void finish() {
    const auto name_of = [](const CommandSpec* spec) { return std::string_view(spec->name); };
    std::ranges::sort(all, {}, name_of);
    const auto twice = std::ranges::adjacent_find(all, {}, name_of);
    if (twice != all.end()) refuse_table("declared twice", (*twice)->name);
    uint64_t candidate = 0x9E3779B97F4A7C15;
    for (int tries = 0; !try_multiplier(candidate); ++tries) {
      if (tries == 1'000'000) refuse_table("no perfect hash", "all");
      candidate = candidate * 6364136223846793005 + 1442695040888963407;
      candidate |= 1;
    }
  }
};

CommandTable::CommandTable() {
  auto* impl = new Impl;
  impl->add(string_commands());
  impl->add(generic_commands());
  impl->add(connection_commands());
  impl->add(cluster_commands());
  impl->add(server_commands());
  impl->add(save_commands());
  impl->add(command_commands());
  impl->add(transaction_commands());
  impl->add(raft_commands());
  impl->add(snapshot_commands());
  impl->add(once_commands());
  impl->finish();
  impl_ = impl;
}

const CommandTable& CommandTable::instance() {
  static const CommandTable table;
  return table;
}

const CommandSpec* CommandTable::find(std::string_view name) const {
  if (name.size() > kNameBytesMax) return nullptr;
  const PackedName packed = pack(name);
  const Impl::Place& place = impl_->places[place_of(packed, impl_->multiplier)];
  return place.name == packed ? place.spec : nullptr;
}

const CommandSpec* CommandTable::resolve(Args args) const {
  if (args.empty()) return nullptr;
  const CommandSpec* spec = find(args[0]);
  if (!spec || spec->subcommands.empty() || args.size() == 1) return spec;
  return find_subcommand(*spec, args[1]);
}

const CommandSpec* find_subcommand(const CommandSpec& container, std::string_view name) {
  for (const CommandSpec& subcommand : container.subcommands) {
    if (same_word(subcommand.name, name)) return &subcommand;
  }
  return nullptr;
}

namespace {

constexpr size_t kQuotedBytesMax = 128;

// What the client typed, as far as an error quotes it: Redis stops at a zero byte.
std::string_view quoted(std::string_view text, size_t bytes_max = kQuotedBytesMax) {
  return text.substr(0, std::min(text.find('\0'), bytes_max));
}

std::string unknown_command(Args args) {
  std::string beginning;
  for (size_t i = 1; i < args.size() && beginning.size() < kQuotedBytesMax; ++i) {
    const std::string_view argument = quoted(args[i], kQuotedBytesMax - beginning.size());
    beginning.append("'").append(argument).append("' ");
  }
  return std::string("ERR unknown command '")
      .append(quoted(args[0]))
      .append("', with args beginning with: ")
      .append(beginning);
}

std::string unknown_subcommand(Args args) {
  return std::string("ERR unknown subcommand '")
      .append(quoted(args[1]))
      .append("'. Try ")
      .append(upper_word(args[0]))
      .append(" HELP.");
}

}  // namespace

std::string CommandTable::admission_error(Args args, const CommandSpec** spec) const {
  *spec = resolve(args);
  if (*spec && arity_fits(**spec, args.size())) [[likely]]
    return (*spec)->refusal == nullptr ? std::string() : (*spec)->refusal(args);
  if (args.empty()) return "ERR empty command";
  const CommandSpec* command = find(args[0]);
  if (!command) return unknown_command(args);
  if (!*spec) return unknown_subcommand(args);
  std::string error = std::string("ERR wrong number of arguments for '") + command->name;
  if (*spec != command) error.append("|").append((*spec)->name);
  return error + "' command";
}

std::span<const CommandSpec* const> CommandTable::all() const {
  return impl_->all;
}

}  // namespace raftkv::server
