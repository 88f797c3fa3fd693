// What the programs that stand between the nodes of a cluster under test have in common: the rules
// of a directed link, and commands that come on stdin, one a line, each answered by one line.
//
//   set FROM TO [blocked=1] [delay_ms=N] [jitter_ms=N] [bytes_s=N] ...
//
// Which rules a program knows besides is told at its head.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <utility>

namespace raftkv::chaos {

struct Rules {
  bool blocked = false;
  int64_t delay_ms = 0;
  int64_t jitter_ms = 0;  // at most so much more, drawn anew each time
  int64_t bytes_s = 0;    // 0: no limit
  // Of connections: the mean time after which each is reset, again and again. 0: never.
  int64_t reset_ms = 0;
  // Of packets: how many are lost, and how many arrive twice.
  int64_t loss_percent = 0;
  int64_t duplicate_percent = 0;
};

using LinkKey = std::pair<uint64_t, uint64_t>;  // ids of the nodes: from, to

// Reads "name=value ..." to the end of the line. Empty, or what is wrong with it.
std::string parse_rules(std::istream& words, Rules& rules);

[[noreturn]] void die(const std::string& text);

// The commands of a program. Reading never blocks.
class Commands {
 public:
  // answer(line) is called for each line, its result is printed.
  explicit Commands(std::function<std::string(const std::string& line)> answer);

  // To be called when stdin is readable; false once it has ended.
  bool read_ready();

 private:
  std::function<std::string(const std::string&)> answer_;
  std::string input_;
};

}  // namespace raftkv::chaos
