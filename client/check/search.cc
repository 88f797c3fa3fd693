#include "client/check/search.h"

#include <algorithm>
#include <optional>

#include "client/check/append_only.h"
#include "client/check/configuration_set.h"
#include "client/check/op_order.h"
#include "client/check/readers.h"
#include "client/check/states.h"

namespace raftkv::client::check {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
constexpr uint64_t kStepsBetweenLooks = 1024;  // at the clock

class Search {
 public:
  Search(const Problem& problem, const SearchLimits& limits)
      : limits_(limits),
        cells_(problem.history->cells),
        cell_bytes_before_(cells_.memory_bytes()),
        states_(problem),
        order_(problem),
        readers_(problem, order_, states_),
        append_only_(problem, order_) {
    at_.state = states_.initial();
  }

  SearchResult run() {
    while (true) {
      if (order_.all_known_done()) return result(Verdict::kLinearizable);
      if (over_limit()) return result(Verdict::kUndecided);
      // The move that comes next in this configuration, or back to where there is one.
      if (advance()) continue;
      if (frames_.empty()) return result(Verdict::kViolation);
      take_back();
    }
  }

 private:
  // Where the search stands, besides what is done.
  struct Point {
    StateId state = 0;
    // If the last move was an optional operation: its number, and the state before it.
    uint32_t pending = kNone;
    StateId before_pending = 0;
    uint32_t next_choice = 0;  // the first one of this configuration that is still to be tried
    bool fresh = true;         // not looked at yet
  };
  struct Frame {
    Point from;
    uint32_t move = 0;
    bool optional = false;
  };

  bool advance() {
    order_.find_candidates(candidates_);
    if (at_.fresh) {
      if (take_fitting_read()) return true;
      at_.fresh = false;
      violated_at_ = std::max(violated_at_, candidates_.horizon);
      if (!visited_.insert(configuration())) {
        at_.next_choice = kNone;
        return false;
      }
    }
    if (at_.next_choice == kNone) return false;
    const auto known = static_cast<uint32_t>(candidates_.known.size());
    order_.sort_by_return(candidates_.known);
    for (uint32_t choice = at_.next_choice; choice < known; ++choice) {
      const uint32_t number = candidates_.known[choice];
      const auto next = states_.after(order_.known(number), at_.state);
      if (!next || !may_go(*next, number, false) ||
          pending_is_needless(order_.known(number), *next, kNone)) {
        continue;
      }
      at_.next_choice = choice + 1;
      move(number, false, *next);
      return true;
    }
    return try_optional(known);
  }

  bool try_optional(uint32_t known) {
    order_.find_optional(candidates_);
    const auto count = static_cast<uint32_t>(candidates_.optional.size());
    for (uint32_t choice = std::max(at_.next_choice, known) - known; choice < count; ++choice) {
      const uint32_t number = candidates_.optional[choice];
      const auto next = states_.after(order_.optional(number), at_.state);
      if (!next || *next == at_.state || !may_go(*next, number, true) ||
          pending_is_needless(order_.optional(number), *next, number)) {
        continue;
      }
      at_.next_choice = known + choice + 1;
      move(number, true, *next);
      return true;
    }
    at_.next_choice = kNone;
    return false;
  }

  [[nodiscard]] bool may_go(StateId next, uint32_t number, bool optional) const {
    return readers_.may_leave(at_.state, next, number, optional) &&
           append_only_.may_enter(next, optional ? kNone : number);
  }

  // A read takes the only way there is: no other choice is kept for when it fails.
  bool take_fitting_read() {
    for (const uint32_t number : candidates_.known) {
      if (!order_.is_read(number)) continue;
      if (!states_.after(order_.known(number), at_.state)) continue;
      at_.next_choice = kNone;
      at_.fresh = false;
      move(number, false, at_.state);
      return true;
    }
    return false;
  }

  // Whether the optional operation that was just taken could be left out or come later, were
  // `entry` (leading to `after_both`) next. `number`: the entry's, if it is optional too.
  bool pending_is_needless(const Entry& entry, StateId after_both, uint32_t number) {
    if (at_.pending == kNone) return false;
    const auto without = states_.after(entry, at_.before_pending);
    if (!without) return false;
    if (*without == after_both) return true;
    // Two optional operations that may trade places come in the order of their kinds.
    if (number != kNone && number >= at_.pending) return false;
    return states_.after(order_.optional(at_.pending), *without) == after_both;
  }

  void move(uint32_t number, bool optional, StateId next) {
    ++steps_;
    frames_.push_back({.from = at_, .move = number, .optional = optional});
    readers_.done(number, optional);
    if (optional) {
      order_.do_optional(number);
      at_ = {.state = next, .pending = number, .before_pending = at_.state};

    } else {
      order_.do_known(number);
      append_only_.done(number);
      at_ = {.state = next};
    }
  }

  void take_back() {
    const Frame& frame = frames_.back();
    readers_.undone(frame.move, frame.optional);
    if (frame.optional) {
      order_.undo_optional(frame.move);
    } else {
      order_.undo_known(frame.move);
      append_only_.undone(frame.move);
    }
    at_ = frame.from;
    frames_.pop_back();
  }

  std::span<const uint64_t> configuration() {
    words_.clear();
    words_.push_back(at_.state | uint64_t{at_.pending == kNone ? kNone : at_.pending} << 32);
    words_.push_back(at_.pending == kNone ? 0 : at_.before_pending);
    order_.append_done(words_);
    return words_;
  }

  bool over_limit() {
    if (steps_ > limits_.steps_max) limit_ = "steps";
    if (steps_ < next_look_) return *limit_ != '\0';
    next_look_ = steps_ + kStepsBetweenLooks;
    if (std::chrono::steady_clock::now() >= limits_.deadline) limit_ = "time";
    if (memory_bytes() > limits_.memory_bytes_max) limit_ = "memory";
    return *limit_ != '\0';
  }

  [[nodiscard]] size_t memory_bytes() const {
    return visited_.memory_bytes() + states_.memory_bytes() + cells_.memory_bytes() -
           cell_bytes_before_ + frames_.capacity() * sizeof(Frame);
  }

  [[nodiscard]] SearchResult result(Verdict verdict) const {
    return {.verdict = verdict, .violated_at = violated_at_, .steps = steps_, .limit = limit_};
  }

  const SearchLimits& limits_;
  const CellTable& cells_;
  const size_t cell_bytes_before_;
  States states_;
  OpOrder order_;
  Readers readers_;
  AppendOnly append_only_;
  ConfigurationSet visited_;
  std::vector<Frame> frames_;
  Point at_;
  OpOrder::Candidates candidates_;
  std::vector<uint64_t> words_;
  int64_t violated_at_ = kAlways;
  uint64_t steps_ = 0;
  uint64_t next_look_ = kStepsBetweenLooks;
  const char* limit_ = "";
};

}  // namespace

SearchResult search(const Problem& problem, const SearchLimits& limits) {
  CellTable& cells = problem.history->cells;
  const Problem reduced = without_unread_writes(problem);
  const size_t cells_before = cells.size();
  const SearchResult result = Search(reduced, limits).run();
  cells.forget_since(cells_before);
  return result;
}

}  // namespace raftkv::client::check
