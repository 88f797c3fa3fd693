#include "tests/sim/registers.h"

#include <fmt/format.h>

#include "client/check/checker.h"
#include "client/check/report.h"

namespace raftkv::sim {

namespace check = client::check;

namespace {

constexpr uint64_t kKeyUs = 500'000;
constexpr uint64_t kStepsMax = 2'000'000;
constexpr size_t kMemoryBytesMax = size_t{64} << 20;

}  // namespace

std::string RegisterHistory::key(uint64_t number) const {
  return fmt::format("register:{}:{}", number, world_.now_us() / kKeyUs);
}

size_t RegisterHistory::begin(uint64_t client, Kind kind, const std::string& key,
                              const std::string& value) {
  const auto [it, fresh] = keys_.emplace(key, static_cast<uint32_t>(history_.keys.size()));
  if (fresh) {
    history_.keys.push_back(key);
    history_.initial.push_back(check::kAbsent);
  }
  check::Action action{.kind = kind, .key = it->second};
  if (kind == Kind::kSet || kind == Kind::kAppend) action.value = history_.cells.string(value);
  const size_t number = history_.operations.size();
  history_.operations.push_back({.client = static_cast<int64_t>(client),
                                 .call = static_cast<int64_t>(world_.now_us()) * 1000,
                                 .line = static_cast<uint32_t>(number + 1),
                                 .first_action = static_cast<uint32_t>(history_.actions.size()),
                                 .action_count = 1,
                                 .outcome = check::Outcome::kUnknown});
  history_.actions.push_back(action);
  return number;
}

void RegisterHistory::finish(size_t operation, const Reply& reply) {
  check::Operation& done = history_.operations[operation];
  done.outcome = check::Outcome::kOk;
  done.returned = static_cast<int64_t>(world_.now_us()) * 1000;
  check::Action& action = history_.actions[operation];
  if (action.kind == Kind::kGet) {
    action.has_result = true;
    action.value = reply.is_nil() ? check::kAbsent : history_.cells.string(reply.text);
  } else if (action.kind != Kind::kSet) {
    action.has_result = true;
    action.result = reply.integer;
  }
}

void RegisterHistory::lose(size_t operation, bool maybe) {
  if (!maybe) history_.operations[operation].outcome = check::Outcome::kFailed;
}

std::string RegisterHistory::judge() {
  const check::CheckReport report = check::check_linearizable(
      history_, {.memory_bytes_max = kMemoryBytesMax, .steps_max = kStepsMax});
  undecided_ += report.undecided_keys.size();
  if (report.violations.empty()) return {};
  return "the history of the registers is not linearizable: " +
         check::violation_text(report.violations.front());
}

Pipeline Registers::next(Random& random) {
  using Kind = RegisterHistory::Kind;
  Pipeline pipeline;
  for (size_t count = random.between(1, 3); count > 0; --count) {
    const std::string key = history_.key(random.below(keys_));
    const std::string value = history_.new_value() + ";";
    std::vector<std::string> args{"GET", key};
    Kind kind = Kind::kGet;
    if (!only_reads_) {
      switch (random.below(10)) {
        case 0:
          kind = Kind::kDel;
          args = {"DEL", key};
          break;
        case 1:
          kind = Kind::kAppend;
          args = {"APPEND", key, value};
          break;
        case 2:
        case 3:
        case 4:
          kind = Kind::kSet;
          args = {"SET", key, value};
          break;
        default:
          break;
      }
    }
    const size_t number = history_.begin(client_, kind, key, value);
    pipeline.push_back({.args = std::move(args),
                        .replied =
                            [this, number](const Reply& reply) {
                              history_.finish(number, reply);
                              return std::string();
                            },
                        .lost = [this, number](bool maybe) { history_.lose(number, maybe); }});
  }
  return pipeline;
}

}  // namespace raftkv::sim
