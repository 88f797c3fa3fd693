// The RDB reader on arbitrary bytes: it stays in its memory, allocates no more than the bytes can
// stand for, names the place of every error, and what it says does not depend on how the stream is
// cut. A checksum of zero counts as none, so that the fuzzer gets behind it.
//
// Input: one byte that picks the size of the pieces, then the file.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/snapshot/rdb_reader.h"
#include "tests/fuzz/seeds.h"

namespace {

using raftkv::fuzz::require;
using raftkv::storage::ByteSource;
using raftkv::storage::RdbReader;
using namespace std::string_literals;  // NOLINT(google-build-using-namespace): bytes with zeros

class PieceSource : public ByteSource {
 public:
  PieceSource(std::string_view bytes, size_t piece, bool tells_size)
      : bytes_(bytes), piece_(piece), tells_size_(tells_size) {}
  std::expected<size_t, std::string> read(char* to, size_t size) override {
    require(size > 0, "a read asks for something");
    const size_t count = std::min({size, piece_, bytes_.size()});
    bytes_.copy(to, count);
    bytes_.remove_prefix(count);
    return count;
  }
  std::optional<uint64_t> remaining() const override {
    if (!tells_size_) return std::nullopt;
    return bytes_.size();
  }

 private:
  std::string_view bytes_;
  size_t piece_;
  bool tells_size_;
};

struct Outcome {
  std::vector<std::string> items;
  std::string error;
};

Outcome read_all(std::string_view file, size_t piece, bool tells_size) {
  PieceSource source(file, piece, tells_size);
  RdbReader reader(source);
  Outcome outcome;
  while (true) {
    const auto item = reader.next();
    if (!item) {
      outcome.error = item.error();
      require(outcome.error.starts_with("at byte "), "an error names its place");
      require(!reader.next().has_value(), "an error is the end");
      return outcome;
    }
    require(reader.offset() <= file.size(), "only what is there is read");
    switch (*item) {
      case RdbReader::Item::kEnd:
        require(reader.offset() == file.size(), "the end is the end of the file");
        return outcome;
      case RdbReader::Item::kAux:
        outcome.items.push_back("aux " + std::string(reader.name()) + "=" +
                                std::string(reader.value()));
        break;
      case RdbReader::Item::kResize:
        outcome.items.push_back("resize " + std::to_string(reader.keys_announced()));
        break;
      case RdbReader::Item::kKey:
        // LZF makes at most 88 bytes of one.
        require(reader.value().size() <= 88 * file.size(), "a value comes from the file");
        outcome.items.push_back("key " + std::string(reader.key()) + "=" +
                                std::string(reader.value()) + " " +
                                std::to_string(reader.expiry_ms()));
        break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string end = "\xff"s + std::string(8, '\0');
  raftkv::fuzz::write_seeds_if_asked(
      *argc, *argv,
      {"\x01REDIS0010\xfa\x09redis-ver\x06"s + "7.0.15\xfa\x01" + "n\xc0\x40\xfe\x00\xfb\x05\x02"s +
           "\x00\x01"s + "a\xc1\xe8\x03\xfd\xe8\x03\x00\x00\x00\x02"s + "bb\x40\x05hello" + end,
       "\x07REDIS0009\xfc\xd0\x07\x00\x00\x00\x00\x00\x00\xf9\x05\x00\x03"s +
           "ccc\xc3\x05\x1e\x00"s + "a\xe0\x14\x00\xf8\x41\x00\x00\x01"s +
           "d\x80\x00\x00\x00\x04"s + "long" + end,
       "\x02REDIS0003\x00\x01"s + "e\xc2\x00\x00\x00\x80\x00\x01"s +
           "f\x81\x00\x00\x00\x00\x00\x00\x00\x01v\xff"s,
       "\x02REDIS0011\xf5\x14#!lua name=lib\nx = 1"s + end,
       "\x02REDIS0011\xf7\x81\x45\xe2\x49\x38\xdf\x91\x22\xe5\x02"s + end,
       "\x02REDIS0010\x12\x01q\x01\x01x"s + end,
       "\x02REDIS0010\xfe\x05\xfb\x07\x00\x00\x01k\x01v"s + end});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string file(data + 1, data + size);
  const Outcome whole = read_all(file, std::max<size_t>(file.size(), 1), true);
  for (const bool tells_size : {true, false}) {
    const Outcome cut = read_all(file, 1 + data[0] % 32, tells_size);
    require(cut.items == whole.items, "what is read does not depend on where the stream is cut");
    require(cut.error.empty() == whole.error.empty(), "nor whether it is refused");
  }
  return 0;
}
