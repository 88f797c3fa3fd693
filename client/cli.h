// raftkv-cli: `raftkv-cli <command> --flag value ...`. Each command lives in a cmd_*.cc file.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/address.h"
#include "client/cluster_client.h"
#include "client/flags.h"

namespace raftkv::client {

// What scripts may rely on.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,   // it did not happen; also: no such key, cluster not healthy
  kExitUsage = 2,    // the command line is wrong; nothing was sent
  kExitUnknown = 3,  // a write may or may not have happened
};

// Results go to `out`, everything else to `err`.
struct Console {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  bool err_is_terminal = false;
};

// `args` without the program's name. Returns the exit code. Lasts no longer than the command's
// deadlines.
int run_cli(std::span<const std::string> args, const Console& console);

// The flags every command has.
struct CommonFlags {
  std::string nodes;  // default: the environment's RAFTKV_NODES, else a local node
  int64_t timeout_ms = 5000;
  bool json = false;

  CommonFlags();
  void declare(Flags& flags);
  // After parsing: the list as addresses.
  [[nodiscard]] std::expected<std::vector<Address>, std::string> addresses() const;
};

// One command: declares its flags, then runs with their values.
class CliCommand {
 public:
  virtual ~CliCommand() = default;
  CliCommand() = default;
  CliCommand(const CliCommand&) = delete;
  CliCommand& operator=(const CliCommand&) = delete;

  virtual void declare(Flags& flags) = 0;
  virtual int run(const Console& console, const std::vector<Address>& nodes,
                  const CommonFlags& common) = 0;
};

}  // namespace raftkv::client
