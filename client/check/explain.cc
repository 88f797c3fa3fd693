// Recognises the shapes that violations commonly have and says them in words.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "client/check/words.h"

namespace raftkv::client::check {
namespace {

using Text = std::optional<std::string>;

class Explainer {
 public:
  explicit Explainer(const Violation& violation)
      : violation_(violation), history_(*violation.whole.history) {}

  std::string text() const {
    if (violation_.whole.keys.size() == 1) {
      for (const auto shape : {&Explainer::twice_swapped, &Explainer::same_count_twice}) {
        if (const Text found = (this->*shape)()) return *found;
      }
      // The reply that came last is the one that could not be.
      std::vector<Entry> by_return = violation_.core;
      std::stable_sort(by_return.begin(), by_return.end(), [](const Entry& a, const Entry& b) {
        return a.operation->returned > b.operation->returned;
      });
      for (const Entry& entry : by_return) {
        if (entry.optional || entry.operation->action_count != 1) continue;
        if (const Text found = about(*entry.operation)) return *found;
      }
    }
    return fmt::format(
        "no order of {} that keeps to their times explains all replies, whatever else happened "
        "on {}",
        violation_.core.size() == 1 ? "this operation" : "these operations",
        violation_.whole.keys.size() == 1 ? "the key" : "these keys");
  }

 private:
  const Action& action_of(const Operation& operation) const {
    return history_.actions_of(operation)[0];
  }
  std::string show(CellId cell) const { return history_.cells.display(cell, 40); }

  bool any(const std::function<bool(const Operation&, const Action&)>& holds) const {
    return first(holds) != nullptr;
  }
  // Of all operations on the key that had or may have had an effect.
  const Operation* first(const std::function<bool(const Operation&, const Action&)>& holds) const {
    for (const Entry& entry : violation_.whole.entries) {
      for (const Action& action : history_.actions_of(*entry.operation)) {
        if (holds(*entry.operation, action)) return entry.operation;
      }
    }
    return nullptr;
  }
  const Operation* first_in_core(
      const std::function<bool(const Operation&, const Action&)>& holds) const {
    for (const Entry& entry : violation_.core) {
      for (const Action& action : history_.actions_of(*entry.operation)) {
        if (holds(*entry.operation, action)) return entry.operation;
      }
    }
    return nullptr;
  }
  static bool writes(const Action& action, CellId value) {
    return (action.kind == ActionKind::kSet || action.kind == ActionKind::kCas) &&
           action.value == value;
  }
  static bool computes(const Action& action) {
    return action.kind == ActionKind::kIncr || action.kind == ActionKind::kAppend;
  }
  CellId initial() const { return history_.initial[violation_.whole.keys[0]]; }

  Text twice_swapped() const {
    std::vector<const Operation*> swapped;
    for (const Entry& entry : violation_.core) {
      const Action& action = action_of(*entry.operation);
      if (action.kind != ActionKind::kCas || !action.has_result || action.result != 1) continue;
      swapped.push_back(entry.operation);
    }
    if (swapped.size() != 2) return {};
    const CellId expect = action_of(*swapped[0]).expect;
    if (action_of(*swapped[1]).expect != expect) return {};
    return fmt::format(
        "client {} and client {} both swapped {} for something else, and it was not written again "
        "in between: an update was lost",
        swapped[0]->client, swapped[1]->client, show(expect));
  }

  Text same_count_twice() const {
    const bool only_counts_up = !any([](const Operation&, const Action& action) {
      return action.kind != ActionKind::kGet &&
             (action.kind != ActionKind::kIncr || action.amount <= 0);
    });
    if (!only_counts_up) return {};
    for (const Entry& a : violation_.core) {
      for (const Entry& b : violation_.core) {
        const Action& one = action_of(*a.operation);
        const Action& two = action_of(*b.operation);
        if (&a >= &b || !one.has_result || !two.has_result || one.result != two.result ||
            one.kind != ActionKind::kIncr || two.kind != ActionKind::kIncr) {
          continue;
        }
        return fmt::format(
            "client {} and client {} were both told {} after adding to it: one of the two "
            "increments was lost",
            a.operation->client, b.operation->client, one.result);
      }
    }
    return {};
  }

  Text about(const Operation& operation) const {
    const Action& action = action_of(operation);
    switch (action.kind) {
      case ActionKind::kGet:
        return about_get(operation, action);
      case ActionKind::kIncr:
        return about_count(operation, action.result, "was told");
      case ActionKind::kLrange:
      case ActionKind::kSmembers:
        return about_elements(operation, action);
      default:
        return {};
    }
  }

  Text about_get(const Operation& read, const Action& action) const {
    const CellId value = action.value;
    const bool counted = any([](const Operation&, const Action& other) { return computes(other); });
    if (counted) {
      const auto number = history_.cells.integer(value);
      return number ? about_count(read, *number, "read") : Text();
    }
    if (const Text found = never_written(read, value)) return found;
    if (const Text found = overwritten(read, value)) return found;
    return went_back(read, value);
  }

  Text never_written(const Operation& read, CellId value) const {
    if (value == kAbsent || value == initial()) return {};
    const auto writes_it = [&](const Operation&, const Action& action) {
      return writes(action, value);
    };
    if (!any(writes_it)) {
      for (const Operation& operation : history_.operations) {
        if (operation.outcome != Outcome::kFailed) continue;
        for (const Action& action : history_.actions_of(operation)) {
          if (action.key != violation_.whole.keys[0] || !writes(action, value)) continue;
          return fmt::format(
              "client {} read {}, which only client {} tried to write, and that was answered as "
              "failed: a failed write took effect",
              read.client, show(value), operation.client);
        }
      }
      return fmt::format("client {} read {}, which nothing ever wrote", read.client, show(value));
    }
    const bool in_time = any([&](const Operation& write, const Action& action) {
      return writes(action, value) && write.call <= read.returned;
    });
    if (in_time) return {};
    return fmt::format("client {} read {} before its write was even called", read.client,
                       show(value));
  }

  // A write that returned before the read, with nothing to bring the older content back.
  Text overwritten(const Operation& read, CellId value) const {
    const Operation* newer = first_in_core([&](const Operation& write, const Action& action) {
      return (writes_other(action, value)) && write.outcome == Outcome::kOk &&
             write.returned < read.call;
    });
    if (newer == nullptr) return {};
    const bool may_come_back = any([&](const Operation& write, const Action& action) {
      const bool brings =
          value == kAbsent ? action.kind == ActionKind::kDel : writes(action, value);
      const bool before_newer = write.outcome == Outcome::kOk && write.returned < newer->call;
      return brings && !before_newer && write.call <= read.returned;
    });
    if (may_come_back) return {};
    const Action& write = action_of(*newer);
    const std::string done = write.kind == ActionKind::kDel
                                 ? std::string("del")
                                 : fmt::format("write of {}", show(write.value));
    if (value == kAbsent) {
      return fmt::format(
          "client {} found no such key after client {}'s {} had returned, and nothing deleted it "
          "in between: a lost write or a stale read",
          read.client, newer->client, done);
    }
    return fmt::format(
        "client {} read {} after client {}'s {} had returned, and nothing wrote {} in between: a "
        "stale read",
        read.client, show(value), newer->client, done, show(value));
  }
  static bool writes_other(const Action& action, CellId value) {
    if (action.kind == ActionKind::kDel) return value != kAbsent;
    if (action.kind == ActionKind::kCas && (!action.has_result || action.result != 1)) return false;
    return (action.kind == ActionKind::kSet || action.kind == ActionKind::kCas) &&
           action.value != value;
  }

  Text went_back(const Operation& read, CellId value) const {
    const Operation* earlier = first_in_core([&](const Operation& other, const Action& action) {
      return action.kind == ActionKind::kGet && action.value != value && other.returned < read.call;
    });
    if (earlier == nullptr) return {};
    return fmt::format(
        "client {} read {} after client {} had read {}: what was there before came back, though "
        "nothing can have written it in between",
        read.client, show(value), earlier->client, show(action_of(*earlier).value));
  }

  // Counters that only count up, from a number that is known.
  Text about_count(const Operation& read, int64_t number, const char* verb) const {
    const bool plain = !any([](const Operation&, const Action& action) {
      return action.kind != ActionKind::kGet &&
             (action.kind != ActionKind::kIncr || action.amount <= 0);
    });
    const auto start = initial() == kAbsent ? 0 : history_.cells.integer(initial());
    if (!plain || !start) return {};
    int64_t least = *start;
    int64_t most = *start;
    for (const Entry& entry : violation_.whole.entries) {
      for (const Action& action : history_.actions_of(*entry.operation)) {
        if (action.kind != ActionKind::kIncr) continue;
        const Operation& other = *entry.operation;
        if (other.call <= read.returned) most += action.amount;
        const bool surely = other.outcome == Outcome::kOk && other.returned < read.call;
        if (surely || &other == &read) least += action.amount;
      }
    }
    if (number > most) {
      return fmt::format(
          "client {} {} {}, but all increments called by then make at most {}: one was applied "
          "more than once",
          read.client, verb, number, most);
    }
    if (number < least) {
      return fmt::format(
          "client {} {} {}, but increments that had returned before make at least {}: an "
          "acknowledged one was lost, or the read was stale",
          read.client, verb, number, least);
    }
    return {};
  }

  int64_t count_in(CellId container, CellId element) const {
    const std::vector<CellId> all = history_.cells.elements(container);
    return std::count(all.begin(), all.end(), element);
  }

  Text about_elements(const Operation& read, const Action& action) const {
    const ActionKind adding =
        action.kind == ActionKind::kLrange ? ActionKind::kRpush : ActionKind::kSadd;
    const bool only_adds = !any([&](const Operation&, const Action& other) {
      return other.kind != adding && other.kind != action.kind;
    });
    for (const CellId element : history_.cells.elements(action.value)) {
      int64_t added = count_in(initial(), element);
      for (const Entry& entry : violation_.whole.entries) {
        if (entry.call > read.returned) break;
        for (const Action& other : history_.actions_of(*entry.operation)) {
          if (other.kind == adding) added += count_in(other.value, element);
        }
      }
      if (added == 0) {
        return fmt::format("client {} saw {}, which nothing had added", read.client, show(element));
      }
      const int64_t seen = count_in(action.value, element);
      if (only_adds && adding == ActionKind::kRpush && seen > added) {
        return fmt::format("client {} saw {} {} times, but it was pushed {}: applied twice",
                           read.client, show(element), seen,
                           added == 1 ? "once" : fmt::format("{} times", added));
      }
    }
    return only_adds ? about_missing(read, action, adding) : Text();
  }

  Text about_missing(const Operation& read, const Action& action, ActionKind adding) const {
    for (const Entry& entry : violation_.core) {
      const Operation& other = *entry.operation;
      if (other.outcome != Outcome::kOk || other.returned >= read.call) continue;
      const Action& done = action_of(other);
      if (done.kind == action.kind && !history_.cells.begins_with(action.value, done.value) &&
          done.kind == ActionKind::kLrange) {
        return fmt::format(
            "client {} saw {}, which does not go on from what client {} had seen before: {}",
            read.client, show(action.value), other.client, show(done.value));
      }
      if (done.kind != adding) continue;
      for (const CellId element : history_.cells.elements(done.value)) {
        if (count_in(action.value, element) > 0) continue;
        return fmt::format(
            "client {} did not see {}, which client {} had added before: an acknowledged write "
            "was lost, or the read was stale",
            read.client, show(element), other.client);
      }
    }
    return {};
  }

  const Violation& violation_;
  const History& history_;
};

}  // namespace

std::string explain(const Violation& violation) {
  return Explainer(violation).text();
}

}  // namespace raftkv::client::check
