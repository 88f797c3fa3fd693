// SAVE: a snapshot of this moment or later, waited for until a start would begin with it. The
// connection waits as in WAIT, and nobody else does.
#pragma once

#include <expected>
#include <string>

#include "raft/types.h"

namespace raftkv::server {

class Replica;

class SaveWait {
 public:
  // The error has neither '-' nor CRLF.
  static std::expected<SaveWait, std::string> begin(const Replica& replica);

  // Looked at in each turn. Asks for a snapshot as long as none that counts is on its way: the one
  // that was may have been given up for another reason than a failure. Once it is over, outcome()
  // is what came of it: empty for success, else the error.
  bool over(Replica& replica);
  const std::string& outcome() const { return outcome_; }

 private:
  SaveWait(raft::Index wanted, uint64_t failures) : wanted_(wanted), failures_(failures) {}

  raft::Index wanted_;  // the snapshot must be of this index at least
  uint64_t failures_;   // before it began
  bool over_ = false;
  std::string outcome_;
};

}  // namespace raftkv::server
