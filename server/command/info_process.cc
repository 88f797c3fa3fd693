// INFO's sections about the process: Server, Memory, CPU.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "server/command/config_command.h"
#include "server/command/info.h"
#include "server/command/version.h"

// There if the program is linked with jemalloc (the server is, tests are not).
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_size,
                                             void* new_value, size_t new_size);

namespace raftkv::server {
namespace {

std::string operating_system() {
  utsname name{};
  if (uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string executable_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

uint64_t resident_bytes() {
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Not that of getrusage(), which a process inherits from whoever started it.
uint64_t resident_bytes_peak() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

// What the allocator has handed out, 0 if it can't tell.
uint64_t allocated_bytes() {
  if (!mallctl) {
    const struct mallinfo2 facts = mallinfo2();
    return facts.uordblks + facts.hblkhd;
  }
  uint64_t epoch = 1;  // the figures are those of the last refresh
  size_t size = sizeof epoch;
  mallctl("epoch", &epoch, &size, &epoch, size);
  size_t allocated = 0;
  size = sizeof allocated;
  return mallctl("stats.allocated", &allocated, &size, nullptr, 0) == 0 ? allocated : 0;
}

double percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void write_cpu(InfoText& text, std::string_view suffix, int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return fmt::format("{}.{:06}", time.tv_sec, time.tv_usec);
  };
  text.field(fmt::format("used_cpu_sys{}", suffix), seconds(usage.ru_stime));
  text.field(fmt::format("used_cpu_user{}", suffix), seconds(usage.ru_utime));
}

}  // namespace

void write_info_server(const InfoSource& source, InfoText& text) {
  const Host& host = source.host;
  const uint64_t uptime_s = (host.monotonic_us() - host.started_monotonic_us()) / 1'000'000;
  text.field("redis_version", kRedisVersion);
  text.field("redis_git_sha1", "00000000");
  text.field("redis_git_dirty", 0);
  text.field("redis_mode", kRedisMode);
  text.field("raftkv_version", kRaftkvVersion);
  text.field("os", operating_system());
  text.field("arch_bits", 8 * sizeof(void*));
  text.field("multiplexing_api", "epoll");
  text.field("gcc_version", fmt::format("{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__));
  text.field("process_id", getpid());
  text.field("process_supervised", "no");
  text.field("run_id", host.run_id());
  text.field("tcp_port", setting_value(host, "port"));
  text.field("server_time_usec", host.wall_us());
  text.field("uptime_in_seconds", uptime_s);
  text.field("uptime_in_days", uptime_s / 86'400);
  text.field("executable", executable_path());
  text.field("config_file", "");
  text.field("io_threads_active", 0);
}

void write_info_memory(const InfoSource& source, InfoText& text) {
  const Host& host = source.host;
  const uint64_t dataset = host.keyspace().memory_used();
  const uint64_t allocated = allocated_bytes();
  const uint64_t used = std::max(allocated, dataset);
  const uint64_t resident = resident_bytes();
  const uint64_t peak = std::max({used, resident, resident_bytes_peak()});
  uint64_t client_bytes = 0;
  host.for_each_client(
      [&](const ClientState& client) { client_bytes += client.input_bytes + client.output_bytes; });

  text.bytes("used_memory", used);
  text.bytes("used_memory_rss", resident);
  text.bytes("used_memory_peak", peak);  // of the resident memory
  text.field("used_memory_peak_perc", fmt::format("{:.2f}%", percent(used, peak)));
  text.field("used_memory_overhead", used - dataset);
  text.field("used_memory_dataset", dataset);
  text.field("used_memory_dataset_perc", fmt::format("{:.2f}%", percent(dataset, used)));
  text.bytes("total_system_memory", static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                                        static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  text.bytes("used_memory_lua", 0);
  text.bytes("used_memory_scripts", 0);
  text.field("number_of_cached_scripts", 0);
  text.field("number_of_functions", 0);
  text.field("number_of_libraries", 0);
  const std::string maxmemory = setting_value(host, "maxmemory");
  text.bytes("maxmemory", std::strtoull(maxmemory.c_str(), nullptr, 10));
  text.field("maxmemory_policy", setting_value(host, "maxmemory-policy"));
  text.ratio("mem_fragmentation_ratio",
             used == 0 ? 0 : static_cast<double>(resident) / static_cast<double>(used));
  text.field("mem_fragmentation_bytes",
             static_cast<int64_t>(resident) - static_cast<int64_t>(used));
  text.field("mem_not_counted_for_evict", 0);
  text.field("mem_clients_normal", client_bytes);
  text.field("mem_clients_slaves", 0);
  text.field("mem_allocator", mallctl ? "jemalloc" : "libc");
  text.field("active_defrag_running", 0);
  text.field("lazyfree_pending_objects", 0);
}

void write_info_cpu(const InfoSource&, InfoText& text) {
  write_cpu(text, "", RUSAGE_SELF);
  write_cpu(text, "_children", RUSAGE_CHILDREN);
  write_cpu(text, "_main_thread", RUSAGE_THREAD);
}

}  // namespace raftkv::server
