#include "client/check/reader.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

namespace raftkv::client::check {
namespace {

using Json = nlohmann::json;

struct Malformed {
  std::string what;
};

[[noreturn]] void refuse(std::string what) {
  throw Malformed{std::move(what)};
}

const Json* find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

const Json& need(const Json& object, const char* name) {
  const Json* field = find(object, name);
  if (field == nullptr) refuse(fmt::format("the field \"{}\" is missing", name));
  return *field;
}

int64_t integer_of(const Json& field, const char* name) {
  if (!field.is_number_integer()) {
    refuse(fmt::format("\"{}\" must be an integer, not {}", name, field.dump().substr(0, 60)));
  }
  if (field.is_number_unsigned() && field.get<uint64_t>() > INT64_MAX) {
    refuse(fmt::format("\"{}\" is beyond 64 bits with a sign: {}", name, field.dump()));
  }
  return field.get<int64_t>();
}

// A result of a reply: an integer, or nothing if it is null. Booleans where `as_bool`.
std::optional<int64_t> result_of(const Json& object, bool as_bool) {
  const Json& field = need(object, "result");
  if (field.is_null()) return std::nullopt;
  if (as_bool) {
    if (!field.is_boolean()) refuse("\"result\" of a cas must be true, false or null");
    return field.get<bool>() ? 1 : 0;
  }
  return integer_of(field, "result");
}

std::optional<ActionKind> kind_of(std::string_view op) {
  for (int i = 0; i <= static_cast<int>(ActionKind::kSmembers); ++i) {
    if (op == name_of(static_cast<ActionKind>(i))) return static_cast<ActionKind>(i);
  }
  return std::nullopt;
}

class HistoryReader {
 public:
  explicit HistoryReader(History& history) : history_(history) {}

  void line(std::string_view text, uint32_t number) {
    Json object;
    try {
      object = Json::parse(text);
    } catch (const Json::parse_error& fault) {
      refuse(fmt::format("no JSON: {}", fault.what()));
    }
    if (!object.is_object()) refuse("a line must be a JSON object: {\"client\":..., \"op\":...}");
    const std::string op = text_of(need(object, "op"), "op");
    if (op == "init") return init(object);
    read_operation(object, op, number);
  }

 private:
  static const std::string& text_of(const Json& field, const char* name) {
    if (!field.is_string()) refuse(fmt::format("\"{}\" must be a string", name));
    return field.get_ref<const std::string&>();
  }

  uint32_t key_of(const Json& object) {
    const std::string& name = text_of(need(object, "key"), "key");
    const auto [place, is_new] =
        key_numbers_.try_emplace(name, static_cast<uint32_t>(history_.keys.size()));
    if (is_new) {
      history_.keys.push_back(name);
      history_.initial.push_back(kAbsent);
    }
    return place->second;
  }

  // Integers may be written as such: 5 is '5'.
  CellId string_cell(const Json& field, const char* name) {
    if (field.is_number_integer()) return history_.cells.string(field.dump());
    return history_.cells.string(text_of(field, name));
  }
  CellId string_or_absent(const Json& field, const char* name) {
    if (!field.is_null() && !field.is_string() && !field.is_number_integer()) {
      refuse(fmt::format("\"{}\" must be a string or null", name));
    }
    return field.is_null() ? kAbsent : string_cell(field, name);
  }
  std::vector<CellId> elements_of(const Json& field, const char* name) {
    if (!field.is_array()) refuse(fmt::format("\"{}\" must be an array of strings", name));
    std::vector<CellId> elements;
    for (const Json& element : field) elements.push_back(string_cell(element, name));
    return elements;
  }
  CellId given_elements(const Json& object) {
    const Json& field = need(object, "value");
    std::vector<CellId> elements;
    if (field.is_array()) {
      elements = elements_of(field, "value");
    } else {
      elements.push_back(string_cell(field, "value"));
    }
    if (elements.empty()) refuse("\"value\" is an empty array: nothing is added or removed");
    return history_.cells.list(elements);
  }
  // A container that a read saw is in "value" or in "result".
  const Json& seen(const Json& object) {
    const Json* value = find(object, "value");
    return value != nullptr ? *value : need(object, "result");
  }

  void init(const Json& object) {
    const uint32_t key = key_of(object);
    if (!initialised_.try_emplace(key, true).second) {
      refuse(fmt::format("a second init of key \"{}\"", history_.keys[key]));
    }
    const Json& value = need(object, "value");
    if (!value.is_array()) {
      history_.initial[key] = string_or_absent(value, "value");
      return;
    }
    const Json* type = find(object, "type");
    const bool set = type != nullptr && *type == "set";
    std::vector<CellId> elements = elements_of(value, "value");
    history_.initial[key] =
        set ? history_.cells.set(std::move(elements)) : history_.cells.list(elements);
  }

  void read_operation(const Json& object, const std::string& op, uint32_t number) {
    Operation operation;
    operation.line = number;
    operation.client = integer_of(need(object, "client"), "client");
    operation.call = integer_of(need(object, "call"), "call");
    operation.outcome = outcome_of(object);
    if (operation.outcome != Outcome::kUnknown) {
      operation.returned = integer_of(need(object, "return"), "return");
      if (operation.returned < operation.call) {
        refuse(
            fmt::format("\"return\" {} is before \"call\" {}", operation.returned, operation.call));
      }
    } else if (const Json* returned = find(object, "return");
               returned != nullptr && !returned->is_null() &&
               integer_of(*returned, "return") < operation.call) {
      refuse(fmt::format("\"return\" {} is before \"call\" {}", returned->dump(), operation.call));
    }
    operation.first_action = static_cast<uint32_t>(history_.actions.size());
    try {
      if (op == "txn") {
        read_transaction(object, operation.outcome);
      } else {
        history_.actions.push_back(read_action(object, op, operation.outcome));
      }
    } catch (const Malformed&) {
      history_.actions.resize(operation.first_action);
      throw;
    }
    operation.action_count =
        static_cast<uint32_t>(history_.actions.size()) - operation.first_action;
    history_.operations.push_back(operation);
  }

  static Outcome outcome_of(const Json& object) {
    const Json& ok = need(object, "ok");
    if (ok.is_boolean()) return ok.get<bool>() ? Outcome::kOk : Outcome::kFailed;
    if (ok.is_string() && ok == "unknown") return Outcome::kUnknown;
    refuse("\"ok\" must be true, false or \"unknown\"");
  }

  void read_transaction(const Json& object, Outcome outcome) {
    const Json& ops = need(object, "ops");
    if (!ops.is_array() || ops.empty()) refuse("\"ops\" must be an array with at least one op");
    if (ops.size() > kActionsInTransactionMax) {
      refuse(fmt::format("more than {} ops in one txn", kActionsInTransactionMax));
    }
    size_t place = 0;
    for (const Json& each : ops) {
      ++place;
      try {
        if (!each.is_object()) refuse("must be an object");
        const Json* ok = find(each, "ok");
        if (ok != nullptr && !ok->is_boolean()) refuse("\"ok\" must be true or false");
        const bool refused = ok != nullptr && !ok->get<bool>();  // that command alone, by an error
        const Action action = read_action(each, text_of(need(each, "op"), "op"),
                                          refused ? Outcome::kFailed : outcome);
        if (!refused) history_.actions.push_back(action);
      } catch (const Malformed& fault) {
        refuse(fmt::format("op {} of the txn: {}", place, fault.what));
      }
    }
  }

  Action read_action(const Json& object, const std::string& op, Outcome outcome) {
    const auto kind = kind_of(op);
    if (!kind) {
      refuse(
          fmt::format("unknown op \"{}\": it must be get, set, del, cas, incr, append, rpush, "
                      "lrange, sadd, srem, smembers, txn or init (no txn or init in a txn)",
                      op.substr(0, 60)));
    }
    Action action;
    action.kind = *kind;
    action.key = key_of(object);
    read_arguments(object, action);
    if (outcome == Outcome::kOk) read_reply(object, action);
    return action;
  }

  void read_arguments(const Json& object, Action& action) {
    switch (action.kind) {
      case ActionKind::kSet:
      case ActionKind::kAppend:
        action.value = string_cell(need(object, "value"), "value");
        return;
      case ActionKind::kCas:
        action.value = string_cell(need(object, "value"), "value");
        action.expect = string_or_absent(need(object, "expect"), "expect");
        return;
      case ActionKind::kIncr: {
        const Json* amount = find(object, "value");
        action.amount = amount == nullptr || amount->is_null() ? 1 : amount_of(*amount);
        return;
      }
      case ActionKind::kRpush:
      case ActionKind::kSadd:
      case ActionKind::kSrem:
        action.value = given_elements(object);
        return;
      default:
        return;
    }
  }

  int64_t amount_of(const Json& field) {
    if (!field.is_string()) return integer_of(field, "value");
    const auto number = history_.cells.integer(string_cell(field, "value"));
    if (!number) refuse("\"value\" of an incr must be an integer");
    return *number;
  }

  void read_reply(const Json& object, Action& action) {
    switch (action.kind) {
      case ActionKind::kSet:
        return;
      case ActionKind::kGet:
        action.value = string_or_absent(need(object, "value"), "value");
        action.has_result = true;
        return;
      case ActionKind::kLrange:
        action.value = history_.cells.list(elements_of(seen(object), "value"));
        action.has_result = true;
        return;
      case ActionKind::kSmembers:
        action.value = history_.cells.set(elements_of(seen(object), "value"));
        action.has_result = true;
        return;
      default: {
        const auto result = result_of(object, action.kind == ActionKind::kCas);
        action.has_result = result.has_value();
        action.result = result.value_or(0);
      }
    }
  }

  History& history_;
  absl::flat_hash_map<std::string, uint32_t> key_numbers_;
  absl::flat_hash_map<uint32_t, bool> initialised_;
};

enum class LineRead { kLine, kTooLong, kEnd };

// A line without its end; one that is too long is skipped to its end.
LineRead next_line(std::istream& in, std::string& line) {
  line.clear();
  std::streambuf& bytes = *in.rdbuf();
  bool too_long = false;
  for (int byte = bytes.sbumpc();; byte = bytes.sbumpc()) {
    if (byte == std::char_traits<char>::eof()) {
      if (line.empty() && !too_long) return LineRead::kEnd;
      break;
    }
    if (byte == '\n') break;
    if (line.size() == kLineBytesMax) {
      too_long = true;
    } else {
      line.push_back(static_cast<char>(byte));
    }
  }
  return too_long ? LineRead::kTooLong : LineRead::kLine;
}

}  // namespace

ReadHistory read_history(std::istream& in) {
  ReadHistory result;
  result.history = std::make_unique<History>();
  HistoryReader reader(*result.history);
  std::string line;
  uint32_t number = 0;
  for (LineRead got = next_line(in, line); got != LineRead::kEnd; got = next_line(in, line)) {
    ++number;
    std::string what;
    if (got == LineRead::kTooLong) {
      what = fmt::format("longer than {} MiB", kLineBytesMax >> 20);
    } else if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;  // an empty line says nothing
    } else {
      try {
        reader.line(line, number);
        continue;
      } catch (Malformed& fault) {
        what = std::move(fault.what);
      }
    }
    if (++result.error_count <= kInputErrorsShown) result.errors.push_back({number, what});
  }
  return result;
}

}  // namespace raftkv::client::check
