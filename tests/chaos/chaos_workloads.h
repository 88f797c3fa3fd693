// The operations of one chaos client. Keys live for one epoch, some seconds, so that the history of
// each stays short enough to be judged; their names say what is done with them:
//
//   reg:E:K  set, get, del       ctr:E:K  incr, get       app:E:K  append, get
//   cas:E:K  SET NX, WATCH and MULTI, get, del            {bank:E}:A  transfers, sums
//   lock:E:K  SET NX PX          fence:E:K  incr, by who holds the lock
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "client/cluster_client.h"
#include "client/connection.h"
#include "tests/chaos/chaos_history.h"

namespace raftkv::chaos {

struct LoadPlan {
  std::vector<client::Address> nodes;
  int64_t start_ns = 0;  // epochs are counted from here, the same for all processes
  int64_t epoch_ns = 0;
  int64_t keys = 1;  // of each kind in an epoch
  client::ClientOptions client;
};

// What the accounts of a bank hold as long as nobody has written them.
inline constexpr int64_t kOpeningBalance = 100;
inline constexpr int kAccounts = 5;

// One connection to whoever leads, for what needs several commands on the same one. Retries
// nothing.
class LeaderSession {
 public:
  explicit LeaderSession(const LoadPlan& plan, uint64_t seed);

  // Connects if needed. False: no node could be reached, nothing was sent.
  bool connect();
  // The reply. An error in words: the connection is lost, the outcome unknown. On errors of the
  // server that say where the leader is, the next connect() goes there.
  std::expected<client::Reply, std::string> ask(std::vector<std::string> args);
  void drop() { connection_.reset(); }

 private:
  const LoadPlan& plan_;
  std::optional<client::Address> target_;
  std::optional<client::Connection> connection_;
  size_t next_;
};

class Load {
 public:
  Load(const LoadPlan& plan, History& history, int64_t id, uint64_t seed);

  // One operation, or one short story of several, drawn at random. Bounded in time.
  void step();

 private:
  struct Named {
    std::string key;
    int64_t epoch;
  };

  void registers();
  void counters();
  void appends();
  void swaps();
  void watched_swap(const std::string& key);
  void transfer();
  void audit();
  void lock();
  void release(const std::string& key, const std::string& token);

  void get(const std::string& key);
  // Records a command of the bundled client.
  client::Result write(nlohmann::json fields, std::vector<std::string> args);
  // WATCH, then a read: nothing can have been changed by these. Nil in `reply`: give up, the
  // session has been dropped if need be.
  std::optional<client::Reply> watch_and_read(const std::vector<std::string>& keys,
                                              std::vector<std::string> read);
  struct Executed {
    Outcome outcome;
    std::string error;
    client::Reply reply;
    int64_t call;
  };
  Executed execute(std::vector<std::vector<std::string>> commands);

  int64_t draw(int64_t from, int64_t to);
  int64_t epoch() const;
  std::string key(const char* kind);
  std::string unique();

  const LoadPlan& plan_;
  History& history_;
  int64_t id_;
  int64_t serial_ = 0;
  std::mt19937_64 random_;
  client::ClusterClient client_;
  LeaderSession session_;
};

}  // namespace raftkv::chaos
