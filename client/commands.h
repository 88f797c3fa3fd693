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
std::unique_ptr<CliCommand> make_members_list_command();
std::unique_ptr<CliCommand> make_members_add_command();
std::unique_ptr<CliCommand> make_members_remove_command();
std::unique_ptr<CliCommand> make_members_promote_command();
std::unique_ptr<CliCommand> make_members_replace_command();
std::unique_ptr<CliCommand> make_members_update_command();
std::unique_ptr<CliCommand> make_transfer_command();
std::unique_ptr<CliCommand> make_snapshot_command();
std::unique_ptr<CliCommand> make_export_command();
std::unique_ptr<CliCommand> make_import_command();
std::unique_ptr<CliCommand> make_check_command();

}  // namespace raftkv::client
