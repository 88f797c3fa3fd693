// raftkv-sim: simulated clusters from the command line.
//
//   raftkv-sim --seed S [--verbose]                  one seed, exactly as it always runs
//   raftkv-sim --seeds N [--start S] [--jobs J]      many, on all cores
//
// Exit code 0: all went well; 1: a seed failed; 2: the command line can't be read.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
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
    } else if (flag == "--jobs" && number > 0) {
      request.jobs = number;
    } else {
      return std::nullopt;
    }
  }
  return request;
}

// A broken invariant ends the process: each seed has one of its own.
[[noreturn]] void run_seed(uint64_t seed, bool verbose) {
  Random random(seed);
  SimCluster cluster(seed, Profile::draw(random));
  if (verbose) cluster.set_verbose();
  const std::string failure = cluster.run();
  if (!failure.empty()) fmt::print("seed {}: {}\n", seed, failure);
  if (verbose) fmt::print("{}", to_text(cluster.totals()));
  std::fflush(stdout);
  _exit(failure.empty() ? 0 : 1);
}

int run(const Request& request) {
  std::map<pid_t, uint64_t> running;
  std::vector<uint64_t> failed;
  uint64_t next = request.start;
  const uint64_t end = request.start + request.seeds;
  while (next < end || !running.empty()) {
    if (next < end && running.size() < request.jobs) {
      const pid_t child = fork();
      if (child == 0) run_seed(next, request.verbose);
      if (child < 0) {
        fmt::print(stderr, "no process for seed {}: {}\n", next, std::strerror(errno));
        return 2;
      }
      running[child] = next++;
      continue;
    }
    int status = 0;
    const pid_t child = wait(&status);
    if (child < 0) return 2;
    if (status != 0) failed.push_back(running[child]);
    running.erase(child);
  }
  fmt::print("{} seeds, {} failed\n", request.seeds, failed.size());
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
               "       raftkv-sim --seeds N [--start S] [--jobs J]\n");
    return 2;
  }
  return raftkv::sim::run(*request);
}
