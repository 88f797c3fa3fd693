// Columns of text, aligned by their widest cell, two spaces apart.
#pragma once

#include <string>
#include <vector>

namespace raftkv::client {

// The first row is the header. Every row has as many cells as it. Lines end without spaces.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace raftkv::client
