// What a snapshot file says of itself beside the data: Raft's facts, and the replicated state that
// is no key. Written as AUX fields of the RDB file, which other readers skip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "raft/types.h"
#include "storage/snapshot/rdb_encoder.h"

namespace raftkv::storage {

struct SnapshotFacts {
  raft::SnapshotMeta meta;
  std::string cluster_id;  // 40 hexadecimal characters
  // Replicated state that is no key: each part under a name of its own ("sessions"), as its owner
  // encodes it. Opaque here.
  std::map<std::string, std::string, std::less<>> parts;

  friend bool operator==(const SnapshotFacts&, const SnapshotFacts&) = default;
};

// Writes the AUX fields: Redis's own ("redis-ver" ...; `memory` is that of the dataset) and ours.
void encode_facts(const SnapshotFacts& facts, size_t memory, RdbEncoder& out);

// Gathers the facts from a file's AUX fields.
class SnapshotFactsReader {
 public:
  // Fields that are not ours are passed over. The error names the field and what is wrong with it.
  [[nodiscard]] std::expected<void, std::string> take(std::string_view name,
                                                      std::string_view value);
  // When all fields have come. An error if one is missing: a dump of a stock Redis is no snapshot.
  [[nodiscard]] std::expected<SnapshotFacts, std::string> finish();

 private:
  SnapshotFacts facts_;
  std::optional<uint64_t> format_;
  bool has_cluster_ = false;
  bool has_index_ = false;
  bool has_term_ = false;
  bool has_time_ = false;
};

}  // namespace raftkv::storage
