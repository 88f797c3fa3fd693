// What the checker found, as text, JSON, or a page to look at.
#pragma once

#include <string>
#include <vector>

#include "client/check/checker.h"

namespace raftkv::client::check {

// The operations of a violation in a table, times from the first call on.
std::string violation_text(const Violation& violation);
std::string violation_json(const Violation& violation);  // one object

// A whole HTML document that needs nothing else: verdict, reason, a timeline of the violation with
// a lane for each client, and the table. `headline` is the verdict's line; without violation there
// is no timeline.
std::string html_page(const std::string& headline, const Violation* violation);

}  // namespace raftkv::client::check
