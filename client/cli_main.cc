#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "client/cli.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto to = [](std::FILE* file) {
    return [file](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), file);
      std::fflush(file);
    };
  };
  const raftkv::client::Console console = {
      .out = to(stdout), .err = to(stderr), .err_is_terminal = isatty(STDERR_FILENO) == 1};
  return raftkv::client::run_cli(args, console);
}
