#include "tests/unit/check/generator.h"

#include <optional>

#include "tests/unit/check/model.h"

namespace raftkv::client::check {
namespace {

class Generator {
 public:
  explicit Generator(const GeneratorOptions& options) : options_(options), random_(options.seed) {}

  std::vector<Json> run() {
    std::vector<std::optional<Open>> clients(static_cast<size_t>(options_.clients));
    while (ended_ < options_.operations) {
      ++time_;
      maybe_run_late_one();
      const size_t who = random_() % clients.size();
      std::optional<Open>& open = clients[who];
      if (!open) {
        if (started_ == options_.operations) continue;
        ++started_;
        open = Open{.line = fresh_line(static_cast<int>(who)), .done = {}};
      } else if (!open->done && !open->doomed) {
        take_effect(*open);
      } else {
        end(*open);
        open.reset();
      }
    }
    return lines_;
  }

 private:
  struct Open {
    Json line;
    std::optional<Json> done;  // with its reply
    bool doomed = false;       // it fails, or is left unknown
  };

  bool chance(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }

  std::string value() {
    return std::to_string(options_.values == 0 ? ++values_ : int64_t(random_() % options_.values));
  }

  Json command(const std::string& op) {
    Json line = {{"op", op}, {"key", "k" + std::to_string(random_() % options_.keys)}};
    if (op == "set" || op == "append" || op == "rpush" || op == "sadd" || op == "srem") {
      line["value"] = value();
    }
    if (op == "cas") {
      line["value"] = value();
      line["expect"] = chance(0.3) ? Json() : Json(std::to_string(random_() % 3));
    }
    if (op == "incr") line["value"] = int64_t(random_() % 2) + 1;
    return line;
  }

  Json fresh_line(int client) {
    const std::string op = options_.ops[random_() % options_.ops.size()];
    Json line;
    if (op == "txn") {
      line = {{"op", "txn"}, {"ops", Json::array()}};
      for (int i = 0; i < 2; ++i) line["ops"].push_back(command(simple_op()));
    } else {
      line = command(op);
    }
    line["client"] = client;
    line["call"] = time_;
    return line;
  }

  std::string simple_op() {
    while (true) {
      const std::string op = options_.ops[random_() % options_.ops.size()];
      if (op != "txn") return op;
    }
  }

  void take_effect(Open& open) {
    if (chance(options_.failed)) {
      open.doomed = true;
      open.line["ok"] = false;
    } else if (chance(options_.unknown)) {
      open.doomed = true;
      open.line["ok"] = "unknown";
      late_.push_back(open.line);
    } else {
      open.done = store_.execute(open.line);
      if (open.done) {
        (*open.done)["ok"] = true;
        return;
      }
      open.doomed = true;  // refused: a wrong type
      open.line["ok"] = false;
    }
  }

  void maybe_run_late_one() {
    if (late_.empty() || !chance(0.2)) return;
    const size_t which = random_() % late_.size();
    if (chance(0.7)) store_.execute(late_[which]);
    late_.erase(late_.begin() + static_cast<ptrdiff_t>(which));
  }

  void end(const Open& open) {
    ++ended_;
    Json line = open.done ? *open.done : open.line;
    if (line["ok"] != "unknown") line["return"] = time_;
    lines_.push_back(std::move(line));
  }

  const GeneratorOptions& options_;
  std::mt19937_64 random_;
  ModelStore store_;
  std::vector<Json> late_;
  std::vector<Json> lines_;
  int64_t time_ = 0;
  int64_t values_ = 0;
  int started_ = 0;
  int ended_ = 0;
};

void lie_about_a_reply(Json& line, std::mt19937_64& random) {
  const std::string op = line["op"];
  if (op == "txn") return lie_about_a_reply(line["ops"][random() % line["ops"].size()], random);
  if (!line.contains("result") && op != "get" && op != "lrange" && op != "smembers") return;
  if (op == "get") {
    line["value"] = random() % 4 == 0 ? Json() : Json(std::to_string(random() % 4));
  } else if (op == "cas") {
    line["result"] = !line["result"].get<bool>();
  } else if (line.contains("result")) {
    line["result"] = line["result"].get<int64_t>() + (random() % 2 == 0 ? 1 : -1);
  } else if (line["value"].is_array()) {
    Json& value = line["value"];
    if (value.empty() || random() % 3 == 0) {
      value.push_back(std::to_string(random() % 4));
    } else if (random() % 2 == 0) {
      value.erase(random() % value.size());
    } else {
      std::swap(value[0], value[value.size() - 1]);
    }
  }
}

bool same_reply(const Json& recorded, const Json& replied) {
  if (recorded["op"] == "txn") {
    for (size_t i = 0; i < recorded["ops"].size(); ++i) {
      const Json& said = recorded["ops"][i];
      const Json& is = replied["ops"][i];
      if (said.value("ok", true) != is.value("ok", true)) return false;
      if (said.value("ok", true) && !same_reply(said, is)) return false;
    }
    return true;
  }
  if (recorded["op"] == "smembers") {
    const auto members = recorded["value"].get<std::set<std::string>>();
    return members == replied["value"].get<std::set<std::string>>();
  }
  return recorded.value("value", Json()) == replied.value("value", Json()) &&
         recorded.value("result", Json()) == replied.value("result", Json());
}

// A command that was refused inside a transaction is no part of it.
Json without_refused(Json line) {
  if (line["op"] != "txn") return line;
  Json ops = Json::array();
  for (const Json& each : line["ops"]) {
    if (each.value("ok", true)) ops.push_back(each);
  }
  line["ops"] = ops;
  return line;
}

class BruteForce {
 public:
  explicit BruteForce(const std::vector<Json>& lines) {
    for (const Json& line : lines) {
      if (line["ok"] != false) lines_.push_back(without_refused(line));
    }
    used_.resize(lines_.size());
  }

  bool run(const ModelStore& store) {
    bool all = true;
    for (size_t i = 0; i < lines_.size(); ++i) all = all && (used_[i] || !known(i));
    if (all) return true;
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (used_[i] || !may_be_next(i)) continue;
      ModelStore next = store;
      const auto replied = next.execute(lines_[i]);
      if (known(i) && (!replied || !same_reply(lines_[i], *replied))) continue;
      used_[i] = true;
      if (run(next)) return true;
      used_[i] = false;
    }
    return false;
  }

 private:
  bool known(size_t i) const { return lines_[i]["ok"] == true; }

  bool may_be_next(size_t i) const {
    for (size_t other = 0; other < lines_.size(); ++other) {
      if (!used_[other] && known(other) && lines_[other]["return"] < lines_[i]["call"])
        return false;
    }
    return true;
  }

  std::vector<Json> lines_;
  std::vector<bool> used_;
};

}  // namespace

std::vector<Json> generate(const GeneratorOptions& options) {
  return Generator(options).run();
}

std::vector<Json> with_a_lie(std::vector<Json> lines, std::mt19937_64& random) {
  Json& line = lines[random() % lines.size()];
  if (random() % 4 != 0) {
    if (line["ok"] == true) lie_about_a_reply(line, random);
  } else if (line.contains("return")) {
    // It returned at once, or was called later: what overlapped may now be apart.
    if (random() % 2 == 0) {
      line["return"] = line["call"];
    } else {
      line["call"] = line["return"];
    }
  }
  return lines;
}

bool brute_force_linearizable(const std::vector<Json>& lines) {
  return BruteForce(lines).run(ModelStore());
}

std::string text_of(const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  return text;
}

}  // namespace raftkv::client::check
