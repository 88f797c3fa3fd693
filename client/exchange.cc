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

void ClusterClient::Exchange::settle(size_t i, Result result) {
  states_[i].result = std::move(result);
  states_[i].settled = true;
  --open_count_;
}

bool ClusterClient::Exchange::take(size_t i, Reply& reply, const Address& node) {
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
    case Verdict::kMoved:
    case Verdict::kNotNow:
      return false;
  }
  std::abort();
}

void ClusterClient::Exchange::maybe_done(size_t i, const std::string& how) {
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
