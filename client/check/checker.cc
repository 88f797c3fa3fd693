#include "client/check/checker.h"

#include <algorithm>

#include "client/check/zones.h"

namespace raftkv::client::check {
namespace {

// Shrinking is a courtesy: it gets a share of the time, and each of its questions a bounded effort.
constexpr auto kShrinkTimeMax = std::chrono::seconds(20);
constexpr uint64_t kShrinkStepsMax = 300'000;

// The first of the returns at which the prefix is violated. A prefix of what has a valid order has
// one, so that the answer changes once; the steps double from where it may be at the earliest.
int64_t first_violated(const Problem& problem, int64_t not_before, const SearchLimits& limits) {
  std::vector<int64_t> returns;
  for (const Entry& entry : problem.entries) {
    if (entry.returned != kNever && entry.returned >= not_before) returns.push_back(entry.returned);
  }
  std::sort(returns.begin(), returns.end());
  const auto violated = [&](size_t i) {
    return decide(prefix(problem, returns[i]), limits).verdict == Verdict::kViolation;
  };
  size_t low = 0;  // all below have a valid order, or were not decided
  size_t high = returns.size() - 1;
  for (size_t step = 1, i = 0; i < high; i += step, step *= 2) {
    if (violated(i)) {
      high = i;
      break;
    }
    low = i + 1;
  }
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (violated(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return returns[high];
}

// What becomes of operations that are left out: reads are gone, and writes may have happened at any
// time or never, whatever they replied. So what is left is a violation whatever they did.
class Core {
 public:
  Core(const Problem& problem, const SearchLimits& limits)
      : problem_(problem), limits_(limits), kept_(problem.entries.size(), true) {}

  // Drops halves, quarters, and so on, then one by one. What was needed among more operations is
  // needed among fewer, so one pass of each size is enough.
  bool shrink() {
    for (size_t size = kept_.size() / 2 + 1; size >= 1; size /= 2) {
      for (size_t from = 0; from < kept_.size(); from += size) {
        try_without(from, std::min(from + size, kept_.size()));
      }
    }
    return minimal_;
  }

  [[nodiscard]] std::vector<Entry> entries() const {
    std::vector<Entry> result;
    for (size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i]) result.push_back(problem_.entries[i]);
    }
    return result;
  }

 private:
  void try_without(size_t from, size_t to) {
    const std::vector<bool> before = kept_;
    std::fill(kept_.begin() + static_cast<ptrdiff_t>(from),
              kept_.begin() + static_cast<ptrdiff_t>(to), false);
    if (kept_ == before) return;
    const Verdict verdict = decide(rest(), limits_).verdict;
    if (verdict == Verdict::kViolation) return;
    kept_ = before;
    if (verdict == Verdict::kUndecided && to - from == 1) minimal_ = false;
  }

  [[nodiscard]] Problem rest() const {
    Problem result{.history = problem_.history, .keys = problem_.keys, .entries = {}};
    std::vector<Entry> free;
    for (size_t i = 0; i < kept_.size(); ++i) {
      Entry entry = problem_.entries[i];
      if (kept_[i]) {
        result.entries.push_back(entry);
      } else if (!is_read(*problem_.history, entry) || changes_if_free(entry)) {
        entry.call = kAlways;
        entry.returned = kNever;
        entry.optional = true;
        entry.check_reply = false;
        if (!is_idle(*problem_.history, entry)) free.push_back(entry);
      }
    }
    result.entries.insert(result.entries.begin(), free.begin(), free.end());  // called first
    return result;
  }

  // A cas that did not swap, say, was a read by its reply alone.
  [[nodiscard]] bool changes_if_free(Entry entry) const {
    entry.optional = true;
    entry.check_reply = false;
    return !is_idle(*problem_.history, entry);
  }

  const Problem& problem_;
  const SearchLimits& limits_;
  std::vector<bool> kept_;
  bool minimal_ = true;
};

}  // namespace

SearchResult decide(const Problem& problem, const SearchLimits& limits) {
  if (const auto answer = zones_linearizable(problem)) {
    SearchResult result;
    result.verdict = *answer ? Verdict::kLinearizable : Verdict::kViolation;
    result.violated_at = kAlways;
    return result;
  }
  return search(problem, limits);
}

Violation shrink(const Problem& problem, int64_t not_before, const SearchLimits& limits) {
  SearchLimits each = limits;
  each.deadline = std::min(limits.deadline, std::chrono::steady_clock::now() + kShrinkTimeMax);
  each.steps_max = kShrinkStepsMax;
  Violation violation;
  violation.whole = problem;
  violation.at = first_violated(problem, not_before, each);
  const Problem until = prefix(problem, violation.at);
  Core core(until, each);
  violation.minimal = core.shrink();
  violation.core = core.entries();
  return violation;
}

CheckReport check_linearizable(History& history, const SearchLimits& limits) {
  CheckReport report;
  report.operations = history.operations.size();
  report.keys = history.keys.size();
  const std::vector<Problem> problems = split(history);
  report.parts = problems.size();
  const Problem* earliest = nullptr;
  int64_t earliest_at = kNever;
  SearchLimits shrink_limits = limits;
  shrink_limits.steps_max = kShrinkStepsMax;
  for (const Problem& problem : problems) {
    const SearchResult result = decide(problem, limits);
    if (result.verdict == Verdict::kUndecided) {
      if (report.undecided_keys.empty()) report.limit = result.limit;
      report.undecided_keys.push_back(problem.keys[0]);
    }
    if (result.verdict != Verdict::kViolation) continue;
    report.violated_keys.push_back(problem.keys[0]);
    // Of many the earliest is shown; an exact time is worth its search only while they are few.
    constexpr size_t kComparedMax = 20;
    if (report.violated_keys.size() > kComparedMax) continue;
    const int64_t at = first_violated(problem, result.violated_at, shrink_limits);
    if (earliest == nullptr || at < earliest_at) {
      earliest = &problem;
      earliest_at = at;
    }
  }
  if (earliest != nullptr) {
    report.violations.push_back(shrink(*earliest, earliest_at, limits));
    report.verdict = Verdict::kViolation;
  } else if (!report.undecided_keys.empty()) {
    report.verdict = Verdict::kUndecided;
  }
  return report;
}

}  // namespace raftkv::client::check
