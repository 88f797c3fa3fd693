#include "raft/log.h"

#include <algorithm>

#include "raft/check.h"

namespace raftkv::raft {
namespace {

std::string to_text(Index index, Term term) {
  return "index " + std::to_string(index) + " term " + std::to_string(term);
}

}  // namespace

Log::Log(const Restored& restored, const LogReader& reader)
    : reader_(reader),
      base_index_(restored.first_index - 1),
      base_term_(restored.base_term),
      term_starts_(restored.term_starts),
      tail_first_(restored.last_index + 1),
      last_index_(restored.last_index),
      last_time_us_(restored.last_time_us) {
  RAFT_CHECK(
      restored.first_index >= 1 && last_index_ >= base_index_,
      "a log from " + std::to_string(restored.first_index) + " to " + std::to_string(last_index_));
  RAFT_CHECK((base_index_ == 0) == (base_term_ == 0),
             "the log begins behind " + to_text(base_index_, base_term_));
  RAFT_CHECK(term_starts_.empty() == (last_index_ == base_index_),
             "a log without terms, or terms without log");
  if (term_starts_.empty()) return;
  RAFT_CHECK(
      term_starts_.front().first_index == first_index() && term_starts_.front().term >= base_term_,
      "the terms do not cover the log from index " + std::to_string(first_index()));
  RAFT_CHECK(term_starts_.back().first_index <= last_index_, "a term starts behind the log's end");
  for (size_t i = 1; i < term_starts_.size(); i++) {
    const TermStart& before = term_starts_[i - 1];
    const TermStart& here = term_starts_[i];
    RAFT_CHECK(before.term < here.term && before.first_index < here.first_index,
               to_text(here.first_index, here.term) + " follows " +
                   to_text(before.first_index, before.term));
  }
}

Term Log::term_at(Index index) const {
  RAFT_CHECK(index >= base_index_ && index <= last_index_,
             "asked for the term of " + std::to_string(index) + ", but the log goes from " +
                 std::to_string(first_index()) + " to " + std::to_string(last_index_));
  if (index == base_index_) return base_term_;
  // Nearly always the question is about the newest term.
  if (term_starts_.back().first_index <= index) return term_starts_.back().term;
  const auto after =
      std::upper_bound(term_starts_.begin(), term_starts_.end(), index,
                       [](Index i, const TermStart& start) { return i < start.first_index; });
  return std::prev(after)->term;
}

Index Log::last_with_term_at_most(Index index, Term term) const {
  index = std::min(index, last_index_);
  // Terms ascend with the index, so we go back whole terms until one is small enough.
  for (auto start = term_starts_.rbegin(); start != term_starts_.rend(); ++start) {
    if (start->first_index > index) continue;
    if (start->term <= term) return index;
    index = start->first_index - 1;
  }
  // Now `index` lies before the first entry.
  return index == base_index_ && index != 0 && base_term_ > term ? index - 1 : index;
}

void Log::append(std::span<Entry> entries) {
  if (entries.empty()) return;
  const Index first = entries.front().index;
  RAFT_CHECK(first >= first_index() && first <= last_index_ + 1,
             "entry " + std::to_string(first) + " would leave a gap in a log from " +
                 std::to_string(first_index()) + " to " + std::to_string(last_index_));
  if (first <= last_index_) truncate_from(first);

  uint64_t bytes_end = tail_.empty() ? bytes_before_tail_ : tail_.back().bytes_end;
  for (Entry& entry : entries) {
    RAFT_CHECK(entry.index == last_index_ + 1 && entry.term >= last_term(),
               to_text(entry.index, entry.term) + " behind " + to_text(last_index_, last_term()));
    if (term_starts_.empty() || entry.term > last_term())
      term_starts_.push_back({entry.term, entry.index});
    bytes_end += entry.bytes();
    last_index_ = entry.index;
    last_time_us_ = entry.time_us;
    tail_.push_back({std::move(entry), bytes_end});
  }
}

void Log::truncate_from(Index index) {
  last_index_ = index - 1;
  while (!term_starts_.empty() && term_starts_.back().first_index > last_index_) {
    term_starts_.pop_back();
  }
  if (index < tail_first_) {
    tail_.clear();
    tail_first_ = index;
  } else {
    tail_.erase(tail_.begin() + static_cast<std::ptrdiff_t>(index - tail_first_), tail_.end());
  }
}

void Log::read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const {
  RAFT_CHECK(first >= first_index() && first <= last && last <= last_index_,
             "reading " + std::to_string(first) + " to " + std::to_string(last) +
                 " of a log from " + std::to_string(first_index()) + " to " +
                 std::to_string(last_index_));
  size_t bytes = 0;
  Index next = first;
  if (!in_memory(first)) {
    const size_t before = out.size();
    reader_.read(first, std::min(last, tail_first_ - 1), bytes_limit, out);
    RAFT_CHECK(out.size() > before, "the host's log has no entry " + std::to_string(first));
    for (size_t i = before; i < out.size(); i++, next++) {
      RAFT_CHECK(out[i].index == next && out[i].term == term_at(next),
                 "the host's log has " + to_text(out[i].index, out[i].term) + " in place of " +
                     to_text(next, term_at(next)));
      bytes += out[i].bytes();
    }
    if (next < tail_first_) return;
  }
  for (; next <= last; next++) {
    const Entry& entry = tail_[next - tail_first_].entry;
    bytes += entry.bytes();
    if (bytes > bytes_limit && next > first) return;
    out.push_back(entry);
  }
}

size_t Log::bytes_after(Index index) const {
  if (tail_.empty() || index >= last_index_) return 0;
  const uint64_t start =
      index < tail_first_ ? bytes_before_tail_ : tail_[index - tail_first_].bytes_end;
  return tail_.back().bytes_end - start;
}

void Log::trim(Index index, size_t bytes_max) {
  while (!tail_.empty() && tail_first_ <= index &&
         tail_.back().bytes_end - bytes_before_tail_ > bytes_max) {
    drop_first_in_memory();
  }
}

void Log::drop_first_in_memory() {
  bytes_before_tail_ = tail_.front().bytes_end;
  tail_.pop_front();
  tail_first_++;
}

void Log::compact(Index first) {
  if (first <= first_index()) return;
  base_term_ = term_at(first - 1);
  base_index_ = first - 1;
  // A run of terms that ends before `first` goes; the one that holds it begins there now.
  const auto holds_first =
      std::upper_bound(term_starts_.begin(), term_starts_.end(), first,
                       [](Index i, const TermStart& start) { return i < start.first_index; });
  term_starts_.erase(term_starts_.begin(), std::prev(holds_first));
  term_starts_.front().first_index = first;
  if (first > last_index_) term_starts_.clear();
  while (!tail_.empty() && tail_first_ < first) drop_first_in_memory();
  tail_first_ = std::max(tail_first_, first);
}

void Log::reset(Index index, Term term, uint64_t time_us) {
  if (!tail_.empty()) bytes_before_tail_ = tail_.back().bytes_end;
  tail_.clear();
  term_starts_.clear();
  base_index_ = last_index_ = index;
  base_term_ = term;
  tail_first_ = index + 1;
  last_time_us_ = time_us;
}

}  // namespace raftkv::raft
