#include "server/replica/state_machine.h"

#include <algorithm>
#include <cctype>

#include "server/replica/check.h"

namespace raftkv::server {

namespace {

constexpr size_t kStatsSlots = 1024;  // a power of two, several times the number of commands

std::string full_name(const CommandSpec& spec, Args args) {
  std::string first(args[0]);
  std::transform(first.begin(), first.end(), first.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return first == spec.name ? first : first + "|" + spec.name;
}

// Counts an error reply under its code, the first word.
void count_error(Stats& stats, std::string_view reply) {
  const std::string_view code = reply.substr(1, reply.find_first_of(" \r") - 1);
  auto it = stats.errors.find(code);
  if (it == stats.errors.end()) it = stats.errors.emplace(std::string(code), 0).first;
  ++it->second;
}

}  // namespace

StateMachine::StateMachine(uint64_t hash_seed, Stats& stats, uint64_t (*precise_clock_ns)())
    : keyspace_(hash_seed),
      stats_(stats),
      precise_clock_ns_(precise_clock_ns),
      stats_cache_(kStatsSlots) {}

CommandStats& StateMachine::stats_of(const CommandSpec& spec, Args args) {
  // CONFIG RESETSTAT empties the map: what the cache points to is gone then.
  if (stats_resets_ != stats_.resets) {
    stats_cache_.assign(kStatsSlots, {nullptr, nullptr});
    stats_resets_ = stats_.resets;
  }
  size_t slot = (reinterpret_cast<uintptr_t>(&spec) / alignof(CommandSpec)) % kStatsSlots;
  while (stats_cache_[slot].first != nullptr) {
    if (stats_cache_[slot].first == &spec) return *stats_cache_[slot].second;
    slot = (slot + 1) % kStatsSlots;
  }
  CommandStats& fresh = stats_.commands[full_name(spec, args)];
  stats_cache_[slot] = {&spec, &fresh};
  return fresh;
}

namespace {
constexpr std::string_view kOncePart = "sessions";
}  // namespace

std::map<std::string, std::string, std::less<>> StateMachine::encode_parts() const {
  return {{std::string(kOncePart), once_.encode()}};
}

std::expected<void, std::string> StateMachine::check_parts(const storage::SnapshotFacts& facts) {
  for (const auto& [name, bytes] : facts.parts) {
    if (name != kOncePart) {
      return std::unexpected("the snapshot has a part '" + name +
                             "' that this version does not know; upgrade this node");
    }
    if (auto decoded = OnceTable::decode(bytes); !decoded) {
      return std::unexpected("the snapshot's " + name + " are damaged: " + decoded.error());
    }
  }
  return {};
}

void StateMachine::restore(storage::LoadedSnapshot snapshot) {
  const auto part = snapshot.facts.parts.find(kOncePart);
  std::expected<OnceTable, std::string> once = OnceTable();
  if (part != snapshot.facts.parts.end()) once = OnceTable::decode(part->second);
  RAFTKV_CHECK(once.has_value(), "a snapshot's parts were not checked before they are restored");
  once_ = *std::move(once);
  keyspace_.replace_contents(std::move(snapshot.keyspace));
  applied_index_ = snapshot.facts.meta.index;
  log_time_us_ = snapshot.facts.meta.time_us;
}

void StateMachine::begin_entry(const raft::Entry& entry) {
  RAFTKV_CHECK(entry.index == applied_index_ + 1, "an entry was handed out of order");
  RAFTKV_CHECK(entry.time_us >= log_time_us_, "the log's clock ran backwards");
  log_time_us_ = entry.time_us;
}

void StateMachine::end_entry(const raft::Entry& entry,
                             const std::function<void(std::string_view)>& on_expired) {
  const data::TimeMs now = log_time_ms();
  const data::TimeMs earliest = keyspace_.earliest_expiry();
  if (earliest != data::kNoExpiry && earliest <= now) {
    stats_.expired_keys += keyspace_.expire_due(now, kExpirePerEntry, on_expired);
  }
  once_.expire(log_time_us_, kSessionsExpirePerEntry);
  applied_index_ = entry.index;
  ++stats_.entries_applied;
}

void StateMachine::run(const CommandSpec& spec, DataContext& context) {
  CommandStats& stats = stats_of(spec, context.args);
  const size_t before = context.reply.buffer().size();
  const uint64_t started = precise_clock_ns_ ? precise_clock_ns_() : 0;
  const bool counted = spec.data == nullptr && run_own(spec, context);
  if (spec.data != nullptr) spec.data(context);
  if (precise_clock_ns_) {
    stats.ns += precise_clock_ns_() - started;
    stats.us = stats.ns / 1000;
  }
  ++stats.calls;
  const std::string& out = context.reply.buffer();
  RAFTKV_CHECK(out.size() > before, "a command gave no reply");
  if (out[before] == '-') {
    ++stats.failed;
    if (!counted) count_error(stats_, std::string_view(out).substr(before));
  }
  stats_.keyspace_hits += context.keyspace_hits;
  stats_.keyspace_misses += context.keyspace_misses;
}

void StateMachine::run_write(const CommandSpec& spec, Args args, resp::ReplyWriter& reply) {
  DataContext context{keyspace_, data::Clock::at(log_time_ms()), args, reply};
  run(spec, context);
  ++stats_.commands_applied;
}

bool StateMachine::run_read(const CommandSpec& spec, Args args, data::Clock clock,
                            resp::ReplyWriter& reply) {
  DataContext context{keyspace_, clock, args, reply};
  run(spec, context);
  return !context.clock.unsettled;
}

void StateMachine::count_local_error(std::string_view reply) {
  count_error(stats_, reply);
}

}  // namespace raftkv::server
