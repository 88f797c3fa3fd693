// Brings the keys of a Redis RDB file into a cluster.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "client/cluster_client.h"

namespace raftkv::client {

struct ImportPlan {
  std::string file;
  std::vector<Address> nodes;
  ClientOptions client;
  int64_t pipeline = 128;
  bool replace = false;
  // Failing for so long ends it: a change of leaders must not.
  std::chrono::milliseconds patience{30'000};
};

struct ImportOutcome {
  uint64_t keys = 0;                       // in the file
  uint64_t imported = 0;                   // or there with the same value and deadline already
  uint64_t expired = 0;                    // their deadline had passed before they were sent
  uint64_t existing = 0;                   // there with another value, and left alone
  uint64_t bytes = 0;                      // of keys and values sent
  std::vector<std::string> some_existing;  // a few of their names
  std::chrono::duration<double> elapsed{0};
  std::string error;   // why it ended early; empty: it did not
  bool doubt = false;  // with an error: the last keys sent may or may not be there
};

// Reads the whole file and sends nothing: the number of its keys. The error names what is wrong
// with the file, or the first key that has no place here.
std::expected<uint64_t, std::string> check_import(const std::string& file);

// `progress` gets the number of keys done, now and then; it may be empty.
ImportOutcome run_import(const ImportPlan& plan, const std::function<void(uint64_t)>& progress);

}  // namespace raftkv::client
