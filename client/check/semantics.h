// What each command does to what a key holds, and which replies it can give there: Redis' meaning.
#pragma once

#include <optional>

#include "client/check/cells.h"
#include "client/check/operation.h"

namespace raftkv::client::check {

// What the key holds after `action` found `cell` in it, or nothing if the action can't have
// happened there: it would have been refused (wrong type, no number) or, with `check_reply`, would
// have replied something else. Reads always have a reply to check.
std::optional<CellId> apply(const Action& action, bool check_reply, CellId cell, CellTable& cells);

// An action that, with the reply it gave, left the key as it was wherever it happened.
bool is_read(const Action& action);

// The only content of the key in which the action can have given its reply; kNoCell: several.
CellId required_cell(const Action& action, CellTable& cells);

// The only content that the action can have left behind, or kNoCell if that depends on what was
// there. Not for reads.
CellId produced_cell(const Action& action, bool check_reply, CellTable& cells);

// Whether the action's reply, if any, says no more than what required_cell says: it then can't be
// explained by a content that nothing else reads. False for a cas that did not swap, or a del.
bool reply_names_cell(const Action& action, bool check_reply);

}  // namespace raftkv::client::check
