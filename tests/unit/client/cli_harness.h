// Runs raftkv-cli inside the test and keeps what it printed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/cli.h"

namespace raftkv::client {

struct CliRun {
  int exit_code = -1;
  std::string out;
  std::string err;
};

inline CliRun cli(const std::vector<std::string>& args) {
  CliRun run;
  const Console console = {.out = [&run](std::string_view text) { run.out += text; },
                           .err = [&run](std::string_view text) { run.err += text; },
                           .err_is_terminal = false};
  run.exit_code = run_cli(args, console);
  return run;
}

}  // namespace raftkv::client
