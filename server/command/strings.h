// Handlers of the string commands; their declarations are in strings.cc.
#pragma once

#include "server/command/command.h"

namespace raftkv::server::strings {

// strings_set.cc
void set(DataContext& context);
void setnx(DataContext& context);
void setex(DataContext& context);
void psetex(DataContext& context);
void getex(DataContext& context);
void getset(DataContext& context);
void mset(DataContext& context);
void msetnx(DataContext& context);

// strings_bytes.cc
void get(DataContext& context);
void getdel(DataContext& context);
void mget(DataContext& context);
void strlen(DataContext& context);
void getrange(DataContext& context);
void setrange(DataContext& context);
void append(DataContext& context);

// strings_number.cc
void incr(DataContext& context);
void decr(DataContext& context);
void incrby(DataContext& context);
void decrby(DataContext& context);
void incrbyfloat(DataContext& context);

// strings_lcs.cc
void lcs(DataContext& context);

// Replies with the string, or null. Others' handlers that return a value use it, too.
void reply_value(DataContext& context, const data::Entry* entry);

}  // namespace raftkv::server::strings
