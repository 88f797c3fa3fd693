// The keyspace against a model that is too simple to be wrong: long rows of random calls, and after
// each of them both must tell the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/data/keyspace.h"

namespace raftkv::data {
namespace {

struct ModelValue {
  std::string value;
  TimeMs expiry = kNoExpiry;
  bool grown = false;
};

bool is_integer(const std::string& text) {
  try {
    return !text.empty() && std::to_string(std::stoll(text)) == text;
  } catch (const std::exception&) {
    return false;
  }
}

std::string encoding_of(const ModelValue& model) {
  if (model.grown) return "raw";
  if (is_integer(model.value)) return "int";
  return model.value.size() <= 44 ? "embstr" : "raw";
}

class Comparison {
 public:
  explicit Comparison(uint64_t seed) : random_(seed), keyspace_(seed * 77) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (draw(4) == 0) now_ += static_cast<TimeMs>(draw(20));
      step();
      if (i % 64 == 0) compare_all();
      if (testing::Test::HasFatalFailure()) return;
    }
    compare_all();
  }

 private:
  uint64_t draw(uint64_t below) { return random_() % below; }

  // Few keys, so that calls meet; of many lengths, the empty one and binary ones among them.
  std::string key() {
    const uint64_t number = draw(150);
    if (number == 0) return "";
    std::string key = "k" + std::to_string(number);
    if (number % 7 == 0) key += std::string(number, '\0');
    if (number % 11 == 0) key += std::string(40 * number, 'x');
    return key;
  }

  std::string value() {
    switch (draw(8)) {
      case 0:
        return "";
      case 1:
        return std::to_string(static_cast<int64_t>(random_()));
      case 2:
        return std::to_string(draw(1000));
      case 3:
        return std::string(draw(100), static_cast<char>(draw(256)));
      case 4:
        return std::string(380 + draw(10), 'e');  // about where strings leave the entry
      case 5:
        return std::string(draw(3000), 'l');
      default:
        return "v" + std::to_string(draw(100000));
    }
  }

  TimeMs expiry() { return draw(2) == 0 ? kNoExpiry : now_ + static_cast<TimeMs>(draw(200)); }

  bool model_live(const std::string& key) {
    const auto found = model_.find(key);
    return found != model_.end() && !is_due(found->second.expiry, now_);
  }

  void step() {
    const std::string k = key();
    switch (draw(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        const std::string v = value();
        const TimeMs e = expiry();
        keyspace_.set_string(k, v, e);
        model_[k] = {v, e, false};
        break;
      }
      case 5: {
        const auto v = static_cast<int64_t>(random_());
        keyspace_.set_integer(k, v);
        model_[k] = {std::to_string(v), kNoExpiry, false};
        break;
      }
      case 6:
        if (!model_live(k)) break;
        keyspace_.replace_integer(k, 42);
        model_[k].value = "42";
        model_[k].grown = false;
        break;
      case 7:
      case 8:
      case 9:
        write_range(k);
        break;
      case 10:
        ASSERT_EQ(keyspace_.erase(k), model_.erase(k) == 1);
        break;
      case 11: {
        const bool due = model_.contains(k) && !model_live(k);
        ASSERT_EQ(keyspace_.erase_if_due(k, now_), due);
        if (due) model_.erase(k);
        break;
      }
      case 12: {
        const TimeMs e = expiry();
        ASSERT_EQ(keyspace_.set_expiry(k, e), model_.contains(k));
        if (model_.contains(k)) model_[k].expiry = e;
        break;
      }
      case 13:
        give(k, key(), draw(2) == 0);
        break;
      case 14:
        expire();
        break;
      default:
        if (draw(200) != 0) break;
        keyspace_.clear();
        model_.clear();
    }
    compare(k);
    keyspace_.work_slice(1);
  }

  void write_range(const std::string& k) {
    if (!model_live(k)) {
      keyspace_.erase_if_due(k, now_);
      model_.erase(k);
    }
    ModelValue& model = model_[k];
    const std::string bytes = value();
    const size_t offset = draw(2) == 0 ? model.value.size() : draw(600);
    if (model.value.size() < offset + bytes.size()) model.value.resize(offset + bytes.size());
    model.value.replace(offset, bytes.size(), bytes);
    model.grown = true;
    ASSERT_EQ(keyspace_.write_range(k, offset, bytes), model.value.size());
  }

  void give(const std::string& from, const std::string& to, bool rename) {
    if (!model_live(from)) return;
    const ModelValue model = model_[from];
    if (rename) {
      keyspace_.rename(from, to);
      model_.erase(from);
    } else {
      keyspace_.copy(from, to);
    }
    model_[to] = model;
    compare(to);
  }

  void expire() {
    const size_t limit = draw(5);
    std::vector<std::string> gone;
    const size_t count =
        keyspace_.expire_due(now_, limit, [&](std::string_view key) { gone.emplace_back(key); });
    ASSERT_EQ(count, gone.size());
    const auto due = std::count_if(model_.begin(), model_.end(),
                                   [&](const auto& m) { return is_due(m.second.expiry, now_); });
    ASSERT_EQ(count, std::min(limit, static_cast<size_t>(due)));
    TimeMs last = 0;
    for (const std::string& key : gone) {
      ASSERT_TRUE(model_.contains(key));
      ASSERT_TRUE(is_due(model_[key].expiry, now_));
      ASSERT_GE(model_[key].expiry, last);
      last = model_[key].expiry;
      model_.erase(key);
    }
    for (const auto& [key, model] : model_) {
      if (count < limit) {
        ASSERT_FALSE(is_due(model.expiry, now_));
      } else if (is_due(model.expiry, now_)) {
        ASSERT_GE(model.expiry, last);
      }
    }
  }

  void compare(const std::string& k) {
    Clock clock = Clock::at(now_);
    const Entry* entry = keyspace_.find(k, clock);
    ASSERT_FALSE(clock.unsettled);
    ASSERT_EQ(entry != nullptr, model_live(k));
    if (entry == nullptr) return;
    const ModelValue& model = model_[k];
    IntBuffer buffer;
    ASSERT_EQ(Keyspace::key_of(*entry), k);
    ASSERT_EQ(Keyspace::type_of(*entry), Type::kString);
    ASSERT_EQ(Keyspace::string_of(*entry, buffer), model.value);
    ASSERT_EQ(Keyspace::string_length(*entry), model.value.size());
    ASSERT_EQ(Keyspace::expiry_of(*entry), model.expiry);
    ASSERT_EQ(Keyspace::encoding_of(*entry), encoding_of(model));
    ASSERT_EQ(Keyspace::integer_of(*entry).has_value(), encoding_of(model) == "int");
    ASSERT_GT(Keyspace::memory_of(*entry), k.size());
  }

  void compare_all() {
    for (const auto& item : model_) {
      compare(item.first);
      if (testing::Test::HasFatalFailure()) return;
    }
    std::set<std::string> keys;
    keyspace_.for_each([&](const Entry& entry) { keys.emplace(Keyspace::key_of(entry)); });
    ASSERT_EQ(keys.size(), model_.size());
    for (const auto& item : model_) ASSERT_TRUE(keys.contains(item.first));
    ASSERT_EQ(keyspace_.size(), model_.size());
    compare_deadlines();
  }

  void compare_deadlines() {
    TimeMs earliest = kNoExpiry;
    TimeMs sum = 0;
    TimeMs count = 0;
    for (const auto& [key, model] : model_) {
      if (model.expiry == kNoExpiry) continue;
      earliest = earliest == kNoExpiry ? model.expiry : std::min(earliest, model.expiry);
      sum += model.expiry;
      ++count;
    }
    ASSERT_EQ(keyspace_.earliest_expiry(), earliest);
    ASSERT_EQ(keyspace_.size_with_expiry(), static_cast<size_t>(count));
    const TimeMs average = count == 0 ? 0 : std::max<TimeMs>(sum / count - now_, 0);
    ASSERT_EQ(keyspace_.average_ttl(now_), average);
  }

  std::mt19937_64 random_;
  TimeMs now_ = 1'000'000;
  Keyspace keyspace_;
  std::map<std::string, ModelValue> model_;
};

TEST(KeyspaceModel, TheKeyspaceDoesWhatASortedMapDoes) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    Comparison(seed).run(6000);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace raftkv::data
