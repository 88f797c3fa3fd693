// Reads a history file: one JSON object a line, as docs/history-format.md has it.
#pragma once

#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "client/check/operation.h"

namespace raftkv::client::check {

constexpr size_t kLineBytesMax = 64 << 20;
constexpr size_t kInputErrorsShown = 20;
constexpr size_t kActionsInTransactionMax = 1000;

struct InputError {
  uint32_t line = 0;  // from 1
  std::string what;
};

struct ReadHistory {
  std::unique_ptr<History> history;
  std::vector<InputError> errors;  // the first kInputErrorsShown
  size_t error_count = 0;          // of all; if not 0, the history lacks those lines
};

ReadHistory read_history(std::istream& in);

}  // namespace raftkv::client::check
