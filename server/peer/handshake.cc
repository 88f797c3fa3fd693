#include "server/peer/handshake.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <cstring>

namespace raftkv::server {
namespace {

constexpr std::string_view kMagic = "RAFTKVP\n";
static_assert(kMagic.size() == 8);
constexpr size_t kPrintableMax = 600;
static_assert(kPrintableMax <= kHandshakeBytesMax, "a refusal is a frame of the handshake");
constexpr size_t kHelloFixedBytes = 8 + 4 + 8 + 8 + 8 + 1 + 8 + 3 + 2 + 2;
static_assert(kHelloFixedBytes + kClusterIdBytesMax + 2 * kHostBytesMax <= kHandshakeBytesMax);

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  out.push_back(static_cast<char>(text.size()));
  out.append(text);
}

// Takes values off the front of `bytes`; false once they do not suffice.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  bool take(T& value) {
    if (bytes_.size() < sizeof value) return false;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return true;
  }
  // With its length before it.
  bool take(std::string& value) {
    uint8_t length = 0;
    if (!take(length) || bytes_.size() < length) return false;
    value.assign(bytes_.substr(0, length));
    bytes_.remove_prefix(length);
    return true;
  }
  bool take_magic() {
    if (!bytes_.starts_with(kMagic)) return false;
    bytes_.remove_prefix(kMagic.size());
    return true;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

std::unexpected<std::string> unknown_version(uint32_t version) {
  return fault(
      fmt::format("unknown peer protocol version {} (this node speaks {}): run programs that speak "
                  "the same, as raftkv-server --version tells",
                  version, kPeerProtocolVersion));
}

// The address comes from the wire: no more than a name or numbers.
bool can_be_dialled(const Hello& hello) {
  return hello.node_id != 0 && hello.peer_port != 0 && !hello.peer_host.empty() &&
         std::ranges::all_of(hello.peer_host, [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

void encode_hello(const Hello& hello, std::string& out) {
  CHECK_LE(hello.cluster_id.size(), kClusterIdBytesMax);
  CHECK_LE(hello.client_host.size(), kHostBytesMax);
  CHECK_LE(hello.peer_host.size(), kHostBytesMax);
  out.append(kMagic);
  put(out, hello.version);
  put(out, hello.node_id);
  put(out, hello.incarnation);
  put(out, hello.target_id);
  put(out, static_cast<uint8_t>(hello.purpose));
  put(out, hello.membership_index);
  put_text(out, hello.cluster_id);
  put_text(out, hello.client_host);
  put_text(out, hello.peer_host);
  put(out, hello.client_port);
  put(out, hello.peer_port);
}

std::expected<Hello, std::string> decode_hello(std::string_view bytes) {
  Hello hello;
  Taker taker(bytes);
  if (!taker.take_magic()) return fault("this is no RaftKV peer");
  if (!taker.take(hello.version)) return fault("the hello is cut off");
  if (hello.version != kPeerProtocolVersion) return hello;
  uint8_t purpose = 0;
  const bool whole = taker.take(hello.node_id) && taker.take(hello.incarnation) &&
                     taker.take(hello.target_id) && taker.take(purpose) &&
                     taker.take(hello.membership_index) && taker.take(hello.cluster_id) &&
                     taker.take(hello.client_host) && taker.take(hello.peer_host) &&
                     taker.take(hello.client_port) && taker.take(hello.peer_port) && taker.empty();
  if (!whole) return fault("the hello has a wrong length");
  hello.purpose = static_cast<Purpose>(purpose);
  if (hello.purpose != Purpose::kMessages && hello.purpose != Purpose::kSnapshot) {
    return fault(fmt::format("a hello for the unknown purpose {}", purpose));
  }
  return hello;
}

Hello make_hello(const LocalIdentity& self, uint64_t target_id, Purpose purpose) {
  return {.node_id = self.id,
          .incarnation = self.incarnation,
          .target_id = target_id,
          .cluster_id = self.cluster_id,
          .purpose = purpose,
          .membership_index = self.has_member(self.id) ? self.membership_index : 0,
          .client_host = self.client_host,
          .client_port = self.client_port,
          .peer_host = self.peer_host,
          .peer_port = self.peer_port};
}

void encode_welcome(const Welcome& welcome, std::string& out) {
  out.append(kMagic);
  put(out, welcome.version);
  put(out, welcome.node_id);
  put(out, welcome.incarnation);
}

std::expected<Welcome, std::string> decode_welcome(std::string_view bytes) {
  Welcome welcome;
  Taker taker(bytes);
  if (!taker.take_magic()) return fault("this is no RaftKV peer");
  if (!taker.take(welcome.version)) return fault("the welcome is cut off");
  if (welcome.version != kPeerProtocolVersion) return welcome;
  if (!taker.take(welcome.node_id) || !taker.take(welcome.incarnation) || !taker.empty()) {
    return fault("the welcome has a wrong length");
  }
  return welcome;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kPrintableMax));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

std::expected<void, std::string> Incarnations::check(uint64_t id, uint64_t incarnation) const {
  const auto known = known_.find(id);
  if (known == known_.end() || known->second == incarnation) return {};
  return fault(fmt::format(
      "node {0} has incarnation {1:016x} but was known as {2:016x}: its data directory was "
      "replaced, so it has forgotten its votes and must not come back under its old id. Give it "
      "its old directory back, or let it in as a new member with an empty one: raftkv-cli members "
      "replace --id {0}, or members remove and then members add",
      id, incarnation, known->second));
}

std::expected<void, std::string> Incarnations::admit(uint64_t id, uint64_t incarnation) {
  if (auto verdict = check(id, incarnation); !verdict) return verdict;
  if (known_.try_emplace(id, incarnation).second && on_learnt_) on_learnt_(id, incarnation);
  return {};
}

std::expected<void, std::string> judge_hello(const Hello& hello, const LocalIdentity& self,
                                             Incarnations& incarnations) {
  if (hello.version != kPeerProtocolVersion) {
    return unknown_version(hello.version);
  }
  if (hello.cluster_id != self.cluster_id) {
    return fault(fmt::format("node {} belongs to cluster {}, this node to cluster {}",
                             hello.node_id, printable(hello.cluster_id), self.cluster_id));
  }
  if (hello.node_id == self.id) {
    return fault(fmt::format("two nodes claim the id {}: this one and the dialler", self.id));
  }
  if (hello.target_id != self.id) {
    return fault(
        fmt::format("this is node {}, not node {}: the addresses of the members are mixed up",
                    self.id, hello.target_id));
  }
  if (self.has_member(hello.node_id)) {
    return incarnations.admit(hello.node_id, hello.incarnation);
  }
  if (self.joining || hello.membership_index > self.membership_index) {
    if (!can_be_dialled(hello)) {
      return fault(
          fmt::format("the hello of node {} names no address to answer it", hello.node_id));
    }
    return incarnations.check(hello.node_id, hello.incarnation);
  }
  if (self.removed.contains(hello.node_id)) {
    return fault(
        fmt::format("node {} is not a member of this cluster any more; stop it, or give it an "
                    "empty data directory and let it in again: raftkv-cli members add",
                    hello.node_id));
  }
  return fault(
      fmt::format("node {} is no member of this cluster; check its --cluster and --node_id, or let "
                  "it in: raftkv-cli members add",
                  hello.node_id));
}

std::expected<void, std::string> judge_welcome(const Welcome& welcome, uint64_t target_id,
                                               Incarnations& incarnations) {
  if (welcome.version != kPeerProtocolVersion) {
    return unknown_version(welcome.version);
  }
  if (welcome.node_id != target_id) {
    return fault(
        fmt::format("node {} answered, not node {}: the addresses of the members are mixed up",
                    welcome.node_id, target_id));
  }
  return incarnations.admit(welcome.node_id, welcome.incarnation);
}

}  // namespace raftkv::server
