// Where an RDB reader gets its bytes from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace raftkv::storage {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Reads up to `size` bytes, `size` > 0, and returns how many; 0 only at the end.
  [[nodiscard]] virtual std::expected<size_t, std::string> read(char* to, size_t size) = 0;
  // How many bytes are still to come, if that is known: lengths beyond it are refused at once.
  virtual std::optional<uint64_t> remaining() const = 0;
};

// Bytes in memory, which must stay there.
class ViewSource : public ByteSource {
 public:
  explicit ViewSource(std::string_view bytes) : bytes_(bytes) {}
  std::expected<size_t, std::string> read(char* to, size_t size) override {
    const size_t count = std::min(size, bytes_.size());
    if (count != 0) std::memcpy(to, bytes_.data(), count);
    bytes_.remove_prefix(count);
    return count;
  }
  std::optional<uint64_t> remaining() const override { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

}  // namespace raftkv::storage
