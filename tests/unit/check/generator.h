// Random histories of a store that is linearizable, and small lies told in them.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace raftkv::client::check {

using Json = nlohmann::json;

struct GeneratorOptions {
  uint64_t seed = 1;
  int clients = 3;
  int operations = 7;
  int keys = 1;
  std::vector<std::string> ops = {"set", "get"};  // names repeated are likelier
  int values = 3;          // distinct ones written; 0: each write writes a value of its own
  double unknown = 0;      // share whose outcome the client never learned
  double failed = 0;       // share that failed
  bool sequential = true;  // a client has one operation open at a time
};

// Lines of a history file, in the order in which operations ended.
std::vector<Json> generate(const GeneratorOptions& options);

// Changes one reply, or one time, of one operation. The history may still be linearizable.
std::vector<Json> with_a_lie(std::vector<Json> lines, std::mt19937_64& random);

// Whether some order of the lines explains all replies, by trying all.
bool brute_force_linearizable(const std::vector<Json>& lines);

std::string text_of(const std::vector<Json>& lines);

}  // namespace raftkv::client::check
