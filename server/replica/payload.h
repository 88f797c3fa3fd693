// A batch of commands as bytes: the payload of a log entry of kind kCommands.
//
//   batch       := item*
//   item        := command | transaction
//   command     := varint argc (>= 1), then per argument: varint length, bytes
//   transaction := varint 0, varint n (>= 1), then n commands
//
// Commands stand as they were received, the name first. Integrity is the log's business (each
// record has a checksum), so a payload that does not parse means a bug and ends the process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/command.h"

namespace raftkv::server {

void append_command(std::string& out, Args args);
void append_transaction(std::string& out, size_t commands);
// What append_command() would add, at most.
size_t encoded_size(Args args);

class PayloadReader {
 public:
  explicit PayloadReader(std::string_view bytes) : rest_(bytes) {}

  // Begins anew, keeping its buffers.
  void reset(std::string_view bytes) { rest_ = bytes; }
  bool done() const { return rest_.empty(); }
  // Bytes not yet read.
  size_t remaining() const { return rest_.size(); }

  struct Item {
    bool transaction = false;
    size_t commands = 1;
  };
  // To be followed by `commands` calls of next_command().
  Item next_item();
  // Views into the payload; the span is valid until the next call.
  Args next_command();

 private:
  uint64_t varint();

  std::string_view rest_;
  std::vector<std::string_view> args_;
};

}  // namespace raftkv::server
