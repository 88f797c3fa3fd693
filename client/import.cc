#include "client/import.h"

#include <fmt/format.h>

#include <utility>

#include "storage/snapshot/rdb_file.h"
#include "storage/snapshot/rdb_reader.h"

namespace raftkv::client {
namespace {

using storage::RdbReader;
using Item = RdbReader::Item;

int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// Calls visit(reader) for each key until it returns false.
template <typename Visit>
std::expected<void, std::string> read_keys(const std::string& file, Visit visit) {
  auto source = storage::RdbFile::open(file);
  if (!source) return std::unexpected(fmt::format("cannot read {}: {}", file, source.error()));
  RdbReader reader(*source);
  while (true) {
    const auto item = reader.next();
    if (!item) return std::unexpected(fmt::format("{}: {}", file, item.error()));
    if (*item == Item::kEnd) return {};
    if (*item == Item::kKey && !visit(reader)) return {};
  }
}

class Import {
 public:
  Import(const ImportPlan& plan, const std::function<void(uint64_t)>& progress)
      : plan_(plan), progress_(progress), client_(plan.nodes, plan.client) {}

  ImportOutcome run() {
    const auto begun = Clock::now();
    const auto read = read_keys(plan_.file, [&](const RdbReader& reader) { return take(reader); });
    if (outcome_.error.empty()) send();
    if (!read && outcome_.error.empty()) outcome_.error = read.error();
    outcome_.elapsed = Clock::now() - begun;
    return std::move(outcome_);
  }

 private:
  // A batch is sent when it has so many bytes, if not before.
  static constexpr size_t kBatchBytesMax = size_t{4} << 20;

  // False: don't go on.
  bool take(const RdbReader& reader) {
    ++outcome_.keys;
    const int64_t expiry = reader.expiry_ms();
    if (expiry != RdbReader::kNoExpiry && expiry <= now_ms()) {
      ++outcome_.expired;
      return true;
    }
    batch_.push_back(set_command(reader));
    batch_bytes_ += reader.key().size() + reader.value().size();
    if (std::cmp_less(batch_.size(), plan_.pipeline) && batch_bytes_ < kBatchBytesMax) return true;
    return send();
  }

  Command set_command(const RdbReader& reader) const {
    Command command;
    command.args = {"SET", std::string(reader.key()), std::string(reader.value())};
    if (reader.expiry_ms() != RdbReader::kNoExpiry) {
      command.args.insert(command.args.end(), {"PXAT", std::to_string(reader.expiry_ms())});
    }
    if (!plan_.replace) command.args.emplace_back("NX");
    // With NX, too, twice is as good as once: the second time finds what the first one wrote.
    command.retry = Retry::kSafe;
    return command;
  }

  // Sends the batch until each of it has an answer, or patience ends.
  bool send() {
    auto patience_ends = Clock::now() + plan_.patience;
    while (!batch_.empty()) {
      const std::vector<Result> results = client_.pipeline(batch_);
      std::vector<Command> open;
      std::vector<Command> refused;  // by NX
      std::string trouble;
      bool doubt = false;
      for (size_t i = 0; i < results.size(); ++i) {
        if (results[i]) {
          if (results[i]->is_nil()) {
            refused.push_back(std::move(batch_[i]));
          } else {
            count(batch_[i]);
          }
          continue;
        }
        trouble = results[i].error().text;
        if (results[i].error().kind == ClientError::Kind::kServer) return fail(trouble, doubt);
        doubt = doubt || results[i].error().kind == ClientError::Kind::kOutcomeUnknown;
        open.push_back(std::move(batch_[i]));
      }
      if (!look_at(refused)) return false;
      if (open.size() < batch_.size()) patience_ends = Clock::now() + plan_.patience;
      batch_ = std::move(open);
      if (!batch_.empty() && Clock::now() >= patience_ends) return fail(trouble, doubt);
    }
    batch_bytes_ = 0;
    if (progress_) progress_(outcome_.imported + outcome_.expired + outcome_.existing);
    return true;
  }

  void count(const Command& done) {
    ++outcome_.imported;
    outcome_.bytes += done.args[1].size() + done.args[2].size();
  }

  // Keys that were there: by an attempt of ours whose reply was lost, or an earlier import, or
  // really.
  bool look_at(const std::vector<Command>& refused) {
    std::vector<Command> questions;
    for (const Command& command : refused) {
      questions.push_back({.args = {"GET", command.args[1]}, .retry = Retry::kRead});
      questions.push_back({.args = {"PEXPIRETIME", command.args[1]}, .retry = Retry::kRead});
    }
    if (questions.empty()) return true;
    const std::vector<Result> answers = client_.pipeline(questions);
    for (size_t i = 0; i < refused.size(); ++i) {
      const Result& value = answers[2 * i];
      const Result& expiry = answers[2 * i + 1];
      const std::vector<std::string>& args = refused[i].args;
      // A key of another type has a value that GET refuses.
      const bool other_type = !value && value.error().kind == ClientError::Kind::kServer;
      if (!other_type && !value) return fail(value.error().text, false);
      if (!expiry) return fail(expiry.error().text, false);
      const int64_t wanted = args[3] == "PXAT" ? std::stoll(args[4]) : -1;
      if (!other_type && value->text == args[2] && !value->is_nil() && expiry->integer == wanted) {
        count(refused[i]);
      } else {
        ++outcome_.existing;
        constexpr size_t kNamedMax = 5;
        if (outcome_.some_existing.size() < kNamedMax) {
          outcome_.some_existing.push_back(storage::printable_key(args[1]));
        }
      }
    }
    return true;
  }

  bool fail(std::string error, bool doubt) {
    outcome_.error = std::move(error);
    outcome_.doubt = doubt;
    return false;
  }

  const ImportPlan& plan_;
  const std::function<void(uint64_t)>& progress_;
  ClusterClient client_;
  ImportOutcome outcome_;
  std::vector<Command> batch_;
  size_t batch_bytes_ = 0;
};

}  // namespace

std::expected<uint64_t, std::string> check_import(const std::string& file) {
  uint64_t keys = 0;
  const auto read = read_keys(file, [&](const RdbReader&) { return ++keys != 0; });
  if (!read) return std::unexpected(read.error());
  return keys;
}

ImportOutcome run_import(const ImportPlan& plan, const std::function<void(uint64_t)>& progress) {
  return Import(plan, progress).run();
}

}  // namespace raftkv::client
