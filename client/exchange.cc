#include "client/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "client/answer.h"

namespace raftkv::client {

ClusterClient::Exchange::Exchange(std::span<const Command> commands, Deadline deadline)
    : commands_(commands),
      deadline_(deadline),
      states_(commands.size()),
      open_count_(commands.size()) {}

std::vector<size_t> ClusterClient::Exchange::open() const {
  std::vector<size_t> indices;
  indices.reserve(open_count_);
  for (size_t i = 0; i < states_.size(); ++i) {
    if (!states_[i].settled) indices.push_back(i);
  }
  return indices;
}

bool ClusterClient::Exchange::wants_session(const OnceSession& session) const {
  if (!sessions_ || session.is_open() || session.unsupported()) return false;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (commands_[i].once && !states_[i].settled && !states_[i].number.given()) return true;
  }
  return false;
}

std::vector<size_t> ClusterClient::Exchange::number(OnceSession& session, size_t numbered_max) {
  std::vector<size_t> indices;
  size_t numbered = 0;
  bool full = false;
  lowest_needed_.clear();
  for (const size_t i : open()) {
    OnceNumber& number = states_[i].number;
    const bool fresh = commands_[i].once && !number.given() && session.is_open();
    full = full || ((number.given() || fresh) && numbered == numbered_max);
    if (fresh && !full) number = session.next();
    if (number.given()) {
      uint64_t& lowest = lowest_needed_.emplace(number.session, number.sequence).first->second;
      lowest = std::min(lowest, number.sequence);
      ++numbered;
    }
    if (!full) indices.push_back(i);
  }
  return indices;
}

void ClusterClient::Exchange::append_to(Connection& connection, size_t i) const {
  const OnceNumber number = states_[i].number;
  if (number.given()) {
    connection.append(
        OnceSession::wrapped(commands_[i].args, number, lowest_needed_.at(number.session)));
  } else {
    connection.append(commands_[i].args);
  }
}

void ClusterClient::Exchange::settle(size_t i, Result result) {
  states_[i].result = std::move(result);
  states_[i].settled = true;
  --open_count_;
}

// The session of command i is gone.
void ClusterClient::Exchange::forgotten(size_t i, const std::string& error, OnceSession& session) {
  State& state = states_[i];
  session.lost(state.number.session);
  if (state.maybe.empty() || commands_[i].retry != Retry::kUnsafe) {
    // Surely not executed, or no harm if it was: it begins anew in another session.
    state.number = {};
  } else {
    settle(i, std::unexpected(ClientError{ClientError::Kind::kOutcomeUnknown,
                                          fmt::format("{}; then {}", state.maybe, error)}));
  }
}

bool ClusterClient::Exchange::take(size_t i, Reply& reply, const Address& node,
                                   OnceSession& session) {
  if (!reply.is_error()) {
    settle(i, std::move(reply));
    return true;
  }
  switch (judge(reply.text)) {
    case Verdict::kFinal:
      settle(i, std::unexpected(ClientError{ClientError::Kind::kServer, reply.text}));
      return true;
    case Verdict::kUnknown:
      maybe_done(i, fmt::format("{} answered: {}", node.to_string(), reply.text));
      return false;
    case Verdict::kNoSession:
      if (states_[i].number.given()) {
        forgotten(i, reply.text, session);
        return false;
      }
      settle(i, std::unexpected(ClientError{ClientError::Kind::kServer, reply.text}));
      return true;
    case Verdict::kReplyGone:
      settle(i, std::unexpected(ClientError{ClientError::Kind::kOutcomeUnknown, reply.text}));
      return true;
    case Verdict::kMoved:
    case Verdict::kNotNow:
      return false;
  }
  std::abort();
}

void ClusterClient::Exchange::maybe_done(size_t i, const std::string& how) {
  if (states_[i].number.given()) {
    states_[i].maybe = how;
    return;
  }
  switch (commands_[i].retry) {
    case Retry::kRead:
      return;
    case Retry::kSafe:
      states_[i].maybe = how;
      return;
    case Retry::kUnsafe:
      settle(i, std::unexpected(ClientError{ClientError::Kind::kOutcomeUnknown, how}));
      return;
  }
}

void ClusterClient::Exchange::trouble(const Address& node, const std::string& reason) {
  const std::string name = node.to_string();
  const auto known = std::find_if(troubles_.begin(), troubles_.end(),
                                  [&name](const auto& entry) { return entry.first == name; });
  if (known == troubles_.end()) {
    troubles_.emplace_back(name, reason);
  } else {
    known->second = reason;
  }
}

std::string ClusterClient::Exchange::troubles_text() const {
  std::string text;
  for (const auto& [node, reason] : troubles_) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", node, reason);
  }
  return text;
}

void ClusterClient::Exchange::give_up(std::chrono::milliseconds timeout) {
  using Kind = ClientError::Kind;
  const auto ms = timeout.count();
  const std::string nodes = troubles_text();
  for (const size_t i : open()) {
    if (!states_[i].maybe.empty()) {
      settle(i, std::unexpected(
                    ClientError{Kind::kOutcomeUnknown,
                                fmt::format("{}; repeating it gave no answer within {} ms ({})",
                                            states_[i].maybe, ms, nodes)}));
    } else if (!reached_) {
      settle(i, std::unexpected(ClientError{
                    Kind::kNoNodes,
                    fmt::format("no node could be reached within {} ms ({})", ms, nodes)}));
    } else {
      settle(i,
             std::unexpected(ClientError{
                 Kind::kDeadline, fmt::format("no leader answered within {} ms ({})", ms, nodes)}));
    }
  }
}

std::vector<Result> ClusterClient::Exchange::take_results() {
  std::vector<Result> results;
  results.reserve(states_.size());
  for (State& state : states_) results.push_back(std::move(state.result));
  return results;
}

}  // namespace raftkv::client
