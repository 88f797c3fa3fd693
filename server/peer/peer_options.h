// Whom a node talks to and within which limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/command/host.h"
#include "server/peer/snapshot_io.h"

namespace raftkv::server {

struct PeerOptions {
  std::string cluster_id;
  uint64_t self_id = 0;
  uint64_t incarnation = 0;
  std::string listen_host;
  uint16_t listen_port = 0;
  // The members that the group began with, self included; set_members() tells others. Nobody, or
  // only itself, for a node that is to join a running group.
  std::vector<Member> members;
  // This node is to join a group that knows it. As long as it knows no other member, it lets any
  // node of its cluster in and answers it at the address it names.
  bool joining = false;
  // Where the others reach this node; needs not be said if `members` says it.
  Member self;
  size_t queue_bytes_max = size_t{64} << 20;  // to one peer, not yet taken by the kernel
  size_t frame_bytes_max = size_t{128} << 20;
  uint64_t reconnect_min_ms = 20;  // doubles up to the maximum, with jitter
  uint64_t reconnect_max_ms = 1000;
  uint64_t handshake_timeout_ms = 2000;  // for connecting and the handshake together
  uint64_t ping_interval_ms = 1000;
  // A connection on which nothing is acknowledged, or no ping answered, for this long is closed.
  uint64_t silence_max_ms = 5000;

  // A part of a member's message came in: it lives, though the message takes its time. May be
  // empty.
  std::function<void(uint64_t id)> on_part_of_message;

  // A member that the membership no longer has is still talked to for this long: what commits its
  // removal has to be answered first.
  uint64_t leave_ms = 5000;
  // An old connection may take this long to send what was queued.
  uint64_t drain_ms = 2000;

  // The incarnations of members that earlier runs of this node have met; see Incarnations.
  std::map<uint64_t, uint64_t> known_incarnations;
  // A member was met for the first time: keep this, and give it back in known_incarnations.
  std::function<void(uint64_t id, uint64_t incarnation)> on_peer_incarnation;
  // PeerTransport::forget() was called for an id that was known.
  std::function<void(uint64_t id)> on_peer_forgotten;

  SnapshotOptions snapshots;
};

}  // namespace raftkv::server
