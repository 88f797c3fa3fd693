// A follower with its data in a directory: the production replica, log store, snapshot files and
// snapshot service, on a libuv loop. Its leader is a history that was made before, and is told to
// it entry by entry.
#pragma once

#include <glog/logging.h>
#include <xxhash.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/codec.h"
#include "server/peer/transport.h"
#include "server/replica/replica.h"
#include "server/snapshot_service.h"
#include "storage/log/rocks_log_store.h"
#include "storage/snapshot/snapshot_loader.h"
#include "tests/support/one_node.h"
#include "tests/unit/server/net_kit.h"

namespace raftkv::test {

// What a leader of three wrote, and which dataset that makes at each index.
struct History {
  static constexpr raft::Index kSnapshot = 24;
  static constexpr raft::Index kLast = 27;

  std::vector<raft::Entry> entries;  // [0] has index 1
  std::map<raft::Index, data::Keyspace::Digest> digests;
  raft::SnapshotMeta meta;  // of the leader's snapshot, at kSnapshot
  std::string file;         // its bytes

  History() {
    server::ReplicaOptions options;
    options.snapshots.limits = {.log_bytes = 0, .tail_entries = 0};
    options.snapshots.cluster_id = std::string(40, 'c');
    OneNode leader(options, 3);
    write(leader, 18);
    // Another term: that of the snapshot is not that of the follower's log.
    leader.depose();
    leader.settle();
    leader.become_leader();
    write(leader, kSnapshot);
    gather(leader);
    EXPECT_TRUE(leader.replica().request_snapshot());
    leader.settle();
    take_file(leader);
    write(leader, kLast);
    gather(leader);
  }

  raft::Term term() const { return entries.back().term; }
  const raft::Entry& at(raft::Index index) const { return entries.at(index - 1); }
  raft::Term term_of(raft::Index index) const { return index == 0 ? 0 : at(index).term; }

 private:
  // Long enough, and nothing that could be compressed: a file of them takes several steps.
  static std::string value_of(raft::Index index) {
    std::mt19937_64 random(index);
    std::string value;
    while (value.size() < 1200) value += std::to_string(random());
    return value;
  }
  void write(OneNode& leader, raft::Index last) {
    Client client(leader);
    leader.settle();
    while (true) {
      const raft::Index index = leader.replica().state().applied_index();
      digests[index] = leader.replica().state().digest();
      if (index >= last) return;
      const std::string n = std::to_string(index);
      EXPECT_EQ(client.call("SET key:" + n + " " + value_of(index)), "+OK\r\n");
    }
  }
  void gather(OneNode& leader) {
    leader.log_store().read(entries.size() + 1, leader.replica().node().last_index(), SIZE_MAX,
                            entries);
  }
  void take_file(OneNode& leader) {
    meta = leader.replica().newest_snapshot();
    EXPECT_EQ(meta.index, kSnapshot);
    const auto source = leader.snapshot_files().open({.term = meta.term, .index = meta.index});
    ASSERT_TRUE(source) << source.error();
    file.resize((*source)->size());
    EXPECT_EQ((*source)->read_at(0, file.data(), file.size()), file.size());
  }
};

class DiskNode final : public server::ReplicaPorts {
 public:
  DiskNode(const History& history, std::string directory,
           std::function<void(raft::Index)> on_acknowledged = {})
      : history_(history),
        directory_(std::move(directory)),
        on_acknowledged_(std::move(on_acknowledged)),
        peers_(loop_.get(), peer_options(), [](const raft::Message&) {}),
        service_(loop_.get(), 0) {
    FLAGS_minloglevel = google::GLOG_WARNING;  // what goes well is not told
    options_.raft.id = 1;
    options_.raft.bootstrap = server::bootstrap_membership(FakeHost().members());
    options_.snapshots.limits = {.log_bytes = 0, .tail_entries = 0};
    options_.snapshots.cluster_id = std::string(40, 'c');
    options_.snapshots.cut.block_bytes = 1000;  // a file is several writes, and several steps
    options_.snapshots.cut.writer.step_bytes = 4096;
    options_.snapshots.cut.writer.on_progress = [this] { service_.wake(); };
  }
  ~DiskNode() override {
    replica_.reset();  // may wait for a writer, which still wakes the service
    service_.stop();
    loop_.end_of_turn = nullptr;
    loop_.turns(3);
  }

  // As the server starts. False if it could not, and the test has failed.
  bool start() {
    storage::RocksLogOptions options{.memtable_bytes = 64 << 10, .spare_wal_files = 0};
    auto store = storage::RocksLogStore::open(directory_ + "/log", options);
    EXPECT_TRUE(store) << store.error();
    if (!store) return false;
    store_ = std::move(*store);
    auto restored = store_->recover();
    EXPECT_TRUE(restored) << restored.error();
    if (!restored) return false;
    EXPECT_EQ(store_->damage(), "");
    recorded_ = store_->snapshots();
    const raft::SnapshotMeta newest = restored->snapshot;
    const auto opened = service_.open(directory_, *store_, *restored);
    EXPECT_TRUE(opened) << opened.error();
    if (!opened) return false;
    EXPECT_EQ(restored->snapshot.index, newest.index) << "the newest recorded file is not there";
    EXPECT_EQ(restored->lost_up_to, 0) << "what it held is lost";
    started_at_ = newest.index;
    replica_ = std::make_unique<server::Replica>(options_, std::move(*restored), *store_,
                                                 service_.store(), stats_, *this);
    service_.start(*replica_, peers_, [](const std::string& why) { ADD_FAILURE() << why; });
    loop_.end_of_turn = [this] { settle(); };
    return until([this] { return !replica_->awaits_dataset(); }, "loading the snapshot");
  }

  // The leader tells its entries up to `last`, each committed at once.
  void follow(raft::Index to) {
    for (raft::Index index = last() + 1; index <= to; ++index) tell({history_.at(index)});
    tell({});  // and what was there already is committed, too
    EXPECT_EQ(replica_->state().applied_index(), last());
  }

  // A snapshot is taken, recorded, and older ones are removed. It takes in one entry more than it
  // holds, if the leader has one.
  void take_snapshot() {
    const uint64_t saves = replica_->snapshot_status().saves;
    EXPECT_TRUE(replica_->request_snapshot());
    replica_->end_turn();  // it begins; its file may even be done
    follow(std::min(last() + 1, History::kLast));
    until([this, saves] { return replica_->snapshot_status().saves > saves; }, "the snapshot");
    settle();
    EXPECT_EQ(replica_->snapshot_status().recorded_index, replica_->snapshot_status().index);
  }

  // The leader sends its snapshot, as far as that has not come before; it is installed. False if
  // the node does not want it.
  bool receive_snapshot() {
    server::SnapshotOffer offer{.checksum = XXH3_64bits(history_.file.data(), history_.file.size()),
                                .size = history_.file.size(),
                                .meta = {}};
    raft::encode_snapshot_meta(history_.meta, offer.meta);
    tell({}, history_.term());  // the node learns of the sender's term first
    auto sink = service_.offered(2, offer);
    if (!sink) return false;
    std::optional<uint64_t> there;
    (*sink)->open([&](auto result) {
      EXPECT_TRUE(result) << result.error();
      there = result.value_or(offer.size);
    });
    until([&] { return there.has_value(); }, "opening the file that is received");
    resumed_at_ = *there;
    const uint64_t step = offer.size / 3 + 1;
    for (uint64_t offset = *there; offset < offer.size; offset += step) {
      const std::string bytes = history_.file.substr(offset, step);
      wait("writing", [&](auto done) { (*sink)->append(bytes, done); });
    }
    wait("finishing", [&](auto done) { (*sink)->finish(done); });
    std::optional<server::SnapshotResult> installed;
    service_.received(2, offer, std::move(*sink), [&](auto result) { installed = result; });
    until([&] { return installed.has_value(); }, "installing the snapshot");
    EXPECT_EQ(*installed, server::SnapshotResult(history_.meta.index));
    settle();
    return true;
  }

  raft::Index last() const { return replica_->node().last_index(); }
  server::Replica& replica() { return *replica_; }
  storage::LogStore& log() { return *store_; }
  storage::SnapshotStore& files() { return service_.store(); }
  // When it started: the recorded snapshots, newest first, and the one that it began with.
  const std::vector<raft::SnapshotMeta>& recorded() const { return recorded_; }
  raft::Index started_at() const { return started_at_; }
  uint64_t resumed_at() const { return resumed_at_; }
  std::set<std::string> file_names() const {
    std::set<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator(directory_ + "/snapshots")) {
      names.insert(each.path().filename());
    }
    return names;
  }

  void send(raft::Message message) override {
    const auto* reply = std::get_if<raft::AppendReply>(&message.body);
    if (reply == nullptr || !on_acknowledged_) return;
    EXPECT_TRUE(reply->accepted);
    on_acknowledged_(reply->match);
  }
  void persist(raft::Persist persist) override { writing_.push_back(std::move(persist)); }
  raft::MonotonicUs now_monotonic_us() override { return 1'000'000; }
  uint64_t now_wall_us() override { return 1'767'225'600'000'000; }
  void leadership_changed(const raft::Status&) override {}
  void membership_changed(const server::MembershipFacts&,
                          const std::vector<server::Member>&) override {}
  void send_snapshot(raft::NodeId, const raft::SnapshotMeta&) override {}
  void dataset_differs(const server::DigestDifference&) override { ADD_FAILURE(); }
  void digests_undecided(raft::Index) override { ADD_FAILURE(); }

 private:
  // Never started: nothing is sent.
  static server::PeerOptions peer_options() {
    server::PeerOptions options;
    options.cluster_id = std::string(40, 'c');
    options.self_id = 1;
    return options;
  }

  void tell(std::vector<raft::Entry> entries, raft::Term term = 0) {
    const raft::Index prev = last();
    const raft::Index commit = prev + entries.size();
    raft::Message message{.from = 2, .to = 1, .term = term, .body = {}};
    if (term == 0) message.term = std::max(replica_->node().term(), history_.term_of(commit));
    message.body = raft::Append{.prev_index = prev,
                                .prev_term = history_.term_of(prev),
                                .commit = commit,
                                .entries = std::move(entries)};
    replica_->step(std::move(message));
    settle();
  }

  // Turns and log writes until nothing is left to do but to wait.
  void settle() {
    for (bool more = true; more;) {
      more = replica_->end_turn() || !writing_.empty();
      while (!writing_.empty()) {
        raft::Persist persist = std::move(writing_.front());
        writing_.pop_front();
        const raft::Persist* const batch[] = {&persist};
        const auto written = store_->write(batch);
        ASSERT_TRUE(written) << written.error().text;
        replica_->persisted(std::move(persist));
      }
    }
  }

  bool until(const std::function<bool()>& condition, const char* what) {
    const bool met = loop_.until(condition);
    EXPECT_TRUE(met) << what << " takes too long";
    return met;
  }
  template <typename Begin>
  void wait(const char* what, Begin begin) {
    bool over = false;
    begin([&](std::expected<void, std::string> result) {
      EXPECT_TRUE(result) << what << ": " << result.error();
      over = true;
    });
    until([&] { return over; }, what);
  }

  const History& history_;
  const std::string directory_;
  const std::function<void(raft::Index)> on_acknowledged_;
  server::ReplicaOptions options_;
  server::Stats stats_;
  server::test::Loop loop_;
  server::PeerTransport peers_;
  std::unique_ptr<storage::RocksLogStore> store_;
  server::SnapshotService service_;
  std::deque<raft::Persist> writing_;
  std::unique_ptr<server::Replica> replica_;
  std::vector<raft::SnapshotMeta> recorded_;
  raft::Index started_at_ = 0;
  uint64_t resumed_at_ = 0;
};

}  // namespace raftkv::test
