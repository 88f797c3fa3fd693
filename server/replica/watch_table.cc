#include "server/replica/watch_table.h"

#include <algorithm>

#include "server/replica/session.h"

namespace raftkv::server {

void WatchTable::add(std::string_view key, Session* session) {
  auto it = watchers_.find(key);
  if (it == watchers_.end())
    it = watchers_.emplace(std::string(key), std::vector<Session*>()).first;
  it->second.push_back(session);
}

void WatchTable::remove(std::string_view key, Session* session) {
  auto it = watchers_.find(key);
  if (it == watchers_.end()) return;
  std::erase(it->second, session);
  if (it->second.empty()) watchers_.erase(it);
}

void WatchTable::touch(std::string_view key) {
  auto it = watchers_.find(key);
  if (it == watchers_.end()) return;
  for (Session* session : it->second) session->watched_key_changed();
}

void WatchTable::touch_all() {
  for (auto& [key, sessions] : watchers_) {
    for (Session* session : sessions) session->watched_key_changed();
  }
}

}  // namespace raftkv::server
