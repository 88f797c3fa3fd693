// Histories of tests, written as the lines of a file.
#pragma once

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "client/check/checker.h"
#include "client/check/reader.h"

namespace raftkv::client::check {

inline std::unique_ptr<History> history_of(const std::string& text) {
  std::istringstream in(text);
  ReadHistory read = read_history(in);
  for (const InputError& error : read.errors) {
    ADD_FAILURE() << "line " << error.line << ": " << error.what << "\n" << text;
  }
  return std::move(read.history);
}

inline CheckReport check_text(const std::string& text) {
  const auto history = history_of(text);
  CheckReport report = check_linearizable(*history, {});
  report.violations.clear();  // they point into the history
  return report;
}

inline bool linearizable(const std::string& text) {
  const CheckReport report = check_text(text);
  EXPECT_NE(report.verdict, Verdict::kUndecided);
  return report.verdict == Verdict::kLinearizable;
}

}  // namespace raftkv::client::check
