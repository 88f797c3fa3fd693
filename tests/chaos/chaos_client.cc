// Loads a cluster with the bundled client, one connection a thread, and writes down what each of
// them saw. Ends by itself after --seconds, and earlier at SIGTERM.
#include <sys/prctl.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "client/address.h"
#include "client/flags.h"
#include "tests/chaos/chaos_history.h"
#include "tests/chaos/chaos_workloads.h"

namespace {

std::atomic<bool> stopping = false;

}  // namespace

int main(int argc, char** argv) {
  using namespace raftkv;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGTERM, [](int) { stopping = true; });
  std::string nodes;
  std::string path;
  int64_t clients = 8;
  int64_t first_id = 1;
  int64_t seed = 1;
  int64_t seconds = 10;
  int64_t pause_us = 2000;
  int64_t epoch_ms = 3000;
  int64_t timeout_ms = 2000;
  chaos::LoadPlan plan;
  client::Flags flags;
  flags.required_text("nodes", &nodes, "Client addresses of the nodes, separated by commas.");
  flags.required_text("history", &path, "The file to write.");
  flags.number("clients", &clients, 1, 1000, "Clients, one thread and connection each.");
  flags.number("first_id", &first_id, 1, INT64_MAX, "The first client's number; they count up.");
  flags.number("seed", &seed, 0, INT64_MAX, "Of the draws.");
  flags.number("seconds", &seconds, 1, 86400, "How long.");
  flags.number("pause_us", &pause_us, 0, 10'000'000, "The longest rest between two operations.");
  flags.number("start_ns", &plan.start_ns, 0, INT64_MAX, "Monotonic time of the first epoch.");
  flags.number("epoch_ms", &epoch_ms, 1, 3'600'000, "How long a key is used.");
  flags.number("keys", &plan.keys, 1, 1000, "Keys of each kind in an epoch.");
  flags.number("timeout_ms", &timeout_ms, 1, 60'000, "Of one command, with all its retries.");
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (auto parsed = flags.parse(args); !parsed) {
    std::fprintf(stderr, "%s\n%s", parsed.error().c_str(), flags.help().c_str());
    return 2;
  }
  auto addresses = client::parse_addresses(nodes);
  if (!addresses) {
    std::fprintf(stderr, "--nodes: %s\n", addresses.error().c_str());
    return 2;
  }
  plan.nodes = *std::move(addresses);
  plan.epoch_ns = epoch_ms * 1'000'000;
  plan.client.command_timeout = std::chrono::milliseconds(timeout_ms);
  plan.client.attempt_timeout = std::chrono::milliseconds(timeout_ms / 4);
  plan.client.connect_timeout = std::chrono::milliseconds(250);

  chaos::History history(path);
  const int64_t end = chaos::now_ns() + seconds * 1'000'000'000;
  std::vector<std::jthread> threads;
  for (int64_t i = 0; i < clients; ++i) {
    threads.emplace_back([&, i] {
      const auto mixed = static_cast<uint64_t>(seed) * 1'000'003 + static_cast<uint64_t>(i);
      chaos::Load load(plan, history, first_id + i, mixed);
      std::mt19937_64 random(mixed);
      std::uniform_int_distribution<int64_t> pause(0, pause_us);
      while (!stopping && chaos::now_ns() < end) {
        load.step();
        // Think time: it sets the load, nothing waits for it.
        std::this_thread::sleep_for(std::chrono::microseconds(pause(random)));
      }
    });
  }
  return 0;
}
