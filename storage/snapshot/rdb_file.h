// A file on disk as the source of an RDB reader, from its beginning to its end.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "storage/snapshot/rdb_source.h"

namespace raftkv::storage {

class RdbFile : public ByteSource {
 public:
  // Only a regular file: it may have to be read twice, and its size must be known. The error says
  // why, without the path.
  [[nodiscard]] static std::expected<RdbFile, std::string> open(const std::string& path);
  RdbFile(RdbFile&& other) noexcept;
  RdbFile& operator=(RdbFile&&) = delete;
  ~RdbFile() override;

  std::expected<size_t, std::string> read(char* to, size_t size) override;
  std::optional<uint64_t> remaining() const override { return left_; }

 private:
  explicit RdbFile(int fd) : fd_(fd) {}

  int fd_;
  uint64_t left_ = 0;
};

}  // namespace raftkv::storage
