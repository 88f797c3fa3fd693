#include "client/failure.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace raftkv::client {
namespace {

struct Telling {
  std::string_view name;    // in JSON
  std::string_view prefix;  // in text
  std::string_view advice;
  int exit_code;
};

Telling telling_of(ClientError::Kind kind) {
  switch (kind) {
    case ClientError::Kind::kServer:
      return {"server", "the server refused: ", "", kExitFailed};
    case ClientError::Kind::kDeadline:
      return {"deadline", "",
              "; nothing was changed. Is a majority of the nodes up? See: "
              "raftkv-cli status",
              kExitFailed};
    case ClientError::Kind::kNoNodes:
      return {"no_nodes", "", "; check --nodes, and that the nodes run", kExitFailed};
    case ClientError::Kind::kOutcomeUnknown:
      return {"outcome_unknown", "outcome unknown: ", "", kExitUnknown};
  }
  std::abort();
}

}  // namespace

int report_failure(const Console& console, bool json, std::string_view command,
                   const ClientError& error, std::string_view doubt) {
  const Telling telling = telling_of(error.kind);
  if (json) {
    const nlohmann::json object = {{"ok", false}, {"kind", telling.name}, {"error", error.text}};
    console.out(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return telling.exit_code;
  }
  std::string text =
      fmt::format("raftkv-cli {}: {}{}{}", command, telling.prefix, error.text, telling.advice);
  if (telling.exit_code == kExitUnknown) text += fmt::format("; {}", doubt);
  console.err(text + "\n");
  return telling.exit_code;
}

}  // namespace raftkv::client
