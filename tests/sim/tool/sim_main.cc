// raftkv-sim: simulated clusters from the command line.
//
//   raftkv-sim --seed S [--verbose]                  one seed, exactly as it always runs;
//                                                    with --verbose each event in a line
//   raftkv-sim --seeds N [--start S] [--jobs J]      many, on all cores
//              [--enough K]                          no more once K have failed
//
// Exit code 0: all went well; 1: a seed failed; 2: the command line can't be read.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/sim/sim_totals.h"

namespace raftkv::sim {
namespace {

struct Request {
  uint64_t start = 1;
  uint64_t seeds = 300;
  uint64_t jobs = std::max(1U, std::thread::hardware_concurrency());
  uint64_t enough = 0;  // 0: all seeds run, however many fail
  bool verbose = false;
};

std::optional<Request> parse(int argc, char** argv) {
  Request request;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--verbose") {
      request.verbose = true;
      continue;
    }
    if (++i == argc) return std::nullopt;
    uint64_t number = 0;
    const char* end = argv[i] + std::strlen(argv[i]);
    const auto [rest, error] = std::from_chars(argv[i], end, number);
    if (error != std::errc() || rest != end) return std::nullopt;
    if (flag == "--seed") {
      request.start = number;
      request.seeds = 1;
    } else if (flag == "--seeds") {
      request.seeds = number;
    } else if (flag == "--start") {
      request.start = number;
    } else if (flag == "--enough") {
      request.enough = number;
    } else if (flag == "--jobs" && number > 0) {
      request.jobs = number;
    } else {
      return std::nullopt;
    }
  }
  return request;
}

// A run that never ends is a failure as well: no seed needs a hundredth of this.
constexpr unsigned kPatienceS = 120;

// A broken invariant ends the process: each seed has one of its own.
[[noreturn]] void run_seed(uint64_t seed, bool verbose, SimCluster::Totals& totals) {
  alarm(kPatienceS);
  Random random(seed);
  SimCluster cluster(seed, Profile::draw(random));
  if (verbose) cluster.set_verbose();
  const std::string failure = cluster.run();
  if (!failure.empty()) fmt::print("seed {}: {}\n", seed, failure);
  totals = cluster.totals();
  std::fflush(stdout);
  _exit(failure.empty() ? 0 : 1);
}

// Processes that run seeds, and the memory in which they leave what happened.
class Runners {
 public:
  explicit Runners(size_t count) {
    const size_t bytes = count * sizeof(SimCluster::Totals);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory to share with the runners");
    shared_ = static_cast<SimCluster::Totals*>(memory);
    for (size_t i = 0; i < count; ++i) free_.push_back(i);
  }

  bool idle() const { return running_.empty(); }
  bool full() const { return free_.empty(); }

  void start(uint64_t seed, bool verbose) {
    const size_t place = free_.back();
    shared_[place] = {};
    const pid_t child = fork();
    if (child == 0) run_seed(seed, verbose, shared_[place]);
    if (child < 0) {
      throw std::runtime_error(
          fmt::format("no process for seed {}: {}", seed, std::strerror(errno)));
    }
    free_.pop_back();
    running_[child] = {seed, place};
  }

  // Waits for one to end. Its seed, if that failed.
  std::optional<uint64_t> finish() {
    int status = 0;
    const auto ended = running_.extract(wait(&status));
    if (ended.empty()) throw std::runtime_error("a process ended that runs no seed");
    const auto [seed, place] = ended.mapped();
    add(totals_sum, shared_[place]);
    free_.push_back(place);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
      fmt::print("seed {}: has not ended after {} s\n", seed, kPatienceS);
    }
    return status == 0 ? std::nullopt : std::optional(seed);
  }

  SimCluster::Totals totals_sum;

 private:
  struct Place {
    uint64_t seed;
    size_t place;
  };

  SimCluster::Totals* shared_ = nullptr;
  std::vector<size_t> free_;
  std::map<pid_t, Place> running_;
};

int run(const Request& request) {
  Runners runners(request.jobs);
  std::vector<uint64_t> failed;
  uint64_t next = request.start;
  const uint64_t end = request.start + request.seeds;
  const auto enough = [&] { return request.enough != 0 && failed.size() >= request.enough; };
  while ((next < end && !enough()) || !runners.idle()) {
    if (next < end && !enough() && !runners.full()) {
      runners.start(next++, request.verbose);
    } else if (const auto seed = runners.finish()) {
      failed.push_back(*seed);
    }
  }
  std::ranges::sort(failed);
  fmt::print("{} seeds, {} failed\n{}", next - request.start, failed.size(),
             to_text(runners.totals_sum));
  for (uint64_t seed : failed) fmt::print("  raftkv-sim --seed {} --verbose\n", seed);
  return failed.empty() ? 0 : 1;
}

}  // namespace
}  // namespace raftkv::sim

int main(int argc, char** argv) {
  const auto request = raftkv::sim::parse(argc, argv);
  if (!request) {
    fmt::print(stderr,
               "usage: raftkv-sim --seed S [--verbose]\n"
               "       raftkv-sim --seeds N [--start S] [--jobs J] [--enough K]\n");
    return 2;
  }
  try {
    return raftkv::sim::run(*request);
  } catch (const std::exception& error) {
    fmt::print(stderr, "raftkv-sim: {}\n", error.what());
    return 2;
  }
}
