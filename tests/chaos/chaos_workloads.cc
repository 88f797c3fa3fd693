#include "tests/chaos/chaos_workloads.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>

#include "client/answer.h"

namespace raftkv::chaos {
namespace {

using client::ClientError;
using client::Reply;
using client::Result;
using client::Retry;
using nlohmann::json;

constexpr int64_t kLockMs = 600;

Outcome outcome_of(const Result& result) {
  if (result) return Outcome::kDone;
  return result.error().kind == ClientError::Kind::kOutcomeUnknown ? Outcome::kUnknown
                                                                   : Outcome::kNotDone;
}

std::string error_of(const Result& result) {
  return result ? "" : result.error().text;
}

json text_or_null(const Reply& reply) {
  return reply.is_nil() ? json(nullptr) : json(reply.text);
}

int64_t balance_of(const Reply& reply) {
  return reply.is_nil() ? kOpeningBalance : std::stoll(reply.text);
}

json micro(const char* op, const std::string& key, json value) {
  return {{"op", op}, {"key", key}, {"value", std::move(value)}};
}

}  // namespace

LeaderSession::LeaderSession(const LoadPlan& plan, uint64_t seed) : plan_(plan), next_(seed) {}

bool LeaderSession::connect() {
  if (connection_ && connection_->usable()) return true;
  connection_.reset();
  const client::Address to = target_ ? *target_ : plan_.nodes[next_++ % plan_.nodes.size()];
  target_.reset();
  auto made = client::Connection::connect(to, client::Clock::now() + plan_.client.connect_timeout);
  if (!made) return false;
  connection_ = *std::move(made);
  target_ = to;
  return true;
}

std::expected<Reply, std::string> LeaderSession::ask(std::vector<std::string> args) {
  connection_->append(args);
  auto reply = connection_->receive(client::Clock::now() + plan_.client.command_timeout);
  if (!reply) {
    connection_.reset();
    target_.reset();
    return reply;
  }
  if (reply->is_error()) {
    const client::Verdict verdict = client::judge(reply->text);
    if (verdict != client::Verdict::kFinal) {
      const std::optional<client::Address> from = std::exchange(target_, std::nullopt);
      if (verdict == client::Verdict::kMoved) target_ = client::moved_to(reply->text, *from);
      connection_.reset();
    }
  }
  return reply;
}

Load::Load(const LoadPlan& plan, History& history, int64_t id, uint64_t seed)
    : plan_(plan),
      history_(history),
      id_(id),
      random_(seed),
      client_(plan.nodes, plan.client),
      session_(plan, seed) {}

void Load::step() {
  switch (draw(0, 19)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      return registers();
    case 6:
    case 7:
    case 8:
      return counters();
    case 9:
    case 10:
    case 11:
      return appends();
    case 12:
    case 13:
    case 14:
      return swaps();
    case 15:
    case 16:
      return transfer();
    case 17:
      return audit();
    default:
      return lock();
  }
}

int64_t Load::draw(int64_t from, int64_t to) {
  return std::uniform_int_distribution<int64_t>(from, to)(random_);
}

int64_t Load::epoch() const {
  return (now_ns() - plan_.start_ns) / plan_.epoch_ns;
}

std::string Load::key(const char* kind) {
  return fmt::format("{}:{}:{}", kind, epoch(), draw(0, plan_.keys - 1));
}

std::string Load::unique() {
  return fmt::format("{}.{}", id_, ++serial_);
}

void Load::get(const std::string& name) {
  const int64_t call = now_ns();
  const Result result = client_.command({"GET", name}, Retry::kRead);
  json fields = {{"client", id_}, {"op", "get"}, {"key", name}};
  fields["value"] = result ? text_or_null(*result) : json(nullptr);
  history_.record(std::move(fields), call, outcome_of(result), error_of(result));
}

Result Load::write(json fields, std::vector<std::string> args) {
  fields["client"] = id_;
  const int64_t call = now_ns();
  // Never sent twice: a second time is a second operation.
  Result result = client_.command(std::move(args), Retry::kUnsafe);
  if (result) {
    const std::string op = fields["op"];
    if (op == "cas") {
      fields["result"] = !result->is_nil();
    } else if (op != "set") {
      fields["result"] = result->integer;
    }
  }
  history_.record(std::move(fields), call, outcome_of(result), error_of(result));
  return result;
}

void Load::registers() {
  const std::string name = key("reg");
  const int64_t what = draw(0, 9);
  if (what < 5) return get(name);
  if (what == 9) {
    write({{"op", "del"}, {"key", name}}, {"DEL", name});
  } else {
    const std::string value = unique();
    write({{"op", "set"}, {"key", name}, {"value", value}}, {"SET", name, value});
  }
}

void Load::counters() {
  const std::string name = key("ctr");
  if (draw(0, 2) == 0) return get(name);
  write({{"op", "incr"}, {"key", name}, {"value", 1}}, {"INCR", name});
}

void Load::appends() {
  const std::string name = key("app");
  if (draw(0, 2) == 0) return get(name);
  const std::string value = unique() + ";";
  write({{"op", "append"}, {"key", name}, {"value", value}}, {"APPEND", name, value});
}

void Load::swaps() {
  const std::string name = key("cas");
  const int64_t what = draw(0, 9);
  if (what < 3) return get(name);
  if (what < 6) return watched_swap(name);
  if (what < 8) {
    write({{"op", "del"}, {"key", name}}, {"DEL", name});
    return;
  }
  const std::string value = unique();
  write({{"op", "cas"}, {"key", name}, {"expect", nullptr}, {"value", value}},
        {"SET", name, value, "NX"});
}

std::optional<Reply> Load::watch_and_read(const std::vector<std::string>& keys,
                                          std::vector<std::string> read) {
  if (!session_.connect()) {
    // Nobody leads: the load goes on asking, but not as fast as it can.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return std::nullopt;
  }
  std::vector<std::string> watch = {"WATCH"};
  watch.insert(watch.end(), keys.begin(), keys.end());
  const auto watched = session_.ask(std::move(watch));
  if (!watched || watched->is_error()) return std::nullopt;
  auto seen = session_.ask(std::move(read));
  if (!seen || seen->is_error()) {
    session_.drop();
    return std::nullopt;
  }
  return *std::move(seen);
}

// MULTI, the commands, EXEC, one after the other: until EXEC is sent nothing can happen.
Load::Executed Load::execute(std::vector<std::vector<std::string>> commands) {
  commands.insert(commands.begin(), {"MULTI"});
  for (auto& command : commands) {
    const auto queued = session_.ask(std::move(command));
    if (!queued || queued->is_error()) {
      session_.drop();
      return {Outcome::kNotDone, queued ? queued->text : queued.error(), {}, now_ns()};
    }
  }
  const int64_t call = now_ns();
  auto reply = session_.ask({"EXEC"});
  if (!reply) return {Outcome::kUnknown, reply.error(), {}, call};
  if (reply->is_nil()) return {Outcome::kNotDone, "", {}, call};  // a watched key had changed
  if (reply->is_error()) {
    const bool unknown = client::judge(reply->text) == client::Verdict::kUnknown;
    return {unknown ? Outcome::kUnknown : Outcome::kNotDone, reply->text, {}, call};
  }
  for (const Reply& element : reply->elements) {
    if (element.is_error()) return {Outcome::kUnknown, "in EXEC: " + element.text, {}, call};
  }
  return {Outcome::kDone, "", *std::move(reply), call};
}

void Load::watched_swap(const std::string& name) {
  const auto seen = watch_and_read({name}, {"GET", name});
  if (!seen) return;
  const std::string value = unique();
  const Executed done = execute({{"SET", name, value}});
  json fields = {{"client", id_}, {"op", "cas"}, {"key", name}, {"value", value}};
  fields["expect"] = text_or_null(*seen);
  // Not swapped, because somebody had written meanwhile: no effect, and no statement about the
  // value.
  if (done.outcome == Outcome::kDone) fields["result"] = true;
  history_.record(std::move(fields), done.call, done.outcome, done.error);
}

void Load::transfer() {
  const std::string bank = fmt::format("{{bank:{}}}:", epoch());
  const int64_t from = draw(0, kAccounts - 1);
  const int64_t to = (from + draw(1, kAccounts - 1)) % kAccounts;
  const std::string source = bank + std::to_string(from);
  const std::string target = bank + std::to_string(to);
  const auto seen = watch_and_read({source, target}, {"MGET", source, target});
  if (!seen || seen->elements.size() != 2) return;
  const int64_t amount = draw(1, 20);
  const std::string less = std::to_string(balance_of(seen->elements[0]) - amount);
  const std::string more = std::to_string(balance_of(seen->elements[1]) + amount);
  const Executed done = execute({{"SET", source, less}, {"SET", target, more}});
  json ops = json::array({micro("get", source, text_or_null(seen->elements[0])),
                          micro("get", target, text_or_null(seen->elements[1])),
                          micro("set", source, less), micro("set", target, more)});
  history_.record({{"client", id_}, {"op", "txn"}, {"ops", std::move(ops)}}, done.call,
                  done.outcome, done.error);
}

void Load::audit() {
  if (!session_.connect()) return;
  const std::string bank = fmt::format("{{bank:{}}}:", epoch());
  std::vector<std::string> read = {"MGET"};
  for (int i = 0; i < kAccounts; ++i) read.push_back(bank + std::to_string(i));
  const std::vector<std::string> names(read.begin() + 1, read.end());
  const Executed done = execute({std::move(read)});
  if (done.outcome != Outcome::kDone) return;  // a read without an answer says nothing
  json ops = json::array();
  const std::vector<Reply>& values = done.reply.elements.at(0).elements;
  for (size_t i = 0; i < values.size(); ++i) {
    ops.push_back(micro("get", names.at(i), text_or_null(values[i])));
  }
  history_.record({{"client", id_}, {"op", "txn"}, {"ops", std::move(ops)}}, done.call,
                  done.outcome);
}

void Load::lock() {
  const int64_t age = epoch();
  const int64_t number = draw(0, plan_.keys - 1);
  const std::string name = fmt::format("lock:{}:{}", age, number);
  const std::string token = unique();
  const int64_t call = now_ns();
  const Result taken =
      client_.command({"SET", name, token, "NX", "PX", std::to_string(kLockMs)}, Retry::kUnsafe);
  if (!taken || taken->is_nil()) return;
  json fields = {{"client", id_}, {"op", "lock"}, {"key", name}, {"ttl_ms", kLockMs}};
  fields["held_from"] = now_ns();
  const std::string fence = fmt::format("fence:{}:{}", age, number);
  const Result fenced = write({{"op", "incr"}, {"key", fence}, {"value", 1}}, {"INCR", fence});
  fields["fence"] = fenced ? json(fenced->integer) : json(nullptr);
  // The work that the lock protects.
  std::this_thread::sleep_for(std::chrono::milliseconds(draw(0, kLockMs / 20)));
  // Half of the locks are left to their time.
  fields["released"] = nullptr;
  if (draw(0, 1) == 0) {
    fields["released"] = now_ns();
    release(name, token);
  }
  history_.record(std::move(fields), call, Outcome::kDone);
}

// By comparison: when the time was up meanwhile, it is another's lock.
void Load::release(const std::string& name, const std::string& token) {
  const auto seen = watch_and_read({name}, {"GET", name});
  if (!seen) return;
  if (seen->text == token) {
    execute({{"DEL", name}});
  } else {
    session_.drop();  // the shortest way to UNWATCH
  }
}

}  // namespace raftkv::chaos
