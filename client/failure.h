// How a command of raftkv-cli tells a ClientError: text for people or JSON, and the exit code.
#pragma once

#include <string_view>

#include "client/cli.h"

namespace raftkv::client {

// `doubt` completes an unknown outcome: "the increment may or may not have been done".
int report_failure(const Console& console, bool json, std::string_view command,
                   const ClientError& error, std::string_view doubt);

}  // namespace raftkv::client
