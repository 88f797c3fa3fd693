// The commands of raftkv-cli, for its table in cli.cc.
#pragma once

#include <memory>

#include "client/cli.h"

namespace raftkv::client {

std::unique_ptr<CliCommand> make_status_command();
std::unique_ptr<CliCommand> make_put_command();
std::unique_ptr<CliCommand> make_get_command();
std::unique_ptr<CliCommand> make_del_command();
std::unique_ptr<CliCommand> make_incr_command();
std::unique_ptr<CliCommand> make_bench_command();

}  // namespace raftkv::client
