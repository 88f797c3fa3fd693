// A store as simple as can be, to compare the checker with: written apart from the checker's own
// meaning of the commands.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace raftkv::client::check {

class ModelStore {
 public:
  using Json = nlohmann::json;

  // Executes the command of a history's line (get, set, ..., txn) and returns the line with what it
  // replied, or nothing if it would be refused.
  std::optional<Json> execute(const Json& line);

  bool operator==(const ModelStore&) const = default;
  bool operator<(const ModelStore& other) const { return keys_ < other.keys_; }

 private:
  using Value = std::variant<std::string, std::vector<std::string>, std::set<std::string>>;

  std::map<std::string, Value> keys_;
};

}  // namespace raftkv::client::check
