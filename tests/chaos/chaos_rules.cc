#include "tests/chaos/chaos_rules.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace raftkv::chaos {

std::string parse_rules(std::istream& words, Rules& rules) {
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) return "name=value expected: " + word;
    const std::string name = word.substr(0, equals);
    const int64_t value = std::strtoll(word.c_str() + equals + 1, nullptr, 10);
    if (name == "blocked")
      rules.blocked = value != 0;
    else if (name == "delay_ms")
      rules.delay_ms = value;
    else if (name == "jitter_ms")
      rules.jitter_ms = value;
    else if (name == "bytes_s")
      rules.bytes_s = value;
    else if (name == "reset_ms")
      rules.reset_ms = value;
    else if (name == "loss_percent")
      rules.loss_percent = value;
    else if (name == "duplicate_percent")
      rules.duplicate_percent = value;
    else
      return "unknown rule: " + name;
  }
  return {};
}

void die(const std::string& text) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, text.c_str());
  std::exit(1);
}

Commands::Commands(std::function<std::string(const std::string&)> answer)
    : answer_(std::move(answer)) {
  fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
}

bool Commands::read_ready() {
  char buffer[4096];
  const ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) return false;
  input_.append(buffer, static_cast<size_t>(count));
  for (size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    std::printf("%s\n", answer_(line).c_str());
    std::fflush(stdout);
  }
  return true;
}

}  // namespace raftkv::chaos
