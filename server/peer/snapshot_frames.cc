#include "server/peer/snapshot_frames.h"

#include <glog/logging.h>

#include <cstring>
#include <optional>

#include "server/peer/handshake.h"

namespace raftkv::server {
namespace {

void put(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::optional<uint64_t> take(std::string_view& bytes) {
  uint64_t value = 0;
  if (bytes.size() < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

std::unexpected<std::string> fault(const char* text) {
  return std::unexpected(std::string(text));
}

}  // namespace

void encode_offer(const SnapshotOffer& offer, std::string& out) {
  CHECK_GT(offer.size, 0u) << "an empty file is no snapshot";
  CHECK_LE(offer.meta.size(), kSnapshotMetaBytesMax);
  put(out, offer.checksum);
  put(out, offer.size);
  out.append(offer.meta);
}

std::expected<SnapshotOffer, std::string> decode_offer(std::string_view payload) {
  const auto checksum = take(payload);
  const auto size = take(payload);
  if (!checksum || !size) return fault("a snapshot's offer is cut off");
  if (*size == 0) return fault("an empty snapshot is offered");
  if (payload.size() > kSnapshotMetaBytesMax) return fault("a snapshot's meta is too long");
  return SnapshotOffer{.checksum = *checksum, .size = *size, .meta = std::string(payload)};
}

void encode_accept(const SnapshotAccept& accept, std::string& out) {
  put(out, accept.offset);
  put(out, accept.window);
  put(out, accept.chunk_bytes_max);
}

std::expected<SnapshotAccept, std::string> decode_accept(std::string_view payload) {
  const auto offset = take(payload);
  const auto window = take(payload);
  const auto chunk = take(payload);
  if (!offset || !window || !chunk || !payload.empty()) {
    return fault("the answer to an offer has a wrong length");
  }
  if (*window == 0 || *chunk == 0) return fault("the answer to an offer has no room for bytes");
  return SnapshotAccept{.offset = *offset, .window = *window, .chunk_bytes_max = *chunk};
}

void encode_chunk(uint64_t offset, std::string_view bytes, std::string& out) {
  put(out, offset);
  out.append(bytes);
}

std::expected<SnapshotChunk, std::string> decode_chunk(std::string_view payload) {
  const auto offset = take(payload);
  if (!offset || payload.empty()) return fault("a chunk of a snapshot without bytes");
  return SnapshotChunk{.offset = *offset, .bytes = payload};
}

void encode_ack(uint64_t offset, std::string& out) {
  put(out, offset);
}

std::expected<uint64_t, std::string> decode_ack(std::string_view payload) {
  const auto offset = take(payload);
  if (!offset || !payload.empty()) return fault("an acknowledgement has a wrong length");
  return *offset;
}

void encode_result(const SnapshotResult& result, std::string& out) {
  CHECK(!result || *result != 0) << "no snapshot stands for index 0";
  put(out, result ? *result : 0);
  if (!result) out.append(printable(result.error()));
}

std::expected<SnapshotResult, std::string> decode_result(std::string_view payload) {
  const auto index = take(payload);
  if (!index) return fault("the result of a snapshot is cut off");
  if (*index != 0) return SnapshotResult(*index);
  return SnapshotResult(std::unexpected("the receiver says: " + printable(payload)));
}

}  // namespace raftkv::server
