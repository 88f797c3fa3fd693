// Who may talk to whom. The dialler says who it is and whom it wants to reach; the acceptor checks
// all of it and answers with a welcome or with its reason to refuse, in words for the operator.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::server {

inline constexpr uint32_t kPeerProtocolVersion = 1;
inline constexpr size_t kHandshakeBytesMax =
    1024;  // payload of any frame before the handshake is over
inline constexpr size_t kClusterIdBytesMax = 255;

// Layout: magic (8), protocol version (4), node id (8), incarnation (8), target id (8), length of
// the cluster id (1), cluster id. A later version may change all that follows the version.
struct Hello {
  uint32_t version = kPeerProtocolVersion;
  uint64_t node_id = 0;
  uint64_t incarnation = 0;
  uint64_t target_id = 0;
  std::string cluster_id;
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

  // The error if the node is known under another one; remembers it if the node was not known.
  std::expected<void, std::string> admit(uint64_t id, uint64_t incarnation);

 private:
  std::map<uint64_t, uint64_t> known_;
  std::function<void(uint64_t, uint64_t)> on_learnt_;
};

struct LocalIdentity {
  uint64_t id = 0;
  std::string cluster_id;
  std::vector<uint64_t> members;
};

// Whether this node talks to who says hello; the error is the refusal.
std::expected<void, std::string> judge_hello(const Hello& hello, const LocalIdentity& self,
                                             Incarnations& incarnations);
// Whether we reached the member we dialled.
std::expected<void, std::string> judge_welcome(const Welcome& welcome, uint64_t target_id,
                                               Incarnations& incarnations);

}  // namespace raftkv::server
