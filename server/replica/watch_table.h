// Which connection watches which key (WATCH). Decided on the leader when a write is *proposed*:
// from then on the watched key counts as changed. A spurious abort is allowed, a missed one never.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace raftkv::server {

class Session;

class WatchTable {
 public:
  bool empty() const { return watchers_.empty(); }
  void add(std::string_view key, Session* session);
  void remove(std::string_view key, Session* session);
  // Marks all who watch `key`.
  void touch(std::string_view key);
  // Marks everybody (FLUSHALL).
  void touch_all();

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
  };

  std::unordered_map<std::string, std::vector<Session*>, Hash, std::equal_to<>> watchers_;
};

}  // namespace raftkv::server
