// What replicas tell each other about the digests of their datasets, as bytes: in entries of kind
// kHost, and in notes (raft::HostNote). Numbers are as in raft/codec.h, a digest is 16 bytes, its
// low half first, little-endian.
//
//   entry   1 check     flags (1 with sessions)
//           2 verdict   index, flags (1 has a digest), digest if it has one
//   note    1 report    index, digest
//
// An entry that does not parse, or of a kind that is not known, ends the process: what it settles
// for the others would not be settled here. A note like that is an error that the receiver may
// ignore.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "raft/types.h"
#include "storage/data/keyspace.h"

namespace raftkv::server {

using Digest = data::Keyspace::Digest;

// Every replica computes the digest of its dataset as it is once this entry is applied.
struct DigestCheck {
  // Of the sessions of RAFT.ONCE as well. Said by the entry, because the digests are to be
  // compared.
  bool with_sessions = true;

  friend bool operator==(const DigestCheck&, const DigestCheck&) = default;
};

// What came of the check at `index`.
struct DigestVerdict {
  raft::Index index = 0;
  // That of a majority of the voters; nothing if no majority agrees on one.
  std::optional<Digest> digest;

  friend bool operator==(const DigestVerdict&, const DigestVerdict&) = default;
};

using HostEntry = std::variant<DigestCheck, DigestVerdict>;

// The digest that a replica has computed for the check at `index`.
struct DigestReport {
  raft::Index index = 0;
  Digest digest;

  friend bool operator==(const DigestReport&, const DigestReport&) = default;
};

std::string encode_host_entry(const HostEntry& entry);
HostEntry decode_host_entry(std::string_view bytes);

std::string encode_digest_report(const DigestReport& report);
std::expected<DigestReport, std::string> decode_digest_report(std::string_view bytes);

}  // namespace raftkv::server
