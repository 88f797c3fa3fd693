#include "storage/snapshot/rdb_packer.h"

#include <lzf.h>

#include <bit>

#include "storage/snapshot/rdb_format.h"

namespace raftkv::storage {
namespace {

// A compressed string has this much more header.
constexpr size_t kHeaderBytes = 4;
// One huge value does not hold its room for the rest of the file.
constexpr size_t kBufferKept = size_t{1} << 20;

}  // namespace

void RdbPacker::pack(const RdbBlock& block, std::string& out) {
  const std::string_view bytes = block.bytes;
  out.reserve(out.size() + bytes.size());
  size_t done = 0;
  const auto copy_up_to = [&](size_t end) {
    out += bytes.substr(done, end - done);
    done = end;
  };
  if (compress_) {
    for (const RdbBlock::LongString& field : block.long_strings) {
      const std::string_view text = bytes.substr(field.offset + field.header, field.length);
      const std::string_view shorter = compressed(text);
      if (shorter.empty()) continue;
      copy_up_to(field.offset);
      out.push_back(static_cast<char>(rdb::kSpecialForm | rdb::kLzf));
      append_rdb_length(out, shorter.size());
      append_rdb_length(out, text.size());
      out += shorter;
      done += field.header + field.length;
    }
  }
  copy_up_to(bytes.size());
  if (buffer_.size() > kBufferKept) buffer_ = {};
}

std::string_view RdbPacker::compressed(std::string_view text) {
  Prospect& prospect = prospects_[static_cast<size_t>(std::bit_width(text.size()))];
  if (!prospect.next()) return {};
  const size_t room = text.size() - kHeaderBytes;
  if (buffer_.size() < room) buffer_.resize(room);
  const unsigned length = lzf_compress(text.data(), static_cast<unsigned>(text.size()),
                                       buffer_.data(), static_cast<unsigned>(room));
  prospect.tried(length != 0);
  return {buffer_.data(), length};
}

}  // namespace raftkv::storage
