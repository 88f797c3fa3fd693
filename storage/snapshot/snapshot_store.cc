#include "storage/snapshot/snapshot_store.h"

#include <fmt/format.h>

#include <charconv>

namespace raftkv::storage {

std::string snapshot_name(SnapshotId id) {
  return fmt::format("snapshot-{}-{}.rdb", id.index, id.term);
}

bool parse_snapshot_name(std::string_view name, SnapshotId& id) {
  constexpr std::string_view kPrefix = "snapshot-";
  if (!name.starts_with(kPrefix)) return false;
  const char* end = name.data() + name.size();
  const auto index = std::from_chars(name.data() + kPrefix.size(), end, id.index);
  if (index.ec != std::errc() || index.ptr == end || *index.ptr != '-') return false;
  const auto term = std::from_chars(index.ptr + 1, end, id.term);
  // Only one spelling: no leading zeros, nothing behind.
  return term.ec == std::errc() && name == snapshot_name(id);
}

std::expected<size_t, std::string> SnapshotFileSource::read(char* to, size_t size) {
  auto count = file_.read_at(offset_, to, size);
  if (count) offset_ += *count;
  return count;
}

}  // namespace raftkv::storage
