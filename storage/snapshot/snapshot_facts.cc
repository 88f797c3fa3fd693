#include "storage/snapshot/snapshot_facts.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "raft/codec.h"

namespace raftkv::storage {
namespace {

// Of the fields below. A file with another number is refused, whatever it may hold.
constexpr uint64_t kFormat = 1;
// As what other readers should see the file: the Redis whose dialect it is in.
constexpr std::string_view kRedisVersion = "7.0.15";

constexpr std::string_view kOurs = "raftkv-";
constexpr std::string_view kFormatField = "raftkv-format";
constexpr std::string_view kClusterField = "raftkv-cluster-id";
constexpr std::string_view kIndexField = "raftkv-index";
constexpr std::string_view kTermField = "raftkv-term";
constexpr std::string_view kTimeField = "raftkv-time-us";
constexpr std::string_view kMembershipField = "raftkv-membership";
constexpr std::string_view kPartPrefix = "raftkv-part-";

// Redis's tools print AUX fields: so they are text.
std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

std::optional<std::string> unhex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    uint8_t byte = 0;
    const char* end = text.data() + i + 2;
    const auto [stop, error] = std::from_chars(text.data() + i, end, byte, 16);
    if (error != std::errc() || stop != end) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

std::expected<uint64_t, std::string> number(std::string_view name, std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stop == end) return value;
  return std::unexpected(fmt::format("the field {} is no number: '{}'", name, text.substr(0, 40)));
}

}  // namespace

void encode_facts(const SnapshotFacts& facts, size_t memory, RdbEncoder& out) {
  const auto put = [&](std::string_view name, uint64_t value) {
    out.aux(name, fmt::to_string(value));
  };
  out.aux("redis-ver", kRedisVersion);
  put("redis-bits", 64);
  put("ctime", facts.meta.time_us / 1'000'000);
  put("used-mem", memory);
  put("aof-base", 0);

  put(kFormatField, kFormat);
  out.aux(kClusterField, facts.cluster_id);
  put(kIndexField, facts.meta.index);
  put(kTermField, facts.meta.term);
  put(kTimeField, facts.meta.time_us);
  if (!facts.meta.membership.voters.empty()) {
    std::string membership;
    raft::encode_membership(facts.meta.membership, membership);
    out.aux(kMembershipField, hex(membership));
  }
  for (const auto& [name, bytes] : facts.parts)
    out.aux(fmt::format("{}{}", kPartPrefix, name), hex(bytes));
}

std::expected<void, std::string> SnapshotFactsReader::take(std::string_view name,
                                                           std::string_view value) {
  if (!name.starts_with(kOurs)) return {};
  const auto set = [&](uint64_t& fact, bool& has) -> std::expected<void, std::string> {
    const auto parsed = number(name, value);
    if (!parsed) return std::unexpected(parsed.error());
    fact = *parsed;
    has = true;
    return {};
  };
  if (name == kFormatField) {
    bool has = false;
    return set(format_.emplace(), has);
  }
  if (name == kIndexField) return set(facts_.meta.index, has_index_);
  if (name == kTermField) return set(facts_.meta.term, has_term_);
  if (name == kTimeField) return set(facts_.meta.time_us, has_time_);
  if (name == kClusterField) {
    facts_.cluster_id = value;
    has_cluster_ = true;
    return {};
  }

  auto bytes = unhex(value);
  if (!bytes) return std::unexpected(fmt::format("the field {} is not hexadecimal", name));
  if (name == kMembershipField) {
    auto membership = raft::decode_membership(*bytes);
    if (!membership) {
      return std::unexpected(fmt::format("the field {}: {}", name, membership.error()));
    }
    facts_.meta.membership = std::move(*membership);
    return {};
  }
  if (name.starts_with(kPartPrefix)) {
    facts_.parts[std::string(name.substr(kPartPrefix.size()))] = std::move(*bytes);
    return {};
  }
  return std::unexpected(fmt::format("the field {} is not known", name));
}

std::expected<SnapshotFacts, std::string> SnapshotFactsReader::finish() {
  if (!format_)
    return std::unexpected("the file is no snapshot of a cluster: it has no raftkv-format");
  if (*format_ != kFormat) {
    return std::unexpected(
        fmt::format("the snapshot has format {}, and only {} is known", *format_, kFormat));
  }
  const std::array<std::pair<bool, std::string_view>, 4> needed = {{{has_cluster_, kClusterField},
                                                                    {has_index_, kIndexField},
                                                                    {has_term_, kTermField},
                                                                    {has_time_, kTimeField}}};
  for (const auto& [has, name] : needed) {
    if (!has) return std::unexpected(fmt::format("the field {} is missing", name));
  }
  return std::move(facts_);
}

}  // namespace raftkv::storage
