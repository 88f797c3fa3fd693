// Runs a process up to its k-th step on the files below a folder, and kills it (SIGKILL) right
// before that step is done. A step is a system call that changes files or makes a change durable,
// by whichever thread and library.
//
// The process says itself from where on steps count: count_steps_from_here() has the kernel stop
// every such call (seccomp) for whoever traces the process (ptrace), which is its parent here.
#pragma once

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace raftkv::test {

// --- which calls are steps ---------------------------------------------------------------------

struct StepCall {
  long number;
  const char* name;
  int descriptor;  // which argument is the file's descriptor; -1: none
  int path;        // which argument is the file's path
  int flags = -1;  // which argument holds open()'s flags: only who creates or empties changes files
};

inline constexpr StepCall kStepCalls[] = {
    {SYS_openat, "openat", -1, 1, 2},
    {SYS_write, "write", 0, -1},
    {SYS_writev, "writev", 0, -1},
    {SYS_pwrite64, "pwrite64", 0, -1},
    {SYS_pwritev, "pwritev", 0, -1},
    {SYS_pwritev2, "pwritev2", 0, -1},
    {SYS_fsync, "fsync", 0, -1},
    {SYS_fdatasync, "fdatasync", 0, -1},
    {SYS_sync_file_range, "sync_file_range", 0, -1},
    {SYS_ftruncate, "ftruncate", 0, -1},
    {SYS_truncate, "truncate", -1, 0},
    {SYS_fallocate, "fallocate", 0, -1},
    {SYS_renameat2, "renameat2", -1, 1},
    {SYS_renameat, "renameat", -1, 1},
    {SYS_linkat, "linkat", -1, 1},
    {SYS_unlinkat, "unlinkat", -1, 1},
    {SYS_mkdirat, "mkdirat", -1, 1},
#ifdef SYS_open  // the older names of some machines
    {SYS_open, "open", -1, 0, 1},
    {SYS_creat, "creat", -1, 0},
    {SYS_rename, "rename", -1, 0},
    {SYS_link, "link", -1, 0},
    {SYS_unlink, "unlink", -1, 0},
    {SYS_rmdir, "rmdir", -1, 0},
    {SYS_mkdir, "mkdir", -1, 0},
#endif
};

// --- in the process that is to die -------------------------------------------------------------

inline constexpr char kSayDescriptor[] = "RAFTKV_STEPPER_SAY";

// From here on the steps of all threads count. Ends the process if the kernel refuses.
inline void count_steps_from_here() {
  std::vector<sock_filter> filter;
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const StepCall& call : kStepCalls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call.number), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{.len = static_cast<uint16_t>(filter.size()), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0) {
    return;
  }
  std::perror(
      "this process can't have its system calls stopped (seccomp). Where a container "
      "forbids that, allow it: docker run --security-opt seccomp=unconfined");
  ::_exit(1);
}

// What the parent is told, however this process ends: Life::said.
inline void say(const std::string& text) {
  const char* descriptor = std::getenv(kSayDescriptor);
  if (descriptor == nullptr) return;
  const auto size = static_cast<ssize_t>(text.size());
  if (::write(std::atoi(descriptor), text.data(), text.size()) != size) ::_exit(1);
}

// --- in its parent -----------------------------------------------------------------------------

struct Life {
  bool killed = false;
  int exit_code = -1;              // if it was not killed by us; -1: by another signal
  std::vector<std::string> steps;  // that were done, "fdatasync /path"
  std::string next;                // the one that was not, if it was killed
  std::string said;
};

class Stepper {
 public:
  // `root`: only what happens to files below it counts.
  Stepper(std::string root, uint64_t steps_to_live)
      : root_(std::move(root)), steps_to_live_(steps_to_live) {}

  // Executes `arguments` as a child process and waits for its end. Waits for any child of this
  // process: there may be no others. The error says why there can be no such child.
  std::expected<Life, std::string> run(std::vector<std::string> arguments) {
    int go[2];
    int said[2];
    if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(said, O_CLOEXEC) != 0) return failed("a pipe");
    std::vector<char*> argv;
    for (std::string& each : arguments) argv.push_back(each.data());
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return failed("fork");
    if (child == 0) execute(go[0], go[1], said[1], argv.data());
    child_ = child;
    ::close(go[0]);
    ::close(said[1]);
    const long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SEIZE, child, nullptr, options) != 0) {
      const auto problem = failed(
          "tracing a child process (ptrace), which this test can't do without; where a container "
          "forbids that, allow it: docker run --cap-add SYS_PTRACE");
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      return problem;
    }
    ::close(go[1]);  // the child reads the end of it, and goes on
    const auto watched = watch();
    for (char buffer[4096];;) {
      const ssize_t count = ::read(said[0], buffer, sizeof buffer);
      if (count <= 0) break;
      life_.said.append(buffer, static_cast<size_t>(count));
    }
    ::close(said[0]);
    if (!watched) return std::unexpected(watched.error());
    return std::move(life_);
  }

 private:
  static std::unexpected<std::string> failed(const std::string& what) {
    return std::unexpected(what + ": " + std::strerror(errno));
  }

  [[noreturn]] static void execute(int go, int other_end, int said, char** argv) {
    ::close(other_end);
    char nothing = 0;
    if (::read(go, &nothing, 1) != 0) ::_exit(1);
    const int kept = ::fcntl(said, F_DUPFD, 0);  // without close-on-exec
    ::setenv(kSayDescriptor, std::to_string(kept).c_str(), 1);
    ::execv("/proc/self/exe", argv);
    ::_exit(1);
  }

  std::expected<void, std::string> watch() {
    while (true) {
      int status = 0;
      const pid_t thread = ::waitpid(-1, &status, __WALL);
      if (thread < 0 && errno == EINTR) continue;
      if (thread < 0) return failed("waiting for the child");
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        if (thread != child_) continue;
        if (WIFEXITED(status)) life_.exit_code = WEXITSTATUS(status);
        return {};
      }
      const int event = status >> 16;
      if (event == PTRACE_EVENT_SECCOMP) {
        if (auto stepped = step(thread); !stepped) {
          ::kill(child_, SIGKILL);
          return stepped;
        }
        if (life_.killed) continue;  // what is stopped ends without the call that it stopped at
      }
      ::ptrace(PTRACE_CONT, thread, nullptr, event == 0 ? WSTOPSIG(status) : 0);
    }
  }

  std::expected<void, std::string> step(pid_t thread) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) {
      if (errno == ESRCH) return {};  // it was killed meanwhile
      return failed("looking at a system call (PTRACE_GET_SYSCALL_INFO)");
    }
    const auto* call =
        std::ranges::find(kStepCalls, static_cast<long>(info.seccomp.nr), &StepCall::number);
    if (call == std::end(kStepCalls)) return {};
    if (call->flags >= 0 && (info.seccomp.args[call->flags] & (O_CREAT | O_TRUNC)) == 0) return {};
    const std::string file = file_of(thread, *call, info.seccomp.args);
    if (!file.starts_with(root_) || life_.killed) return {};
    std::string name = std::string(call->name) + " " + file.substr(root_.size());
    if (life_.steps.size() < steps_to_live_) {
      life_.steps.push_back(std::move(name));
      return {};
    }
    life_.next = std::move(name);
    life_.killed = true;
    ::kill(child_, SIGKILL);
    return {};
  }

  static std::string file_of(pid_t thread, const StepCall& call, const __uint64_t* arguments) {
    if (call.path < 0) return path_of(thread, arguments[call.descriptor]);
    std::string path = text_at(thread, arguments[call.path]);
    // The calls named "at" take a folder before the path.
    if (call.path == 1 && !path.starts_with('/')) path = path_of(thread, arguments[0]) + "/" + path;
    return path;
  }

  static std::string path_of(pid_t thread, uint64_t descriptor) {
    const std::string link =
        "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(descriptor);
    std::array<char, 4096> path;
    const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
    return size < 0 ? std::string() : std::string(path.data(), static_cast<size_t>(size));
  }

  // Page by page: what lies behind the text need not be there.
  static std::string text_at(pid_t thread, uint64_t address) {
    std::string text;
    std::array<char, 256> part;
    while (text.size() < 4096) {
      const size_t size = part.size() - address % part.size();
      const iovec here{part.data(), size};
      const iovec there{reinterpret_cast<void*>(address), size};  // NOLINT: of another process
      if (::process_vm_readv(thread, &here, 1, &there, 1, 0) != static_cast<ssize_t>(size)) break;
      char* const end = std::find(part.data(), part.data() + size, '\0');
      text.append(part.data(), end);
      if (end != part.data() + size) break;
      address += size;
    }
    return text;
  }

  const std::string root_;
  const uint64_t steps_to_live_;
  pid_t child_ = 0;
  Life life_;
};

}  // namespace raftkv::test
