// Keeps a condition that repeats every few milliseconds from filling the log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace raftkv::server {

// Lets a line pass when it says something new, at most once a second, and a repeated one once in 30
// seconds. Says how many it held back meanwhile.
class LogGate {
 public:
  static constexpr uint64_t kNewTextMs = 1000;
  static constexpr uint64_t kSameTextMs = 30'000;

  // True if the line is to be logged; then `suffix()` belongs behind it.
  bool passes(std::string_view text, uint64_t now_ms) {
    const uint64_t interval = text == last_text_ ? kSameTextMs : kNewTextMs;
    if (ever_ && now_ms - last_ms_ < interval) {
      ++held_back_;
      return false;
    }
    suffix_ = held_back_ == 0 ? "" : " (" + std::to_string(held_back_) + " lines held back)";
    ever_ = true;
    held_back_ = 0;
    last_text_ = text;
    last_ms_ = now_ms;
    return true;
  }
  const std::string& suffix() const { return suffix_; }
  // The condition is over: the next line is news, whatever it says.
  void reset() { ever_ = false; }

 private:
  bool ever_ = false;
  uint64_t last_ms_ = 0;
  uint64_t held_back_ = 0;
  std::string last_text_;
  std::string suffix_;
};

}  // namespace raftkv::server
