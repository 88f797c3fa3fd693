// A reply that was written for one version of the protocol, for a client that speaks the other.
#pragma once

#include <string>
#include <string_view>

#include "resp/reply_writer.h"

namespace raftkv::resp {

// Appends `reply`, complete replies as ReplyWriter wrote them under `from`, as `to` writes the same
// values: RESP3's maps, sets, doubles, booleans and nulls become what RESP2 has for them. From
// RESP2 to RESP3 only the nulls change, since nothing else tells its richer type. The same protocol
// on both sides: a copy. Bytes that no ReplyWriter wrote end the process.
void translate_reply(std::string_view reply, Protocol from, Protocol to, std::string& out);

}  // namespace raftkv::resp
