// What clients saw, one JSON object a line, for the checks that follow (docs/testing.md tells the
// fields). Times are of CLOCK_MONOTONIC, which all processes of a machine share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

namespace raftkv::chaos {

int64_t now_ns();

enum class Outcome : uint8_t {
  kDone,
  kNotDone,  // surely
  kUnknown,
};

// Thread-safe. Each line is written out at once: a process that is killed leaves what it knew.
class History {
 public:
  // Ends the process if the file can't be written.
  explicit History(const std::string& path);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // `fields` as the operation has them; when and how it ended is added. `error` tells why it did
  // not end well.
  void record(nlohmann::json fields, int64_t call, Outcome outcome, const std::string& error = "");

 private:
  std::mutex mutex_;
  std::FILE* file_;
};

}  // namespace raftkv::chaos
