// The words of a snapshot's connection, after a handshake with Purpose::kSnapshot. The dialler
// sends:
//
//   kOffer   checksum (8), size (8), meta                  the first frame
//   kChunk   offset (8), bytes                             in order, without gaps, within the
//   window kPing    8 bytes                                       once an interval, whatever else
//   happens
//
// and the acceptor answers:
//
//   kAccept  offset (8), window (8), largest chunk (8)     "send from here on", or
//   kRefusal words                                         "not now"
//   kAck     offset (8)                                    written up to here
//   kPong    the ping's bytes
//   kResult  index (8), words                              installed; index 0: failed, why
//
// The size says where the end is. Each frame has its checksum (server/peer/frame.h), the offer has
// the whole file's: neither a changed byte nor a wrongly resumed file gets through.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "server/peer/snapshot_io.h"

namespace raftkv::server {

inline constexpr size_t kChunkHeadBytes = 8;

struct SnapshotAccept {
  uint64_t offset = 0;
  uint64_t window = 0;
  uint64_t chunk_bytes_max = 0;
};
struct SnapshotChunk {
  uint64_t offset = 0;
  std::string_view bytes;
};

void encode_offer(const SnapshotOffer& offer, std::string& out);
std::expected<SnapshotOffer, std::string> decode_offer(std::string_view payload);
void encode_accept(const SnapshotAccept& accept, std::string& out);
std::expected<SnapshotAccept, std::string> decode_accept(std::string_view payload);
void encode_chunk(uint64_t offset, std::string_view bytes, std::string& out);
std::expected<SnapshotChunk, std::string> decode_chunk(std::string_view payload);
void encode_ack(uint64_t offset, std::string& out);
std::expected<uint64_t, std::string> decode_ack(std::string_view payload);
// The words of a failure are made printable, and bounded.
void encode_result(const SnapshotResult& result, std::string& out);
// The outer error: the payload can't be read.
std::expected<SnapshotResult, std::string> decode_result(std::string_view payload);

}  // namespace raftkv::server
