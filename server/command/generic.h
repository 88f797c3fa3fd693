// Handlers of the commands that work on keys of any type; their declarations are in generic.cc.
#pragma once

#include "server/command/command.h"

namespace raftkv::server::generic {

// generic_keys.cc
void del(DataContext& context);
void exists(DataContext& context);
void type(DataContext& context);
void rename(DataContext& context);
void renamenx(DataContext& context);
void copy(DataContext& context);
void flush(DataContext& context);
void object_encoding(DataContext& context);
void object_freq(DataContext& context);
void object_idletime(DataContext& context);
void object_refcount(DataContext& context);

// generic_expiry.cc
void expire(DataContext& context);
void pexpire(DataContext& context);
void expireat(DataContext& context);
void pexpireat(DataContext& context);
void ttl(DataContext& context);
void pttl(DataContext& context);
void expiretime(DataContext& context);
void pexpiretime(DataContext& context);
void persist(DataContext& context);

// dump.cc
void dump(DataContext& context);
void restore(DataContext& context);

// generic_walk.cc
void keys(DataContext& context);
void scan(DataContext& context);
void randomkey(DataContext& context);
void dbsize(DataContext& context);

}  // namespace raftkv::server::generic
