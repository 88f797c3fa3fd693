// Who may talk to whom. The dialler says who it is and whom it wants to reach; the acceptor checks
// all of it and answers with a welcome or with its reason to refuse, in words for the operator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace raftkv::server {

// Version 2 added all that a group with changing members needs: addresses, the age of the dialler's
// membership, the purpose of a connection. Version 3 added the hosts' own entries and notes. A node
// of an earlier version is refused, not understood: it would take what it does not know for damage.
inline constexpr uint32_t kPeerProtocolVersion = 3;
// The payload of any frame before the handshake is over.
inline constexpr size_t kHandshakeBytesMax = 1024;
inline constexpr size_t kClusterIdBytesMax = 255;
inline constexpr size_t kHostBytesMax = 255;

// What the dialler wants of the connection.
enum class Purpose : uint8_t {
  kMessages = 1,  // raft messages and pings
  kSnapshot = 2,  // one snapshot (server/peer/snapshot_frames.h)
};

// Layout: magic (8), protocol version (4), node id (8), incarnation (8), target id (8), purpose
// (1), membership index (8), then with their length (1) before them: cluster id, client host, peer
// host; client port (2), peer port (2). A later version may change all that follows the version.
struct Hello {
  uint32_t version = kPeerProtocolVersion;
  uint64_t node_id = 0;
  uint64_t incarnation = 0;
  uint64_t target_id = 0;
  std::string cluster_id;
  Purpose purpose = Purpose::kMessages;
  // The log index of the membership that the dialler knows and belongs to; 0 if it belongs to none,
  // or to the one that the group began with.
  uint64_t membership_index = 0;
  // Where the dialler can be reached: a node that knows nobody yet learns from it whom to answer.
  std::string client_host{};
  uint16_t client_port = 0;
  std::string peer_host{};
  uint16_t peer_port = 0;
};
void encode_hello(const Hello& hello, std::string& out);
// Of an unknown version only the version is read: judging it is judge()'s.
std::expected<Hello, std::string> decode_hello(std::string_view bytes);

// Layout: magic (8), protocol version (4), node id (8), incarnation (8).
struct Welcome {
  uint32_t version = kPeerProtocolVersion;
  uint64_t node_id = 0;
  uint64_t incarnation = 0;
};
void encode_welcome(const Welcome& welcome, std::string& out);
std::expected<Welcome, std::string> decode_welcome(std::string_view bytes);

// A text from another machine, fit for our log: printable, bounded.
std::string printable(std::string_view text);

// The incarnations under which the other members are known. A node whose data directory was wiped
// comes back with another incarnation: it has forgotten its votes and its log, so it must not pass
// for the node it was.
class Incarnations {
 public:
  // `known` is what an earlier process learnt; `on_learnt` is called with each new one, so that it
  // can be kept.
  Incarnations(std::map<uint64_t, uint64_t> known,
               std::function<void(uint64_t id, uint64_t incarnation)> on_learnt)
      : known_(std::move(known)), on_learnt_(std::move(on_learnt)) {}

  // More of what an earlier process learnt.
  void remember(std::map<uint64_t, uint64_t> known) { known_.merge(known); }
  // The error if the node is known under another one.
  std::expected<void, std::string> check(uint64_t id, uint64_t incarnation) const;
  // The same; remembers it if the node was not known.
  std::expected<void, std::string> admit(uint64_t id, uint64_t incarnation);
  // The node may come back as another one. False if it was not known.
  bool forget(uint64_t id) { return known_.erase(id) != 0; }

 private:
  std::map<uint64_t, uint64_t> known_;
  std::function<void(uint64_t, uint64_t)> on_learnt_;
};

// What this node says of itself, and what it judges others by.
struct LocalIdentity {
  uint64_t id = 0;
  std::string cluster_id;
  std::vector<uint64_t> members;  // in force
  uint64_t incarnation = 0;
  uint64_t membership_index = 0;  // of that membership's entry in the log, 0 for the first one's
  // This node waits to be told who the members are.
  bool joining = false;
  std::set<uint64_t> removed{};  // were members of an earlier membership in this process's life
  std::string client_host{};
  uint16_t client_port = 0;
  std::string peer_host{};
  uint16_t peer_port = 0;

  bool has_member(uint64_t node) const { return std::ranges::find(members, node) != members.end(); }
};

Hello make_hello(const LocalIdentity& self, uint64_t target_id, Purpose purpose);

// Whether this node talks to who says hello; the error is the refusal.
//
// Who is no member here may still be one: a node that lags behind must listen to a leader that was
// added meanwhile (thesis 4.1), else it would never learn of it. So a dialler that belongs to a
// newer membership than ours is let in, and anybody is by a node that is joining. Neither is
// remembered before it is a member here too.
std::expected<void, std::string> judge_hello(const Hello& hello, const LocalIdentity& self,
                                             Incarnations& incarnations);
// Whether we reached the member we dialled.
std::expected<void, std::string> judge_welcome(const Welcome& welcome, uint64_t target_id,
                                               Incarnations& incarnations);

}  // namespace raftkv::server
