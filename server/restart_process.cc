#include "server/restart_process.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace raftkv::server {

void restart_process() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<char*> arguments;
  for (size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) {
    arguments.push_back(&text[at]);
    if (text.find('\0', at) == std::string::npos) break;
  }
  if (arguments.empty()) return;
  arguments.push_back(nullptr);
  // Everything that is open was opened to be closed by this.
  execv("/proc/self/exe", arguments.data());
}

}  // namespace raftkv::server
