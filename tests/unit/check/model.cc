#include "tests/unit/check/model.h"

namespace raftkv::client::check {
namespace {

using Json = nlohmann::json;

std::vector<std::string> listed(const Json& value) {
  if (value.is_array()) return value.get<std::vector<std::string>>();
  return {value.get<std::string>()};
}

}  // namespace

std::optional<Json> ModelStore::execute(const Json& line) {
  Json done = line;
  const std::string op = line["op"];
  if (op == "txn") {
    Json ops = Json::array();
    for (const Json& each : line["ops"]) {
      const auto result = execute(each);
      if (result) {
        ops.push_back(*result);
      } else {
        ops.push_back(each);
        ops.back()["ok"] = false;
      }
    }
    done["ops"] = ops;
    return done;
  }
  const std::string key = line["key"];
  const bool there = keys_.contains(key);
  auto* text = there ? std::get_if<std::string>(&keys_[key]) : nullptr;
  auto* list = there ? std::get_if<std::vector<std::string>>(&keys_[key]) : nullptr;
  auto* set = there ? std::get_if<std::set<std::string>>(&keys_[key]) : nullptr;
  if (op == "set") {
    keys_[key] = line["value"].get<std::string>();
  } else if (op == "del") {
    done["result"] = keys_.erase(key);
  } else if (op == "get") {
    if (there && text == nullptr) return std::nullopt;
    done["value"] = there ? Json(*text) : Json();
  } else if (op == "cas") {
    const bool same =
        line["expect"].is_null() ? !there : text != nullptr && *text == line["expect"];
    if (same) keys_[key] = line["value"].get<std::string>();
    done["result"] = same;
  } else if (op == "incr") {
    if (there && text == nullptr) return std::nullopt;
    int64_t number = 0;
    if (there) {
      if (text->empty() || text->find_first_not_of("-0123456789") != std::string::npos) {
        return std::nullopt;
      }
      number = std::stoll(*text);
      if (std::to_string(number) != *text) return std::nullopt;  // "02" is no number to Redis
    }
    number += line.value("value", int64_t{1});
    keys_[key] = std::to_string(number);
    done["result"] = number;
  } else if (op == "append") {
    if (there && text == nullptr) return std::nullopt;
    const std::string all = (there ? *text : "") + line["value"].get<std::string>();
    keys_[key] = all;
    done["result"] = all.size();
  } else if (op == "rpush") {
    if (there && list == nullptr) return std::nullopt;
    auto all = there ? *list : std::vector<std::string>();
    for (const std::string& each : listed(line["value"])) all.push_back(each);
    keys_[key] = all;
    done["result"] = all.size();
  } else if (op == "lrange") {
    if (there && list == nullptr) return std::nullopt;
    done["value"] = there ? *list : std::vector<std::string>();
  } else if (op == "sadd" || op == "srem") {
    if (there && set == nullptr) return std::nullopt;
    auto all = there ? *set : std::set<std::string>();
    size_t changed = 0;
    for (const std::string& each : listed(line["value"])) {
      changed += op == "sadd" ? all.insert(each).second : all.erase(each);
    }
    keys_.erase(key);
    if (!all.empty()) keys_[key] = all;
    done["result"] = changed;
  } else if (op == "smembers") {
    if (there && set == nullptr) return std::nullopt;
    done["value"] = there ? *set : std::set<std::string>();
  }
  return done;
}

}  // namespace raftkv::client::check
