// bench: one line of figures.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/bench.h"
#include "client/commands.h"

namespace raftkv::client {
namespace {

constexpr int64_t kClientsMax = 1000;  // a file descriptor each, of the usual 1024
constexpr int64_t kThreadsMax = 256;

// A server on the same machine needs its share.
int64_t threads_by_default() {
  return std::max<int64_t>(1, std::thread::hardware_concurrency() / 2);
}

double ms(std::chrono::nanoseconds latency) {
  return static_cast<double>(latency.count()) / 1e6;
}

double per_second(const BenchOutcome& outcome) {
  const double seconds = outcome.elapsed.count();
  return seconds > 0 ? static_cast<double>(outcome.succeeded()) / seconds : 0.0;
}

std::string line_of(const BenchOutcome& outcome) {
  std::string line =
      fmt::format("writes={} throughput={:.0f}ops/sec p50={:.2f}ms p99={:.2f}ms", outcome.writes,
                  per_second(outcome), ms(outcome.latency.percentile(0.50)),
                  ms(outcome.latency.percentile(0.99)));
  if (outcome.reads > 0) line += fmt::format(" reads={}", outcome.reads);
  if (outcome.failed() > 0) {
    line += fmt::format(" errors={} unknown={}", outcome.errors, outcome.unknown);
  }
  if (outcome.verified + outcome.lost > 0) {
    line += fmt::format(" longest_gap={:.0f}ms verified={} lost={}", ms(outcome.longest_gap),
                        outcome.verified, outcome.lost);
  }
  return line + "\n";
}

std::string json_of(const BenchOutcome& outcome) {
  const nlohmann::json object = {{"writes", outcome.writes},
                                 {"reads", outcome.reads},
                                 {"errors", outcome.errors},
                                 {"unknown", outcome.unknown},
                                 {"elapsed_s", outcome.elapsed.count()},
                                 {"throughput_ops_per_s", per_second(outcome)},
                                 {"p50_ms", ms(outcome.latency.percentile(0.50))},
                                 {"p99_ms", ms(outcome.latency.percentile(0.99))},
                                 {"p999_ms", ms(outcome.latency.percentile(0.999))},
                                 {"max_ms", ms(outcome.latency.percentile(1.0))},
                                 {"longest_gap_ms", ms(outcome.longest_gap)},
                                 {"verified", outcome.verified},
                                 {"lost", outcome.lost},
                                 {"first_error", outcome.first_error},
                                 {"gave_up", outcome.gave_up}};
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

class BenchCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.number("n", &operations_, 0, 1'000'000'000'000,
                 "operations in all; 0: 10000, or as many as --duration_s allows if that is given");
    flags.number("clients", &clients_, 1, kClientsMax,
                 "connections, each with one batch at a time");
    flags.number("threads", &threads_, 0, kThreadsMax,
                 "threads that share the connections; 0: half as many as there are cores");
    flags.number("pipeline", &pipeline_, 1, 100'000, "operations in a batch");
    flags.number("rate", &rate_, 0, 1'000'000'000,
                 "operations a second in all; latencies count from the time at which each batch\n"
                 "      was due. 0: as many as go");
    flags.number("value_size", &value_size_, 0, 64 << 20, "bytes in a value");
    flags.share("read_share", &read_share_, "how many of the operations are reads");
    flags.number("duration_s", &duration_s_, 0, 7 * 24 * 3600,
                 "stop after so many seconds, also before --n are done; 0: no such limit");
    flags.number("warmup_s", &warmup_s_, 0, 3600,
                 "seconds at the beginning whose latencies are not counted: connections open, and\n"
                 "      caches fill");
    flags.number("keyspace", &keyspace_, 1, 999'999'999'999,
                 "how many different keys (bench:...) are used");
    flags.toggle("verify", &verify_,
                 "give each write a key of its own, and read back at the end whatever was\n"
                 "      acknowledged; exit code 1 if anything is missing. Leaves the keys behind");
    flags.toggle("once", &once_,
                 "send writes in sessions, again and again until they are answered: each is done\n"
                 "      once, also across a change of leaders");
    flags.toggle("incr", &incr_, "write by INCR, so that the keys count their writes");
    flags.number("patience_s", &patience_s_, 1, 3600,
                 "stop when nothing has succeeded for so many seconds");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    if (verify_ && incr_) {
      console.err(
          "raftkv-cli bench: --verify reads back the values that it wrote, and INCR writes none; "
          "give one of --verify and --incr\n");
      return kExitUsage;
    }
    if (duration_s_ != 0 && warmup_s_ >= duration_s_) {
      console.err(
          fmt::format("raftkv-cli bench: nothing is measured in {} s of which {} s warm up; give a "
                      "--duration_s that is longer than --warmup_s\n",
                      duration_s_, warmup_s_));
      return kExitUsage;
    }
    if (operations_ == 0 && duration_s_ == 0) operations_ = 10'000;
    BenchPlan plan = {.nodes = nodes,
                      .client = {.command_timeout = std::chrono::milliseconds(common.timeout_ms)},
                      .operations = operations_,
                      .duration = std::chrono::seconds(duration_s_),
                      .warmup = std::chrono::seconds(warmup_s_),
                      .patience = std::chrono::seconds(patience_s_),
                      .clients = clients_,
                      .threads = threads_ == 0 ? threads_by_default() : threads_,
                      .pipeline = pipeline_,
                      .rate = rate_,
                      .value_size = value_size_,
                      .read_share = read_share_,
                      .keyspace = keyspace_,
                      .verify = verify_,
                      .once = once_,
                      .incr = incr_};
    std::function<void(uint64_t)> progress;
    if (console.err_is_terminal) {
      progress = [&console](uint64_t done) { console.err(fmt::format("\r{} done", done)); };
    }
    const BenchOutcome outcome = run_bench(plan, progress);
    if (console.err_is_terminal) console.err("\r                              \r");
    console.out(common.json ? json_of(outcome) : line_of(outcome));
    return conclude(console, outcome);
  }

 private:
  // A leader change costs a few operations; that is a figure, not a failure. Nothing done, or
  // giving up before the end, is one.
  int conclude(const Console& console, const BenchOutcome& outcome) const {
    if (!outcome.first_error.empty()) {
      console.err(fmt::format("raftkv-cli bench: the first of {} failures: {}\n", outcome.failed(),
                              outcome.first_error));
    }
    if (outcome.gave_up) {
      console.err(fmt::format(
          "raftkv-cli bench: stopped early, nothing had succeeded for {} s (--patience_s). Is a "
          "majority of the nodes up? See: raftkv-cli status\n",
          patience_s_));
    }
    if (outcome.lost > 0) {
      console.err(fmt::format("raftkv-cli bench: {} acknowledged writes could not be read back\n",
                              outcome.lost));
    }
    const bool failed = outcome.gave_up || outcome.succeeded() == 0 || outcome.lost > 0;
    return failed ? kExitFailed : kExitOk;
  }

  int64_t operations_ = 0;
  int64_t clients_ = 1;
  int64_t threads_ = 0;
  int64_t pipeline_ = 1;
  int64_t value_size_ = 64;
  double read_share_ = 0.0;
  int64_t duration_s_ = 0;
  int64_t warmup_s_ = 0;
  int64_t keyspace_ = 100'000;
  int64_t patience_s_ = 15;
  int64_t rate_ = 0;
  bool verify_ = false;
  bool once_ = false;
  bool incr_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> make_bench_command() {
  return std::make_unique<BenchCommand>();
}

}  // namespace raftkv::client
