#include "tests/chaos/chaos_history.h"

#include <chrono>
#include <cstdlib>

namespace raftkv::chaos {

int64_t now_ns() {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_start).count();
}

History::History(const std::string& path) : file_(std::fopen(path.c_str(), "w")) {
  if (file_ == nullptr) {
    std::perror(path.c_str());
    std::exit(2);
  }
  setvbuf(file_, nullptr, _IOLBF, 1 << 16);
}

History::~History() {
  std::fclose(file_);
}

void History::record(nlohmann::json fields, int64_t call, Outcome outcome,
                     const std::string& error) {
  fields["call"] = call;
  fields["return"] = now_ns();
  if (outcome == Outcome::kUnknown) {
    fields["ok"] = "unknown";
  } else {
    fields["ok"] = outcome == Outcome::kDone;
  }
  if (!error.empty()) fields["error"] = error;
  const std::string line = fields.dump() + "\n";
  const std::scoped_lock lock(mutex_);
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size()) {
    std::perror("history");
    std::exit(2);
  }
}

}  // namespace raftkv::chaos
