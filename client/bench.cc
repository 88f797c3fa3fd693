#include "client/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <utility>

namespace raftkv::client {
namespace {

// What the workers share. All counters; no order between them is needed.
class SharedLoad {
 public:
  explicit SharedLoad(const BenchPlan& plan)
      : limited_(plan.operations > 0), left_(plan.operations), running_(plan.clients) {}

  // How many of `wanted` operations to do now; 0: the end.
  int64_t take(int64_t wanted) {
    if (stop_) return 0;
    if (!limited_) return wanted;
    const int64_t before = left_.fetch_sub(wanted);
    return std::clamp<int64_t>(before, 0, wanted);
  }

  void count_success(uint64_t operations) { succeeded_ += operations; }
  uint64_t succeeded() const { return succeeded_; }
  void stop() { stop_ = true; }
  bool stopped() const { return stop_; }

  void worker_ends() {
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }
  // True once all workers have ended; false at `until`.
  bool wait_for_end(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    return ended_.wait_until(lock, until, [this] { return running_ == 0; });
  }

 private:
  const bool limited_;
  std::atomic<int64_t> left_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> succeeded_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  int64_t running_;
};

constexpr size_t kVerifiedAtOnce = 500;
// How often a connection that waits for its time looks whether the load has been stopped.
constexpr std::chrono::milliseconds kStopSeen{100};

// Between two batches of all connections together, at the plan's rate; 0 without one.
Clock::duration batch_interval(const BenchPlan& plan) {
  if (plan.rate == 0) return Clock::duration(0);
  const std::chrono::duration<double> interval(static_cast<double>(plan.pipeline) /
                                               static_cast<double>(plan.rate));
  return std::chrono::duration_cast<Clock::duration>(interval);
}

// One connection's load.
class Worker {
 public:
  // `place`: which of the plan's clients this is, from 0.
  Worker(const BenchPlan& plan, SharedLoad& load, int64_t place)
      : plan_(plan),
        load_(load),
        place_(place),
        client_(plan.nodes, plan.client),
        random_(std::random_device{}()),
        own_keys_(fmt::format("bench:{:016x}:", random_())) {}

  Task<void> run(IoLoop& loop) {
    last_success_ = Clock::now();
    warm_at_ = last_success_ + plan_.warmup;
    // One connection begins after the other, within the time that one takes from batch to batch.
    const auto interval = batch_interval(plan_);
    auto due = last_success_ + interval * place_;
    co_await wait_until(loop, due);
    while (const int64_t size = load_.take(plan_.pipeline)) {
      co_await do_batch(loop, size, due);
      due += interval * plan_.clients;
      co_await wait_until(loop, due);
    }
    note_gap();
    load_.worker_ends();
  }

  // After run(), with --verify: reads back what was acknowledged.
  void verify() {
    std::vector<Command> reads;
    std::vector<uint64_t> serials;
    size_t failed = 0;  // into not_acknowledged_, which ascends as the serials do
    const auto check = [&] {
      const std::vector<Result> results = client_.pipeline(reads);
      for (size_t i = 0; i < results.size(); ++i) {
        if (!results[i] && outcome_.first_error.empty()) {
          outcome_.first_error = results[i].error().text;
        }
        const bool there = results[i] && results[i]->text == value_of(serials[i]);
        ++(there ? outcome_.verified : outcome_.lost);
      }
      reads.clear();
      serials.clear();
    };
    for (uint64_t serial = 0; serial < serial_; ++serial) {
      if (failed < not_acknowledged_.size() && not_acknowledged_[failed] == serial) {
        ++failed;
        continue;
      }
      reads.push_back({.args = {"GET", own_key(serial)}, .retry = Retry::kRead});
      serials.push_back(serial);
      if (reads.size() == kVerifiedAtOnce) check();
    }
    if (!reads.empty()) check();
  }

  BenchOutcome& outcome() { return outcome_; }

 private:
  // Ends early when the load is stopped.
  Task<void> wait_until(IoLoop& loop, Clock::time_point due) {
    for (auto now = Clock::now(); now < due && !load_.stopped(); now = Clock::now()) {
      co_await loop.until(std::min(due, now + kStopSeen));
    }
  }

  // `due`: when it was to be sent.
  Task<void> do_batch(IoLoop& loop, int64_t size, Clock::time_point due) {
    const uint64_t first_serial = serial_;
    batch_.resize(static_cast<size_t>(size));
    for (Command& command : batch_) draw_command(command);
    const auto start = plan_.rate > 0 ? due : Clock::now();
    const std::vector<Result> results = co_await client_.pipeline(loop, batch_);
    const auto latency = Clock::now() - start;
    uint64_t succeeded = 0;
    uint64_t serial = first_serial;
    for (size_t i = 0; i < results.size(); ++i) {
      const bool read = batch_[i].retry == Retry::kRead;
      if (!read && !results[i] && plan_.verify) not_acknowledged_.push_back(serial);
      if (!read) ++serial;
      if (results[i]) {
        ++(read ? outcome_.reads : outcome_.writes);
        ++succeeded;
      } else {
        count_failure(results[i].error());
      }
    }
    if (succeeded == 0) co_return;
    note_gap();
    last_success_ = Clock::now();
    if (start >= warm_at_) outcome_.latency.add(latency, succeeded);
    load_.count_success(succeeded);
  }

  // Without sessions, writes are not sent again once their outcome is in doubt, so that doubt is
  // counted. `command` is one that was sent before, for the memory it has.
  void draw_command(Command& command) {
    auto& args = command.args;
    const bool read = std::bernoulli_distribution(plan_.read_share)(random_);
    command.retry = read ? Retry::kRead : Retry::kUnsafe;
    command.once = !read && plan_.once;
    args.resize(read || plan_.incr ? 2 : 3);
    args[0] = read ? "GET" : plan_.incr ? "INCR" : "SET";
    if (args.size() == 3 && plan_.verify) {
      const uint64_t serial = serial_++;
      args[1] = own_key(serial);
      args[2] = value_of(serial);
      return;
    }
    args[1].clear();
    std::uniform_int_distribution<int64_t> key(0, plan_.keyspace - 1);
    fmt::format_to(std::back_inserter(args[1]), "bench:{:012d}", key(random_));
    if (args.size() == 3) args[2].assign(text_at(random_()));
  }

  std::string own_key(uint64_t serial) const { return fmt::format("{}{}", own_keys_, serial); }
  // With the serial in it, so that another write's value is noticed.
  std::string value_of(uint64_t serial) { return fmt::format("{}:{}", serial, text_at(serial)); }

  void note_gap() {
    outcome_.longest_gap =
        std::max<std::chrono::nanoseconds>(outcome_.longest_gap, Clock::now() - last_success_);
  }

  // A piece of random text: neither the same each time, nor dear to make.
  std::string_view text_at(uint64_t place) {
    const auto size = static_cast<size_t>(plan_.value_size);
    if (text_.empty()) {
      text_.resize(size + 1024);
      std::uniform_int_distribution<int> letter('a', 'z');
      for (char& c : text_) c = static_cast<char>(letter(random_));
    }
    return std::string_view(text_).substr(place % 1024, size);
  }

  void count_failure(const ClientError& error) {
    const bool unknown = error.kind == ClientError::Kind::kOutcomeUnknown;
    ++(unknown ? outcome_.unknown : outcome_.errors);
    if (outcome_.first_error.empty()) outcome_.first_error = error.text;
  }

  const BenchPlan& plan_;
  SharedLoad& load_;
  const int64_t place_;
  ClusterClient client_;
  std::mt19937_64 random_;
  std::string text_;
  std::vector<Command> batch_;
  Clock::time_point last_success_;
  Clock::time_point warm_at_;
  std::string own_keys_;  // how they begin
  uint64_t serial_ = 0;   // of the next write
  std::vector<uint64_t> not_acknowledged_;
  BenchOutcome outcome_;
};

// One thread's share of the workers: the one at `first`, and from there each `step` further.
void run_every(const std::vector<std::unique_ptr<Worker>>& workers, size_t first, size_t step) {
  IoLoop loop;
  std::vector<Task<void>> tasks;
  for (size_t i = first; i < workers.size(); i += step) tasks.push_back(workers[i]->run(loop));
  for (Task<void>& task : tasks) task.start();
  loop.run();
}

// Waits for the workers, tells of progress, and ends them when it is time. True: patience ran out.
bool watch(const BenchPlan& plan, SharedLoad& load, const std::function<void(uint64_t)>& progress) {
  const auto start = Clock::now();
  const bool timed = plan.duration.count() > 0;
  const auto patience = plan.patience + batch_interval(plan);
  auto last_success = start;
  uint64_t seen = 0;
  auto wake = start;
  bool gave_up = false;
  for (;;) {
    wake += std::chrono::seconds(1);
    if (timed) wake = std::min(wake, std::max(start + plan.duration, Clock::now()));
    if (load.wait_for_end(wake)) return gave_up;
    if (timed && Clock::now() >= start + plan.duration) break;
    if (const uint64_t now = load.succeeded(); now != seen) {
      seen = now;
      last_success = Clock::now();
    } else if (Clock::now() - last_success >= patience) {
      gave_up = true;
      break;
    }
    if (progress) progress(seen);
  }
  load.stop();
  load.wait_for_end(
      Clock::time_point::max());  // each worker's last batch has a deadline of its own
  return gave_up;
}

}  // namespace

void BenchOutcome::merge(BenchOutcome&& other) {
  writes += other.writes;
  reads += other.reads;
  errors += other.errors;
  unknown += other.unknown;
  latency.merge(other.latency);
  longest_gap = std::max(longest_gap, other.longest_gap);
  verified += other.verified;
  lost += other.lost;
  if (first_error.empty()) first_error = std::move(other.first_error);
}

BenchOutcome run_bench(const BenchPlan& plan, const std::function<void(uint64_t)>& progress) {
  SharedLoad load(plan);
  std::vector<std::unique_ptr<Worker>> workers;
  workers.reserve(static_cast<size_t>(plan.clients));
  for (int64_t i = 0; i < plan.clients; ++i) {
    workers.push_back(std::make_unique<Worker>(plan, load, i));
  }
  const auto thread_count = static_cast<size_t>(std::min(plan.threads, plan.clients));
  BenchOutcome outcome;
  const auto start = Clock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(thread_count);
    for (size_t i = 0; i < thread_count; ++i) {
      threads.emplace_back([&workers, i, thread_count] { run_every(workers, i, thread_count); });
    }
    outcome.gave_up = watch(plan, load, progress);
    outcome.elapsed = Clock::now() - start;
  }
  if (plan.verify) {
    for (auto& worker : workers) worker->verify();
  }
  for (auto& worker : workers) outcome.merge(std::move(worker->outcome()));
  return outcome;
}

}  // namespace raftkv::client
