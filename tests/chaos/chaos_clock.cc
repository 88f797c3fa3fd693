// Preloaded into a server under test: its wall clock is off by as much as a file says, the
// monotonic clock is true, as on a machine whose time somebody sets. The file (named by
// CHAOS_CLOCK_FILE) is eight bytes, a signed number of microseconds, mapped, so that a change
// counts at once.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kMicro = 1'000'000;

const std::atomic<int64_t>* map_offset() {
  const char* path = std::getenv("CHAOS_CLOCK_FILE");
  const int fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void* memory = fd < 0 ? MAP_FAILED : mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    std::perror("chaos_clock: CHAOS_CLOCK_FILE");
    std::abort();
  }
  close(fd);
  return static_cast<const std::atomic<int64_t>*>(memory);
}

int64_t offset_us() {
  static const std::atomic<int64_t>* const offset = map_offset();
  return offset->load(std::memory_order_relaxed);
}

using GetTime = int (*)(clockid_t, timespec*);

GetTime real_clock_gettime() {
  static const auto real = reinterpret_cast<GetTime>(dlsym(RTLD_NEXT, "clock_gettime"));
  return real;
}

int64_t shifted_us(const timespec& time) {
  return time.tv_sec * kMicro + time.tv_nsec / 1000 + offset_us();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int result = real_clock_gettime()(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    const int64_t us = shifted_us(*time);
    time->tv_sec = us / kMicro;
    time->tv_nsec = us % kMicro * 1000 + time->tv_nsec % 1000;
  }
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
