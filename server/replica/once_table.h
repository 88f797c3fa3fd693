// What is known of the commands that clients sent in sessions: replicated state, beside the
// keyspace. Filters duplicates, so that a command which is sent again after a lost reply is not
// executed again (Ongaro's thesis, 6.3).
//
// Pure: what comes of a call depends on the calls before it and on nothing else, so all replicas
// agree. Time is that of the log's entries. Limits come with the call that opens a session.
//
// Of each session it knows, for every sequence number from `acked` on, whether it was executed: all
// below `next` were, but those in `gaps`. So a command that overtook another (some of a pipeline
// may be refused before, and accepted after, a change of leaders) does not make the other one
// a duplicate. Replies are kept for the last so many executed; that others *were* executed is still
// known when their replies are gone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resp/reply_writer.h"
#include "server/command/once_command.h"
#include "storage/data/keyspace.h"

namespace raftkv::server {

class OnceTable {
 public:
  OnceTable() = default;
  OnceTable(OnceTable&&) = default;
  OnceTable& operator=(OnceTable&&) = default;

  // Ranges of numbers left out that one session may have. Constant, since it decides what is
  // executed.
  static constexpr size_t kGapsMax = 1024;

  // --- sessions --------------------------------------------------------------------------------

  // The number of the new session; nothing if `sessions_max` are open already. Numbers grow, and
  // are not below the microseconds of the time they were given at: one of another cluster, or of
  // one whose data was wiped, is not taken for one of ours.
  std::optional<uint64_t> open(const SessionOpening& opening, uint64_t now_us);
  // False if it was not open.
  bool close(uint64_t id, uint64_t now_us);
  // Removes what has expired, at most `limit` sessions, the earliest first. (What is left is gone
  // for everybody but the memory.)
  void expire(uint64_t now_us, size_t limit);

  // --- commands --------------------------------------------------------------------------------

  enum class Verdict : uint8_t {
    kFresh,      // execute it, and call executed()
    kKept,       // was executed; here is its reply
    kReplyGone,  // was executed; its reply is no longer kept
    kAcked,      // the client said that it would not ask again; nothing is known any more
    kTooManyGaps,
    kNoSession,
  };
  struct Answer {
    Verdict verdict = Verdict::kNoSession;
    resp::Protocol protocol = resp::Protocol::kResp2;  // of the session's replies
    std::string_view reply{};                          // of kKept; valid until the next change
    uint64_t acked = 0;                                // of kAcked: the lowest that is known
  };
  // A command comes. Also tells that its client needs nothing below `lowest_needed` (0: not said).
  Answer arrived(uint64_t id, uint64_t sequence, uint64_t lowest_needed, uint64_t now_us);
  // After kFresh, before any other call: it was executed, with this reply, an error for one.
  void executed(uint64_t id, uint64_t sequence, std::string_view reply);

  // --- facts -----------------------------------------------------------------------------------

  struct Facts {
    uint64_t id = 0;
    uint64_t ttl_us = 0;
    uint64_t used_us = 0;  // when a command last came, by the log's clock
    uint64_t executed = 0;
    uint64_t acked = 0;
    uint64_t next = 0;  // above all numbers executed
    size_t replies = 0;
    size_t reply_bytes = 0;
    resp::Protocol protocol = resp::Protocol::kResp2;
  };
  // Sessions that are open at `now_us`, by number, from `first_id` on, at most `limit`.
  std::vector<Facts> list(uint64_t first_id, size_t limit, uint64_t now_us) const;
  static constexpr size_t kListedMax = 1000;
  // Of a reply that tells of the first kListedMax sessions, about.
  size_t list_bytes() const { return std::min(count(), kListedMax) * 256; }
  // Those that have expired and still stand here included.
  size_t count() const { return sessions_.size(); }
  // Held in memory, with overheads, about.
  size_t bytes() const { return bytes_; }

  // --- snapshots -------------------------------------------------------------------------------

  // The whole table. Equal tables give equal bytes.
  std::string encode() const;
  // The error says what is wrong with the bytes.
  static std::expected<OnceTable, std::string> decode(std::string_view bytes);
  // Equal on two replicas if (and, but for collisions of 128 bits, only if) their tables are.
  data::Keyspace::Digest digest() const;

 private:
  struct Kept {
    uint64_t sequence = 0;
    std::string reply;
  };

  struct Session {
    uint64_t ttl_us = 0;
    uint64_t used_us = 0;
    resp::Protocol protocol = resp::Protocol::kResp2;
    uint64_t replies_max = 0;
    uint64_t reply_bytes_max = 0;
    uint64_t executed = 0;
    uint64_t acked = 1;
    uint64_t next = 1;
    std::map<uint64_t, uint64_t> gaps;  // first -> last, both included; apart from each other
    std::list<Kept> replies;            // in the order of execution
    std::map<uint64_t, std::list<Kept>::iterator> by_sequence;
    size_t reply_bytes = 0;

    uint64_t deadline_us() const { return used_us + ttl_us; }
  };
  using Sessions = std::map<uint64_t, Session>;

  class Reader;

  static std::expected<Session, std::string> decode_session(Reader& reader);
  static size_t memory_of(const Session& session);
  Sessions::iterator find_open(uint64_t id, uint64_t now_us);
  void use(uint64_t id, Session& session, uint64_t now_us);
  void remove(Sessions::iterator at);
  static bool was_executed(const Session& session, uint64_t sequence);
  static bool has_room_for_gap(const Session& session, uint64_t sequence);
  static void mark(Session& session, uint64_t sequence);
  void acknowledge(Session& session, uint64_t lowest_needed);
  void keep(Session& session, uint64_t sequence, std::string_view reply);
  void drop(Session& session, std::list<Kept>::iterator reply);

  Sessions sessions_;
  std::set<std::pair<uint64_t, uint64_t>> deadlines_;  // (deadline, id) of each session
  uint64_t last_id_ = 0;
  size_t bytes_ = 0;
};

}  // namespace raftkv::server
