// How an inline request ("SET x \"a b\"") falls into arguments, by the quoting rules of Redis.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace raftkv::resp {

// Appends the arguments of `line` (without its line end) to `args`. They are views into `line` if
// it has no quotes, else into `storage`, which is overwritten. False: quotes are unbalanced, or a
// closing quote is followed by something other than a space.
[[nodiscard]] bool split_inline(std::string_view line, std::vector<std::string_view>& args,
                                std::string& storage);

}  // namespace raftkv::resp
