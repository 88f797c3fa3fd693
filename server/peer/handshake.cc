#include "server/peer/handshake.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <cstring>

namespace raftkv::server {
namespace {

constexpr std::string_view kMagic = "RAFTKVP\n";
static_assert(kMagic.size() == 8);
constexpr size_t kPrintableMax = 300;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
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
  bool take(std::string& value, size_t length) {
    if (bytes_.size() < length) return false;
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

}  // namespace

void encode_hello(const Hello& hello, std::string& out) {
  CHECK_LE(hello.cluster_id.size(), kClusterIdBytesMax);
  out.append(kMagic);
  put(out, hello.version);
  put(out, hello.node_id);
  put(out, hello.incarnation);
  put(out, hello.target_id);
  put(out, static_cast<uint8_t>(hello.cluster_id.size()));
  out.append(hello.cluster_id);
}

std::expected<Hello, std::string> decode_hello(std::string_view bytes) {
  Hello hello;
  Taker taker(bytes);
  if (!taker.take_magic()) return fault("this is no RaftKV peer");
  if (!taker.take(hello.version)) return fault("the hello is cut off");
  if (hello.version != kPeerProtocolVersion) return hello;
  uint8_t length = 0;
  const bool whole = taker.take(hello.node_id) && taker.take(hello.incarnation) &&
                     taker.take(hello.target_id) && taker.take(length) &&
                     taker.take(hello.cluster_id, length) && taker.empty();
  if (!whole) return fault("the hello has a wrong length");
  return hello;
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

std::expected<void, std::string> Incarnations::admit(uint64_t id, uint64_t incarnation) {
  const auto [known, is_new] = known_.try_emplace(id, incarnation);
  if (is_new) {
    if (on_learnt_) on_learnt_(id, incarnation);
    return {};
  }
  if (known->second == incarnation) return {};
  return fault(
      fmt::format("node {} has incarnation {:016x} but was known as {:016x}: its data directory "
                  "was replaced, so it "
                  "has forgotten its votes and must not come back under its old id",
                  id, incarnation, known->second));
}

std::expected<void, std::string> judge_hello(const Hello& hello, const LocalIdentity& self,
                                             Incarnations& incarnations) {
  if (hello.version != kPeerProtocolVersion) {
    return fault(fmt::format("unknown peer protocol version {} (this node speaks {})",
                             hello.version, kPeerProtocolVersion));
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
  if (std::ranges::find(self.members, hello.node_id) == self.members.end()) {
    return fault(fmt::format("node {} is no member of this cluster", hello.node_id));
  }
  return incarnations.admit(hello.node_id, hello.incarnation);
}

std::expected<void, std::string> judge_welcome(const Welcome& welcome, uint64_t target_id,
                                               Incarnations& incarnations) {
  if (welcome.version != kPeerProtocolVersion) {
    return fault(fmt::format("unknown peer protocol version {} (this node speaks {})",
                             welcome.version, kPeerProtocolVersion));
  }
  if (welcome.node_id != target_id) {
    return fault(
        fmt::format("node {} answered, not node {}: the addresses of the members are mixed up",
                    welcome.node_id, target_id));
  }
  return incarnations.admit(welcome.node_id, welcome.incarnation);
}

}  // namespace raftkv::server
