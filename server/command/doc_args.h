// Arguments that many commands share, for COMMAND DOCS.
#pragma once

#include "server/command/command.h"

namespace raftkv::server {

inline constexpr ArgDoc kKeyArgument[] = {{.name = "key", .type = "key"}};
inline constexpr ArgDoc kKeysArgument[] = {
    {.name = "key", .type = "key", .flags = ArgDoc::kMultiple}};
inline constexpr ArgDoc kKeyValueArguments[] = {{.name = "key", .type = "key"},
                                                {.name = "value", .type = "string"}};

}  // namespace raftkv::server
