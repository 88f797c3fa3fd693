#include "tests/sim/appends.h"

#include <fmt/format.h>

#include <algorithm>

namespace raftkv::sim {

namespace {

std::string list_key(uint64_t list) {
  return fmt::format("list:{}", list);
}

}  // namespace

std::string AppendHistory::new_piece(const std::string&) {
  std::string piece = fmt::format("{},", next_piece_++);
  pieces_[piece] = Fate::kMaybe;
  return piece;
}

void AppendHistory::refused(const std::string& piece) {
  pieces_[piece] = Fate::kRefused;
}

std::string AppendHistory::appended(const std::string& key, const std::string& piece, size_t floor,
                                    size_t length) {
  List& list = lists_[key];
  if (length < floor + piece.size()) {
    return fmt::format("APPEND {} gave length {}, but {} was known before it began", key, length,
                       floor);
  }
  const size_t at = length - piece.size();
  if (!list.acknowledged.emplace(at, piece).second) {
    return fmt::format("two APPENDs to {} gave length {}", key, length);
  }
  if (at < list.text.size() && list.text.compare(at, piece.size(), piece) != 0) {
    return fmt::format("'{}' was appended to {} at {}, but is not seen there", piece, key, at);
  }
  list.highest = std::max(list.highest, length);
  return {};
}

std::string AppendHistory::read(const std::string& key, const std::string& value, size_t floor) {
  List& list = lists_[key];
  if (value.size() < floor) {
    return fmt::format("stale read: {} has length {}, but {} was known before it began", key,
                       value.size(), floor);
  }
  const size_t common = std::min(value.size(), list.text.size());
  if (value.compare(0, common, list.text, 0, common) != 0) {
    return fmt::format("two reads of {} contradict each other: '{}' and '{}'", key, value,
                       list.text);
  }
  // Only what nobody had seen before has to be looked at piece by piece.
  size_t begin = list.text.size();
  while (begin < value.size()) {
    const size_t end = value.find(',', begin);
    if (end == std::string::npos) return fmt::format("{} ends in the midst of a piece", key);
    const std::string piece = value.substr(begin, end + 1 - begin);
    const auto it = pieces_.find(piece);
    if (it == pieces_.end())
      return fmt::format("{} holds '{}' twice or out of nothing", key, piece);
    if (it->second == Fate::kRefused)
      return fmt::format("'{}' was refused, yet took effect", piece);
    pieces_.erase(it);
    const auto known = list.acknowledged.find(begin);
    if (known != list.acknowledged.end() && known->second != piece) {
      return fmt::format("{} has '{}' where '{}' was acknowledged", key, piece, known->second);
    }
    begin = end + 1;
  }
  if (value.size() > list.text.size()) list.text = value;
  list.highest = std::max(list.highest, value.size());
  return {};
}

std::string AppendHistory::check_final(const FinalValue& value_of) {
  for (auto& [key, list] : lists_) {
    const std::string value = value_of(key).text;
    if (std::string wrong = read(key, value, list.highest); !wrong.empty()) return wrong;
    for (const auto& [at, piece] : list.acknowledged) {
      if (value.compare(at, piece.size(), piece) != 0) {
        return fmt::format("{} lost '{}', acknowledged at {}", key, piece, at);
      }
    }
  }
  return {};
}

Pipeline Appends::next(Random& random) {
  Pipeline pipeline;
  for (size_t count = random.between(1, 6); count > 0; --count) {
    const std::string key = list_key(random.below(keys_));
    const size_t floor = history_.known_length(key);
    if (random.chance(0.5)) {
      pipeline.push_back({.args = {"GET", key}, .replied = [this, key, floor](const Reply& reply) {
                            return history_.read(key, reply.text, floor);
                          }});
      continue;
    }
    const std::string piece = history_.new_piece(key);
    pipeline.push_back({.args = {"APPEND", key, piece},
                        .replied =
                            [this, key, piece, floor](const Reply& reply) {
                              return history_.appended(key, piece, floor,
                                                       static_cast<size_t>(reply.integer));
                            },
                        .lost =
                            [this, piece](bool maybe) {
                              if (!maybe) history_.refused(piece);
                            }});
  }
  return pipeline;
}

Pipeline StaleReads::next(Random& random) {
  Pipeline pipeline;
  if (!readonly_) pipeline.push_back(plain({"READONLY"}));
  readonly_ = true;
  for (size_t count = random.between(1, 4); count > 0; --count) {
    const std::string key = list_key(random.below(keys_));
    pipeline.push_back({.args = {"GET", key}, .replied = [this, key](const Reply& reply) {
                          size_t& seen = seen_[key];
                          std::string wrong = history_.read(key, reply.text, seen);
                          seen = std::max(seen, reply.text.size());
                          return wrong;
                        }});
  }
  return pipeline;
}

void StaleReads::disconnected() {
  readonly_ = false;
  seen_.clear();
}

}  // namespace raftkv::sim
