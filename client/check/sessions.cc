#include "client/check/sessions.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "client/check/version_order.h"

namespace raftkv::client::check {
namespace {

struct Event {
  const Operation* operation = nullptr;
  const Action* action = nullptr;
};

bool is_look(ActionKind kind) {
  return kind == ActionKind::kGet || kind == ActionKind::kLrange || kind == ActionKind::kSmembers;
}

class KeySessions {
 public:
  KeySessions(const History& history, uint32_t key, std::vector<Event> events)
      : history_(history), cells_(history.cells), key_(key), events_(std::move(events)) {}

  std::optional<StaleViolation> check() {
    if (only(ActionKind::kIncr, ActionKind::kGet)) return check_growth();
    if (only(ActionKind::kRpush, ActionKind::kLrange)) return check_growth();
    if (only(ActionKind::kAppend, ActionKind::kGet)) return check_growth();
    if (auto found = check_written()) return found;
    return check_register();
  }

 private:
  bool only(ActionKind write, ActionKind read) const {
    bool written = false;
    for (const Event& event : events_) {
      if (event.action->kind == write) written = true;
      if (event.action->kind != write && event.action->kind != read) return false;
      if (event.action->kind == ActionKind::kIncr && event.action->amount <= 0) return false;
    }
    return written;
  }

  StaleViolation violation(std::string reason, std::vector<const Operation*> operations) const {
    std::sort(operations.begin(), operations.end(), [](const Operation* a, const Operation* b) {
      return std::pair(a->call, a->line) < std::pair(b->call, b->line);
    });
    operations.erase(std::unique(operations.begin(), operations.end()), operations.end());
    return {.key = key_, .reason = std::move(reason), .operations = std::move(operations)};
  }

  bool seen(const Event& event) const { return event.action->has_result; }

  // --- keys that only grow: the version is the number, or the length ---

  std::optional<int64_t> size_of(CellId cell) const {
    if (cell == kAbsent) return 0;
    if (cells_.is_list(cell)) return static_cast<int64_t>(cells_.element_count(cell));
    if (counts_) return cells_.integer(cell);
    return static_cast<int64_t>(cells_.bytes(cell).size());
  }

  std::optional<StaleViolation> check_growth() {
    counts_ = only(ActionKind::kIncr, ActionKind::kGet);
    if (auto found = counts_ ? check_sum() : check_beginnings()) return found;
    std::map<int64_t, std::vector<Event>> clients;
    for (const Event& event : events_) {
      if (seen(event)) clients[event.operation->client].push_back(event);
    }
    for (auto& [client, events] : clients) {
      if (auto found = check_client(events)) return found;
    }
    return {};
  }

  int64_t version_of(const Event& event) const {
    return is_look(event.action->kind) ? size_of(event.action->value).value_or(0)
                                       : event.action->result;
  }

  std::optional<StaleViolation> check_client(const std::vector<Event>& by_call) const {
    std::vector<Event> by_return = by_call;
    std::stable_sort(by_return.begin(), by_return.end(), [](const Event& a, const Event& b) {
      return a.operation->returned < b.operation->returned;
    });
    size_t returned = 0;
    const Event* newest = nullptr;
    for (const Event& event : by_call) {
      for (; returned < by_return.size() &&
             by_return[returned].operation->returned < event.operation->call;
           ++returned) {
        const Event& done = by_return[returned];
        if (newest == nullptr || version_of(done) > version_of(*newest)) newest = &done;
      }
      if (newest == nullptr || !is_look(event.action->kind) ||
          version_of(event) >= version_of(*newest)) {
        continue;
      }
      return violation(fmt::format("client {} saw {} after it had {} what came later ({} {}): {}",
                                   event.operation->client, cells_.display(event.action->value, 40),
                                   is_look(newest->action->kind) ? "seen" : "written",
                                   counts_ ? "the number" : "length", version_of(*newest),
                                   is_look(newest->action->kind) ? "its reads went back in time"
                                                                 : "it did not read its own write"),
                       {newest->operation, event.operation});
    }
    return {};
  }

  // A number that was read is no more than all increments called by then make.
  std::optional<StaleViolation> check_sum() const {
    const auto start = size_of(history_.initial[key_]);
    if (!start) return {};
    int64_t most = *start;
    size_t called = 0;
    std::vector<Event> by_return = events_;
    std::stable_sort(by_return.begin(), by_return.end(), [](const Event& a, const Event& b) {
      return a.operation->returned < b.operation->returned;
    });
    for (const Event& event : by_return) {
      for (;
           called < events_.size() && events_[called].operation->call <= event.operation->returned;
           ++called) {
        if (events_[called].action->kind == ActionKind::kIncr) {
          most += events_[called].action->amount;
        }
      }
      if (!seen(event)) continue;
      const bool number = !is_look(event.action->kind) || size_of(event.action->value).has_value();
      if (number && version_of(event) <= most) continue;
      return violation(
          fmt::format(
              "client {} saw {}, but the increments called by then make at most {}",
              event.operation->client,
              number ? std::to_string(version_of(event)) : cells_.display(event.action->value, 40),
              most),
          {event.operation});
    }
    return {};
  }

  // Each content that was read is the beginning of the longest one, which was really written.
  std::optional<StaleViolation> check_beginnings() const {
    const Event* longest = nullptr;
    for (const Event& event : events_) {
      if (!is_look(event.action->kind) || !seen(event)) continue;
      if (longest == nullptr || version_of(event) > version_of(*longest)) longest = &event;
    }
    if (longest == nullptr) return {};
    for (const Event& event : events_) {
      if (!is_look(event.action->kind) || !seen(event)) continue;
      if (cells_.begins_with(longest->action->value, event.action->value)) continue;
      return violation(
          fmt::format("client {} saw {}, client {} saw {}: neither goes on from the "
                      "other, as contents that are only added to must",
                      event.operation->client, cells_.display(event.action->value, 40),
                      longest->operation->client, cells_.display(longest->action->value, 40)),
          {event.operation, longest->operation});
    }
    return check_elements(*longest);
  }

  std::optional<StaleViolation> check_elements(const Event& read) const {
    if (!cells_.is_list(read.action->value)) return {};
    absl::flat_hash_map<CellId, int64_t> pushed;
    for (const CellId element : cells_.elements(history_.initial[key_])) ++pushed[element];
    for (const Event& event : events_) {
      if (is_look(event.action->kind) || event.operation->call > read.operation->returned) continue;
      for (const CellId element : cells_.elements(event.action->value)) ++pushed[element];
    }
    for (const CellId element : cells_.elements(read.action->value)) {
      if (--pushed[element] >= 0) continue;
      return violation(fmt::format("client {} saw {} more often than it was pushed",
                                   read.operation->client, cells_.display(element, 40)),
                       {read.operation});
    }
    return {};
  }

  // --- registers ---

  bool writes(const Action& action) const {
    if (action.kind == ActionKind::kSet) return true;
    // One that was not told whether it swapped may have.
    return action.kind == ActionKind::kCas && (!action.has_result || action.result != 0);
  }

  std::optional<StaleViolation> check_written() const {
    absl::flat_hash_map<CellId, int64_t> first_call;
    first_call[history_.initial[key_]] = INT64_MIN;
    for (const Event& event : events_) {
      const ActionKind kind = event.action->kind;
      if (kind == ActionKind::kDel) {
        first_call.try_emplace(kAbsent, event.operation->call);
      } else if (writes(*event.action)) {
        first_call.try_emplace(event.action->value, event.operation->call);  // events are by call
      } else if (!is_look(kind) && kind != ActionKind::kCas) {
        return {};  // what others leave depends on what they found
      }
    }
    for (const Event& event : events_) {
      if (!is_look(event.action->kind) || !seen(event)) continue;
      const auto written = first_call.find(event.action->value);
      if (written != first_call.end() && written->second <= event.operation->returned) continue;
      return violation(fmt::format("client {} read {}, which {}", event.operation->client,
                                   cells_.display(event.action->value, 40),
                                   written == first_call.end() ? "nothing ever wrote"
                                                               : "was only written later"),
                       {event.operation});
    }
    return {};
  }

  // Each value once, so that a read tells which write it saw. A key that is deleted may be absent
  // for several reasons: nothing is concluded from that then.
  std::optional<StaleViolation> check_register() const {
    absl::flat_hash_map<CellId, uint32_t> versions;
    versions[history_.initial[key_]] = 0;
    bool deleted = false;
    for (const Event& event : events_) {
      const ActionKind kind = event.action->kind;
      deleted = deleted || kind == ActionKind::kDel;
      if (writes(*event.action) &&
          !versions.try_emplace(event.action->value, versions.size()).second) {
        return {};  // written twice
      }
      if (!writes(*event.action) && kind != ActionKind::kDel && kind != ActionKind::kGet &&
          kind != ActionKind::kCas) {
        return {};
      }
    }
    if (deleted) versions.erase(kAbsent);
    VersionOrder order(static_cast<uint32_t>(versions.size() + (deleted ? 1 : 0)));
    std::vector<VersionOrder::Sighting> writes_seen;
    std::map<int64_t, std::vector<VersionOrder::Sighting>> by_client;
    static const Operation kBeginning = {.client = -1,
                                         .call = INT64_MIN,
                                         .returned = INT64_MIN,
                                         .line = 0,
                                         .first_action = 0,
                                         .action_count = 0,
                                         .outcome = Outcome::kOk};
    if (versions.contains(history_.initial[key_])) writes_seen.push_back({&kBeginning, 0});
    for (const Event& event : events_) {
      const bool write = writes(*event.action);
      const bool looks = event.action->kind == ActionKind::kGet && seen(event);
      if (!write && !looks) continue;
      const auto version = versions.find(event.action->value);
      if (version == versions.end()) continue;
      const VersionOrder::Sighting sighting = {event.operation, version->second};
      if (write) writes_seen.push_back(sighting);
      // A session knows of its own write once it was told.
      if (event.operation->outcome == Outcome::kOk) {
        by_client[event.operation->client].push_back(sighting);
      }
    }
    order.add_by_time(std::move(writes_seen));
    for (auto& [client, sightings] : by_client) order.add_by_time(std::move(sightings));
    return explained(order.contradiction());
  }

  std::optional<StaleViolation> explained(const std::vector<VersionOrder::Sighting>& circle) const {
    if (circle.empty()) return {};
    std::vector<const Operation*> operations;
    const Operation* last = nullptr;
    for (const auto& sighting : circle) {
      if (sighting.operation->line == 0) continue;
      operations.push_back(sighting.operation);
      const bool read = history_.actions_of(*sighting.operation)[0].kind == ActionKind::kGet;
      if (read && (last == nullptr || sighting.operation->call > last->call)) {
        last = sighting.operation;
      }
    }
    return violation(fmt::format("client {} went back in time: it read a value older than one it "
                                 "had read or written before",
                                 last == nullptr ? operations.front()->client : last->client),
                     operations);
  }

  const History& history_;
  const CellTable& cells_;
  const uint32_t key_;
  std::vector<Event> events_;  // by call
  bool counts_ = false;
};

}  // namespace

std::optional<StaleViolation> check_sessions(const History& history) {
  std::vector<std::vector<Event>> by_key(history.keys.size());
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kFailed) continue;
    for (const Action& action : history.actions_of(operation)) {
      by_key[action.key].push_back({&operation, &action});
    }
  }
  for (uint32_t key = 0; key < by_key.size(); ++key) {
    std::stable_sort(by_key[key].begin(), by_key[key].end(), [](const Event& a, const Event& b) {
      return a.operation->call < b.operation->call;
    });
    if (auto found = KeySessions(history, key, std::move(by_key[key])).check()) return found;
  }
  return {};
}

}  // namespace raftkv::client::check
