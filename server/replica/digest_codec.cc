#include "server/replica/digest_codec.h"

#include "raft/wire.h"
#include "server/replica/check.h"

namespace raftkv::server {

namespace {

enum class EntryType : uint8_t { kCheck = 1, kVerdict = 2 };
enum class NoteType : uint8_t { kReport = 1 };

constexpr size_t kHalfBytes = 8;

void put_half(std::string& out, uint64_t value) {
  for (size_t i = 0; i < kHalfBytes; ++i) raft::put_byte(out, static_cast<uint8_t>(value >> 8 * i));
}

void put_digest(std::string& out, const Digest& digest) {
  put_half(out, digest.low);
  put_half(out, digest.high);
}

uint64_t take_half(raft::Source& in) {
  uint64_t value = 0;
  for (size_t i = 0; i < kHalfBytes; ++i) value |= uint64_t{in.byte("the digest")} << 8 * i;
  return value;
}

Digest take_digest(raft::Source& in) {
  Digest digest;
  digest.low = take_half(in);
  digest.high = take_half(in);
  return digest;
}

HostEntry take_entry(raft::Source& in) {
  switch (static_cast<EntryType>(in.byte("its type"))) {
    case EntryType::kCheck:
      return DigestCheck{.with_sessions = in.flags(1, "a check's flags") != 0};
    case EntryType::kVerdict: {
      DigestVerdict verdict;
      verdict.index = in.varint("a verdict's index");
      if (in.flags(1, "a verdict's flags") != 0) verdict.digest = take_digest(in);
      return verdict;
    }
  }
  in.fail("is of an unknown ", "type");
  return DigestCheck{};
}

}  // namespace

std::string encode_host_entry(const HostEntry& entry) {
  std::string out;
  if (const auto* check = std::get_if<DigestCheck>(&entry)) {
    raft::put_byte(out, static_cast<uint8_t>(EntryType::kCheck));
    raft::put_flags(out, check->with_sessions, false);
    return out;
  }
  const auto& verdict = std::get<DigestVerdict>(entry);
  raft::put_byte(out, static_cast<uint8_t>(EntryType::kVerdict));
  raft::put_varint(out, verdict.index);
  raft::put_flags(out, verdict.digest.has_value(), false);
  if (verdict.digest) put_digest(out, *verdict.digest);
  return out;
}

HostEntry decode_host_entry(std::string_view bytes) {
  raft::Source in(bytes);
  HostEntry entry = take_entry(in);
  const std::string error = !in.failed() && !in.rest().empty() ? "has bytes too many" : in.error();
  if (!error.empty()) {
    die("an entry of the log that is no command " + error +
            "; if it was written by a later version, upgrade this node",
        __FILE__, __LINE__);
  }
  return entry;
}

std::string encode_digest_report(const DigestReport& report) {
  std::string out;
  raft::put_byte(out, static_cast<uint8_t>(NoteType::kReport));
  raft::put_varint(out, report.index);
  put_digest(out, report.digest);
  return out;
}

std::expected<DigestReport, std::string> decode_digest_report(std::string_view bytes) {
  raft::Source in(bytes);
  DigestReport report;
  if (in.byte("the note's type") != static_cast<uint8_t>(NoteType::kReport)) {
    in.fail("is of an unknown ", "type");
  }
  report.index = in.varint("the report's index");
  report.digest = take_digest(in);
  if (in.failed()) return std::unexpected(in.error());
  if (!in.rest().empty()) return std::unexpected(std::string("has bytes too many"));
  return report;
}

}  // namespace raftkv::server
