// What is ordered already and what may come next, for one search.
#pragma once

#include <cstdint>
#include <vector>

#include "client/check/problem.h"

namespace raftkv::client::check {

class OpOrder {
 public:
  // `problem` outlives this.
  explicit OpOrder(const Problem& problem);

  // Operations that surely took effect go by their number in the order of their calls. Optional
  // ones go by their kind: those that differ in nothing but their call are of one kind, and of them
  // the one called first is done first.
  struct Candidates {
    int64_t horizon = kNever;  // when the first one that is not done returned
    std::vector<uint32_t> known;
    std::vector<uint32_t> optional;
  };

  // What may be next: not done, and called before anything else that is not done returned.
  // Sets `horizon` and `known`, in the order of calls.
  void find_candidates(Candidates& candidates) const;
  // Sets `optional` by the horizon.
  void find_optional(Candidates& candidates) const;
  // The most urgent first.
  void sort_by_return(std::vector<uint32_t>& numbers) const;

  void do_known(uint32_t number);
  void do_optional(uint32_t kind) { ++kinds_[kind].done; }
  // The last one done is undone first.
  void undo_known(uint32_t number);
  void undo_optional(uint32_t kind) { --kinds_[kind].done; }

  [[nodiscard]] bool all_known_done() const { return done_count_ == known_.size(); }
  [[nodiscard]] uint32_t known_count() const { return static_cast<uint32_t>(known_.size()); }
  [[nodiscard]] uint32_t kind_count() const { return static_cast<uint32_t>(kinds_.size()); }
  [[nodiscard]] size_t size_of_kind(uint32_t kind) const { return kinds_[kind].calls.size(); }
  [[nodiscard]] const Entry& known(uint32_t number) const { return known_[number].entry; }
  [[nodiscard]] const Entry& optional(uint32_t kind) const { return kinds_[kind].example; }
  [[nodiscard]] bool is_read(uint32_t number) const { return known_[number].read; }

  // Words that tell what is done, and that are the same only if the same is done.
  void append_done(std::vector<uint64_t>& words) const;

 private:
  struct Known {
    Entry entry;
    bool read = false;
    // The neighbours among those not done. Number known_.size() stands before the first and behind
    // the last.
    uint32_t before = 0;
    uint32_t behind = 0;
  };
  struct Kind {
    Entry example;
    std::vector<int64_t> calls;  // rising
    size_t done = 0;
  };

  std::vector<Known> known_;
  uint32_t first_ = 0;
  std::vector<Kind> kinds_;
  size_t done_count_ = 0;
  std::vector<uint32_t> reach_;  // behind the last one done, after each do_known
};

}  // namespace raftkv::client::check
