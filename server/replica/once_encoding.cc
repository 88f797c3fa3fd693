// The table of sessions as bytes, for snapshots.
//
//   table   := version (1 byte), last id, number of sessions, session*   in order of their ids
//   session := id, ttl_us, used_us, protocol, replies_max, reply_bytes_max, executed, acked, next,
//              number of gaps, (first, last)*      in order
//              number of replies, (sequence, length, bytes)*   in the order of execution
//
// All numbers are varints. Integrity is the snapshot's business; what is checked here is that the
// bytes describe a table that the code could have made, since it relies on that.
#include <xxhash.h>

#include <fmt/format.h>

#include "server/replica/once_table.h"

namespace raftkv::server {

namespace {

constexpr char kVersion = 1;
constexpr uint64_t kSequenceMax = INT64_MAX;  // as admission takes them

void append_number(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

std::unexpected<std::string> wrong(std::string_view what) {
  return std::unexpected(fmt::format("the table of sessions is damaged: {}", what));
}

}  // namespace

// Reads numbers until something is wrong; from then on only zeros.
class OnceTable::Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  uint64_t number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail();
    return 0;
  }

  std::string_view bytes(uint64_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  bool failed() const { return failed_; }
  bool done() const { return rest_.empty(); }

 private:
  void fail() {
    failed_ = true;
    rest_ = {};
  }

  std::string_view rest_;
  bool failed_ = false;
};

std::string OnceTable::encode() const {
  std::string out(1, kVersion);
  append_number(out, last_id_);
  append_number(out, sessions_.size());
  for (const auto& [id, session] : sessions_) {
    for (const uint64_t number :
         {id, session.ttl_us, session.used_us, static_cast<uint64_t>(session.protocol),
          session.replies_max, session.reply_bytes_max, session.executed, session.acked,
          session.next}) {
      append_number(out, number);
    }
    append_number(out, session.gaps.size());
    for (const auto& [first, last] : session.gaps) {
      append_number(out, first);
      append_number(out, last);
    }
    append_number(out, session.replies.size());
    for (const Kept& kept : session.replies) {
      append_number(out, kept.sequence);
      append_number(out, kept.reply.size());
      out.append(kept.reply);
    }
  }
  return out;
}

std::expected<OnceTable::Session, std::string> OnceTable::decode_session(Reader& reader) {
  Session session;
  session.ttl_us = reader.number();
  session.used_us = reader.number();
  session.protocol = static_cast<resp::Protocol>(reader.number());
  session.replies_max = reader.number();
  session.reply_bytes_max = reader.number();
  session.executed = reader.number();
  session.acked = reader.number();
  session.next = reader.number();
  if (session.protocol != resp::Protocol::kResp2 && session.protocol != resp::Protocol::kResp3) {
    return wrong("an unknown protocol");
  }
  if (session.acked == 0 || session.acked > session.next || session.next > kSequenceMax + 1) {
    return wrong("its bounds are mixed up");
  }
  uint64_t free_from = session.acked;
  for (uint64_t gaps = reader.number(); gaps > 0 && !reader.failed(); --gaps) {
    const uint64_t first = reader.number();
    const uint64_t last = reader.number();
    if (first < free_from || last < first || last >= session.next) return wrong("a gap lies wrong");
    session.gaps.emplace_hint(session.gaps.end(), first, last);
    free_from = last + 2;
  }
  for (uint64_t replies = reader.number(); replies > 0 && !reader.failed(); --replies) {
    const uint64_t sequence = reader.number();
    const std::string_view reply = reader.bytes(reader.number());
    if (sequence < session.acked || !was_executed(session, sequence)) {
      return wrong("a reply to what was not executed");
    }
    session.replies.push_back({sequence, std::string(reply)});
    session.reply_bytes += reply.size();
    if (!session.by_sequence.emplace(sequence, std::prev(session.replies.end())).second) {
      return wrong("two replies to one command");
    }
  }
  if (session.gaps.size() > kGapsMax || session.replies.size() > session.replies_max ||
      session.reply_bytes > session.reply_bytes_max) {
    return wrong("more than the limits allow");
  }
  return session;
}

std::expected<OnceTable, std::string> OnceTable::decode(std::string_view bytes) {
  if (bytes.empty()) return wrong("there is none");
  if (bytes.front() != kVersion) {
    return std::unexpected(fmt::format(
        "the table of sessions has version {}, this program knows {}; upgrade this node",
        static_cast<int>(bytes.front()), static_cast<int>(kVersion)));
  }
  OnceTable table;
  Reader reader(bytes.substr(1));
  table.last_id_ = reader.number();
  uint64_t id_before = 0;
  for (uint64_t count = reader.number(); count > 0 && !reader.failed(); --count) {
    const uint64_t id = reader.number();
    auto session = decode_session(reader);
    if (reader.failed()) break;
    if (!session) return std::unexpected(std::move(session.error()));
    if (id <= id_before || id > table.last_id_) return wrong("the numbers of sessions");
    id_before = id;
    table.deadlines_.emplace(session->deadline_us(), id);
    table.bytes_ += memory_of(*session);
    table.sessions_.emplace_hint(table.sessions_.end(), id, *std::move(session));
  }
  if (reader.failed()) return wrong("it is cut off");
  if (!reader.done()) return wrong("bytes behind its end");
  return table;
}

data::Keyspace::Digest OnceTable::digest() const {
  const std::string bytes = encode();
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

}  // namespace raftkv::server
