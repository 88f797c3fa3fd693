#include "server/peer/snapshot_channel.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace raftkv::server {
namespace {

// Accepted connections for snapshots; one delivers, the others are about to be refused or closed.
constexpr size_t kReceiversMax = 16;

}  // namespace

SnapshotChannel::SnapshotChannel(uv_loop_t* loop, const PeerOptions& options,
                                 const LocalIdentity& self, Incarnations& incarnations,
                                 std::function<std::optional<Member>(uint64_t id)> find)
    : loop_(loop),
      options_(options),
      self_(self),
      find_(std::move(find)),
      shared_{.loop = loop,
              .options = options,
              .self = self,
              .incarnations = incarnations,
              .pacer = Pacer(options.snapshots.rate_bytes_per_s)},
      alive_(std::make_shared<SnapshotChannel*>(this)) {}

SnapshotChannel::~SnapshotChannel() {
  *alive_ = nullptr;
}

// --- sending ----------------------------------------------------------------------------------

void SnapshotChannel::send(uint64_t to, std::shared_ptr<SnapshotSource> source, Done done) {
  CHECK(source != nullptr && done);
  CHECK_NE(to, self_.id) << "a snapshot to oneself";
  outgoing_.push_back({.to = to, .source = std::move(source), .done = std::move(done)});
  schedule();
}

bool SnapshotChannel::may_start(const Outgoing& transfer) const {
  if (transfer.sender != nullptr) return false;
  const auto pause = not_before_ms_.find(transfer.to);
  if (pause != not_before_ms_.end() && uv_now(loop_) < pause->second) return false;
  return std::ranges::none_of(outgoing_, [&](const Outgoing& other) {
    return other.to == transfer.to && other.sender != nullptr;
  });
}

void SnapshotChannel::schedule() {
  if (stopping_) return;
  auto active = static_cast<size_t>(std::ranges::count_if(
      outgoing_, [](const Outgoing& each) { return each.sender != nullptr; }));
  for (Outgoing& each : outgoing_) {
    if (active >= options_.snapshots.transfers_max) return;
    if (!may_start(each)) continue;
    const auto member = find_(each.to);
    if (!member) continue;  // check() says so
    ++active;
    each.sender = std::make_unique<SnapshotSender>(
        shared_, *member, each.source, [this](SnapshotSender& sender) { finished(sender); });
    each.sender->start();
  }
}

void SnapshotChannel::finished(SnapshotSender& sender) {
  const auto found = std::ranges::find_if(
      outgoing_, [&](const Outgoing& each) { return each.sender.get() == &sender; });
  CHECK(found != outgoing_.end());
  const SnapshotResult result = sender.result();
  const Done done = std::move(found->done);
  if (!result) not_before_ms_[found->to] = uv_now(loop_) + options_.snapshots.retry_ms;
  outgoing_.erase(found);
  if (stopping_) return stop_if_idle();
  schedule();
  done(result);
}

void SnapshotChannel::members_changed() {
  for (Outgoing& each : outgoing_) {
    if (each.sender == nullptr) continue;
    const auto member = find_(each.to);
    if (!member) {
      each.sender->stop(fmt::format("node {} is no member any more", each.to));
    } else if (member->peer_host != each.sender->peer().peer_host ||
               member->peer_port != each.sender->peer().peer_port) {
      each.sender->stop(fmt::format("node {} has moved", each.to));
    }
  }
}

void SnapshotChannel::check() {
  if (stopping_) return;
  const uint64_t now_ms = uv_now(loop_);
  std::erase_if(not_before_ms_, [&](const auto& each) { return each.second <= now_ms; });
  std::vector<std::pair<uint64_t, Done>> hopeless;
  std::erase_if(outgoing_, [&](Outgoing& each) {
    if (each.sender != nullptr || find_(each.to)) return false;
    hopeless.emplace_back(each.to, std::move(each.done));
    return true;
  });
  schedule();
  for (auto& [to, done] : hopeless) {
    done(std::unexpected(fmt::format("node {} is no member", to)));
  }
}

void SnapshotChannel::flush() {
  for (Outgoing& each : outgoing_) {
    if (each.sender != nullptr) each.sender->flush();
  }
}

std::vector<SnapshotProgress> SnapshotChannel::progress() const {
  std::vector<SnapshotProgress> all;
  for (const Outgoing& each : outgoing_) {
    if (each.sender != nullptr) {
      all.push_back(each.sender->progress());
    } else {
      all.push_back({.peer = each.to,
                     .outgoing = true,
                     .bytes = 0,
                     .total = each.source->offer().size,
                     .phase = "queued"});
    }
  }
  if (current_ != nullptr) {
    all.push_back(current_->progress());
  } else if (installing_) {
    all.push_back({.peer = installing_->from,
                   .outgoing = false,
                   .bytes = installing_->offer.size,
                   .total = installing_->offer.size,
                   .phase = "installing"});
  }
  return all;
}

// --- receiving --------------------------------------------------------------------------------

std::expected<std::unique_ptr<SnapshotReceiver>, std::string> SnapshotChannel::accept(
    FrameStream& stream, uint64_t from) {
  if (stopping_) return std::unexpected(std::string("this node stops"));
  if (receivers_ >= kReceiversMax) {
    return std::unexpected(std::string("too many connections for snapshots"));
  }
  stream.set_payload_bytes_max(
      std::max(options_.snapshots.chunk_bytes_max + 8, kSnapshotMetaBytesMax + 16));
  ++receivers_;
  return std::make_unique<SnapshotReceiver>(loop_, stream, options_, from, *this);
}

void SnapshotChannel::offered(SnapshotReceiver& receiver) {
  if (!options_.snapshots.offered || stopping_) return receiver.refuse("it takes no snapshots now");
  const bool same_sender = current_ != nullptr && current_->from() == receiver.from();
  if (installing_) {
    if (installing_->from != receiver.from() || installing_->offer != receiver.offer()) {
      return receiver.refuse(
          fmt::format("it is installing a snapshot of node {}", installing_->from));
    }
    // The connection was lost, the work was not.
    if (current_ != nullptr) current_->replace();
    current_ = &receiver;
    return receiver.wait_for_installation();
  }
  if (current_ != nullptr && !same_sender) {
    return receiver.refuse(
        fmt::format("it is receiving a snapshot from node {}", current_->from()));
  }
  if (same_sender) current_->replace();
  current_ = &receiver;
  current_waits_ = true;
  if (ending_sinks_ == 0) begin();
}

// No sink of an earlier connection touches the disk any more.
void SnapshotChannel::begin() {
  current_waits_ = false;
  auto sink = options_.snapshots.offered(current_->from(), current_->offer());
  if (!sink) return current_->refuse(sink.error());
  CHECK(*sink != nullptr);
  LOG(INFO) << "receiving a snapshot of " << current_->offer().size << " bytes from peer "
            << current_->from();
  current_->start(std::move(*sink));
}

void SnapshotChannel::complete(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink) {
  CHECK(options_.snapshots.received) << "who takes offers must take snapshots";
  CHECK(!installing_ && current_ == &receiver);
  installing_ = {.from = receiver.from(), .offer = receiver.offer()};
  LOG(INFO) << "the snapshot of peer " << receiver.from() << " is here";
  // The receiver may be gone when the host answers.
  options_.snapshots.received(receiver.from(), installing_->offer, std::move(sink),
                              [alive = alive_](SnapshotResult result) {
                                if (*alive != nullptr) (*alive)->installed(result);
                              });
}

void SnapshotChannel::installed(const SnapshotResult& result) {
  if (stopping_) return;
  CHECK(installing_) << "the result of a snapshot was said twice";
  if (result) {
    LOG(INFO) << "the snapshot of peer " << installing_->from << " is installed at index "
              << *result;
  } else {
    LOG(WARNING) << "the snapshot of peer " << installing_->from
                 << " is not installed: " << result.error();
  }
  installing_.reset();
  if (current_ != nullptr) current_->conclude(result);
}

void SnapshotChannel::over(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink,
                           bool keep) {
  if (current_ == &receiver) current_ = nullptr;
  if (sink == nullptr) return;
  ++ending_sinks_;
  SnapshotSink& ending = *sink;
  // The sink lives until it says that it is done.
  ending.abort(keep,
               [this, owned = std::make_shared<std::unique_ptr<SnapshotSink>>(std::move(sink))] {
                 --ending_sinks_;
                 if (stopping_) return stop_if_idle();
                 if (ending_sinks_ == 0 && current_ != nullptr && current_waits_) begin();
               });
}

// --- the end ----------------------------------------------------------------------------------

void SnapshotChannel::stop(std::function<void()> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  std::erase_if(outgoing_, [](const Outgoing& each) { return each.sender == nullptr; });
  for (Outgoing& each : outgoing_) each.sender->stop("this node stops");
  if (current_ != nullptr) current_->replace();
  stop_if_idle();
}

void SnapshotChannel::stop_if_idle() {
  if (!outgoing_.empty() || ending_sinks_ != 0 || !stopped_) return;
  const auto stopped = std::exchange(stopped_, nullptr);
  stopped();
}

}  // namespace raftkv::server
