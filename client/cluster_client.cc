#include "client/cluster_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "client/answer.h"
#include "client/exchange.h"

namespace raftkv::client {
namespace {

// Redirects may name nodes that nobody configured; a node that invents them must not fill memory.
constexpr size_t kLearnedNodesMax = 32;

// Numbered commands on their way at once: no more than a server keeps replies of, or a retry might
// learn only that it was executed.
constexpr size_t kNumberedMax = 512;

constexpr std::chrono::milliseconds kClosePatience{50};
constexpr std::chrono::milliseconds kPauseMin{10};
constexpr std::chrono::milliseconds kPauseMax{250};

void require(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "ClusterClient requires that %s\n", what);
  std::abort();
}

}  // namespace

ClusterClient::ClusterClient(std::vector<Address> nodes, ClientOptions options)
    : options_(options), nodes_(std::move(nodes)), given_nodes_(nodes_.size()) {
  require(!nodes_.empty(), "the list of nodes is not empty");
}

ClusterClient::~ClusterClient() {
  if (!session_.is_open() || !leader_) return;
  const auto known = connections_.find(leader_->to_string());
  if (known == connections_.end() || !known->second.usable()) return;
  // Should it not arrive, the session ends by its time to live.
  known->second.append(OnceSession::closing(session_.id()));
  static_cast<void>(known->second.flush(Clock::now() + kClosePatience));
}

Result ClusterClient::command(std::vector<std::string> args, Retry retry) {
  return command({.args = std::move(args), .retry = retry});
}

Result ClusterClient::command(Command command) {
  return std::move(pipeline({&command, 1}).front());
}

std::vector<Result> ClusterClient::pipeline(std::span<const Command> commands) {
  IoLoop loop;
  return loop.run(pipeline(loop, commands));
}

Task<std::vector<Result>> ClusterClient::pipeline(IoLoop& loop, std::span<const Command> commands) {
  for (const Command& command : commands) {
    // Nodes skip an empty command without a reply, and all later replies would shift.
    require(!command.args.empty(), "a command has a name");
  }
  Exchange exchange(commands, Clock::now() + options_.command_timeout);
  setbacks_ = 0;
  pauses_ = 0;
  while (!exchange.done()) {
    if (Clock::now() >= exchange.deadline()) {
      exchange.give_up(options_.command_timeout);
      break;
    }
    const Address target = next_target();
    Connection* const connection = co_await connection_to(loop, target, exchange);
    if (connection != nullptr) co_await attempt(loop, target, *connection, exchange);
    if (!exchange.done()) co_await pause_if_going_in_circles(loop, exchange.deadline());
  }
  co_return exchange.take_results();
}

Address ClusterClient::next_target() {
  if (leader_) return *leader_;
  return nodes_[next_node_++ % nodes_.size()];
}

Task<Connection*> ClusterClient::connection_to(IoLoop& loop, Address address, Exchange& exchange) {
  const std::string name = address.to_string();
  if (const auto known = connections_.find(name); known != connections_.end()) {
    if (known->second.usable()) co_return &known->second;
    connections_.erase(known);
  }
  auto made = co_await Connection::connect(
      loop, address, std::min(exchange.deadline(), Clock::now() + options_.connect_timeout));
  if (!made) {
    exchange.trouble(address, made.error());
    drop(address);
    co_return nullptr;
  }
  exchange.reached_a_node();
  co_return &connections_.emplace(name, *std::move(made)).first->second;
}

// False: this attempt is over. True: there is a session, or this node will do without.
Task<bool> ClusterClient::open_session(IoLoop& loop, Address target, Connection& connection,
                                       Exchange& exchange) {
  connection.append(OnceSession::opening(options_.session_ttl));
  const auto reply = co_await connection.receive(
      loop, std::min(exchange.deadline(), Clock::now() + options_.attempt_timeout));
  if (!reply) {
    exchange.trouble(target, reply.error());
    drop(target);
    co_return false;
  }
  if (reply->type == Reply::Type::kInteger && reply->integer > 0) {
    session_.opened(reply->integer);
    co_return true;
  }
  // Twice is as good as once: a session that nobody uses ends by itself.
  if (reply->is_error() && judge(reply->text) != Verdict::kFinal) {
    exchange.trouble(target, reply->text);
    follow(reply->text, target);
    co_return false;
  }
  session_.refused(reply->text);
  exchange.do_without_session();
  co_return true;
}

// Sends all open commands to one node and takes its replies, until it fails or all have one.
Task<void> ClusterClient::attempt(IoLoop& loop, Address target, Connection& connection,
                                  Exchange& exchange) {
  exchange.reached_a_node();
  if (exchange.wants_session(session_)) {
    const bool go_on = co_await open_session(loop, target, connection, exchange);
    if (!go_on) co_return;
  }
  const std::vector<size_t> open = exchange.number(session_, kNumberedMax);
  std::vector<uint64_t> ends;
  ends.reserve(open.size());
  bool patient = false;
  for (const size_t i : open) {
    exchange.append_to(connection, i);
    ends.push_back(connection.appended_bytes());
    patient = patient || !exchange.may_repeat(i);
  }
  std::string refusal;
  for (size_t n = 0; n < open.size(); ++n) {
    auto reply = connection.received();
    if (!reply) {
      const Deadline attempt_end = Clock::now() + options_.attempt_timeout;
      reply = co_await connection.receive(
          loop, patient ? exchange.deadline() : std::min(exchange.deadline(), attempt_end));
    }
    if (!reply->has_value()) {
      const std::string& error = reply->error();
      exchange.trouble(target, error);
      // What did not leave as a whole can't have been executed.
      for (; n < open.size() && ends[n] <= connection.sent_bytes(); ++n) {
        exchange.maybe_done(open[n], fmt::format("{} did not answer after the command was sent: {}",
                                                 target.to_string(), error));
      }
      drop(target);
      co_return;
    }
    Reply& answer = reply->value();
    if (!exchange.take(open[n], answer, target, session_)) refusal = std::move(answer.text);
  }
  if (refusal.empty()) {
    leader_ = target;
  } else {
    exchange.trouble(target, refusal);
    follow(refusal, target);
  }
}

// The last refusal of a batch is the freshest news of where the leader is.
void ClusterClient::follow(const std::string& refusal, const Address& from) {
  ++setbacks_;
  leader_.reset();
  const Verdict verdict = judge(refusal);
  if (verdict == Verdict::kNoSession) leader_ = from;
  if (verdict != Verdict::kMoved) return;
  leader_ = moved_to(refusal, from);
  if (!leader_ || std::find(nodes_.begin(), nodes_.end(), *leader_) != nodes_.end()) return;
  if (nodes_.size() == given_nodes_ + kLearnedNodesMax) {
    const auto oldest = nodes_.begin() + static_cast<std::ptrdiff_t>(given_nodes_);
    connections_.erase(oldest->to_string());
    nodes_.erase(oldest);
  }
  nodes_.push_back(*leader_);
}

void ClusterClient::drop(const Address& address) {
  ++setbacks_;
  connections_.erase(address.to_string());
  if (leader_ == address) leader_.reset();
}

// While the cluster elects a leader, nodes point at each other or at the dead one. After a whole
// round without success we wait, a little longer each time and never in step with other clients.
Task<void> ClusterClient::pause_if_going_in_circles(IoLoop& loop, Deadline deadline) {
  if (setbacks_ <= nodes_.size() + 1) co_return;
  setbacks_ = 0;
  const auto longest = std::min(kPauseMax, kPauseMin * (1 << std::min(pauses_++, 8)));
  std::uniform_int_distribution<int64_t> part(longest.count() * 500, longest.count() * 1000);
  co_await loop.until(std::min(deadline, Clock::now() + std::chrono::microseconds(part(jitter_))));
}

}  // namespace raftkv::client
