"""The commands that diff_redis.py compares: written by hand, and drawn at random."""

import random
import shlex

BY_HAND = r"""
# SET and its options
SET k v
SET k v EX 10 EX 20
TTL k
SET k v EX 10 PX 20
SET k v NX
SET k v NX GET
SET n v NX GET
SET n w XX GET
SET absent v XX
SET absent v XX GET
SET k v NX XX
SET k v KEEPTTL EX 1
SET k v EX 1 KEEPTTL
SET k v KEEPTTL KEEPTTL
TTL k
SET k v KEEPTTL
TTL k
SET k v PERSIST
SET k v EX
SET k v EX 0
SET k v EX -1
SET k v EX a
SET k v EX 1.5
SET k v EX 9223372036854775
SET k v EX 9223372036854775808
SET k v PX 9223372036854775807
SET k v PXAT 9223372036854775807
PEXPIRETIME k
SET k v EXAT 9223372036854775
EXPIRETIME k
SET k v EXAT 9223372036854776
SET k v EXAT 1
EXISTS k
SET k v PXAT 1 GET
GET k
SET k v ex 100 nx get
GET k
SET
SET k
SETNX k other
SETNX fresh v
SETEX k 0 v
SETEX k a v
SETEX k -5 v
SETEX k 100 v
TTL k
PSETEX k 0 v
PSETEX k 100000 v
PTTL k
GETSET k new
TTL k
GETSET newkey v
# GETEX, GETDEL
GETEX k EX 100
TTL k
GETEX k PERSIST
TTL k
GETEX k PERSIST EX 1
GETEX k KEEPTTL
GETEX k NX
GETEX k EX 0
GETEX k PX a
GETEX absent EX 0
GETEX absent EX
GETEX k PXAT 99999999999999
PEXPIRETIME k
GETEX k EXAT 1
EXISTS k
SET k v
GETDEL k
GETDEL k
# several keys
MSET a 1 b 2 a 3
MGET a b c a
MSET a
MSET a 1 b
MSETNX a 9 z 9
EXISTS z
MSETNX y 1 z 2 y 3
MGET y z
MSETNX q
# bytes
APPEND a 5
GET a
OBJECT ENCODING a
INCR a
OBJECT ENCODING a
APPEND nothing ''
EXISTS nothing
STRLEN nothing
STRLEN absent
APPEND grown hello
APPEND grown world
SETRANGE grown 6 Redis
GET grown
SETRANGE grown 20 x
GET grown
SETRANGE absent2 0 ''
SETRANGE absent2 3 ''
EXISTS absent2
SETRANGE absent2 3 abc
GET absent2
SETRANGE a 0 ''
SETRANGE a -1 x
SETRANGE a x x
SETRANGE a 536870912 x
SETRANGE a 536870911 ''
SETRANGE a 9223372036854775807 x
SETRANGE absent3 9223372036854775807 ''
GETRANGE grown 0 -1
GETRANGE grown -3 -1
GETRANGE grown -1 -3
GETRANGE grown 5 2
GETRANGE grown 0 100
GETRANGE grown -100 3
GETRANGE grown -9223372036854775808 9223372036854775807
GETRANGE grown 3 -100
GETRANGE grown a 1
GETRANGE grown 1 a
GETRANGE absent 0 -1
GETRANGE nothing 0 -1
SUBSTR grown 1 3
# numbers
SET i 9223372036854775807
INCR i
DECR i
SET i -9223372036854775808
DECR i
INCRBY i -1
INCRBY i 9223372036854775807
DECRBY i -9223372036854775808
DECRBY i 9223372036854775807
INCRBY i 1.5
INCRBY i ' 1'
INCRBY i +1
INCRBY i 01
INCRBY i -0
INCRBY i ''
INCRBY i 9223372036854775808
SET i ' 12'
INCR i
SET i 012
INCR i
SET i -0
INCR i
SET i ''
INCR i
SET i 12 EX 1000
INCR i
TTL i
INCRBYFLOAT i 0.5
TTL i
INCRBYFLOAT f 0.1
INCRBYFLOAT f 0.2
INCRBYFLOAT f 1e3
INCRBYFLOAT f -1000.3
INCRBYFLOAT f 1e-17
INCRBYFLOAT f 1e-18
INCRBYFLOAT f 5.0e3
INCRBYFLOAT f 0x10
INCRBYFLOAT f 0x1p-3
INCRBYFLOAT f +5
INCRBYFLOAT f .5
INCRBYFLOAT f 5.
INCRBYFLOAT f ' 5'
INCRBYFLOAT f '5 '
INCRBYFLOAT f ''
INCRBYFLOAT f a
INCRBYFLOAT f inf
INCRBYFLOAT f -inf
INCRBYFLOAT f infinity
INCRBYFLOAT f nan
INCRBYFLOAT f 1e5000
INCRBYFLOAT f 1e-5000
INCRBYFLOAT f 1e-4940
INCRBYFLOAT f 1e300
INCRBYFLOAT f 1e4932
INCRBYFLOAT f 1e4932
GET f
SET g 3.0e0
INCRBYFLOAT g 0
SET g -1.5
INCRBYFLOAT g 1.5
SET g 1
INCRBYFLOAT g -0.000000000000000001
INCR grown
INCRBYFLOAT grown 1
INCRBYFLOAT grown a
# LCS
MSET s1 ohmytext s2 mynewtext
LCS s1 s2
LCS s1 s2 LEN
LCS s1 s2 IDX
LCS s1 s2 IDX MINMATCHLEN 4
LCS s1 s2 IDX MINMATCHLEN 4 WITHMATCHLEN
LCS s1 s2 IDX MINMATCHLEN -4 WITHMATCHLEN
LCS s1 s2 IDX LEN
LCS s1 s2 MINMATCHLEN
LCS s1 s2 MINMATCHLEN a
LCS s1 s2 FOO
LCS s1 absent
LCS absent absent2
LCS absent absent IDX
LCS s1 s1 IDX WITHMATCHLEN
# keys
DEL s1 s1 s2 absent
UNLINK a b c
EXISTS y y absent
TOUCH y z absent
TYPE y
TYPE absent
RENAME absent x
RENAME y y
RENAMENX y y
RENAMENX absent y
RENAMENX y z
SET withttl v EX 1000
RENAME withttl y
TTL y
RENAME z y
TTL y
COPY y y
COPY y copy1
COPY y copy1
COPY y copy1 REPLACE
COPY y copy2 DB 0
COPY y copy3 DB 16
COPY y copy3 DB -1
COPY y copy3 DB a
COPY y copy3 DB 99999999999
COPY y copy3 DB -99999999999
COPY y copy3 DB
COPY y copy3 REPLACE FOO
COPY absent copy3 REPLACE
SET source v EX 500
COPY source copy4
TTL copy4
COPY y copy4 REPLACE
TTL copy4
# deadlines; never two equal ones relative to now, for a millisecond may pass between them
SET k v
EXPIRE k 100
EXPIRE k 200 NX
EXPIRE k 200 XX
EXPIRE k 100 GT
EXPIRE k 300 GT
EXPIRE k 400 LT
EXPIRE k 50 LT
EXPIRE k 40 XX GT
EXPIRE k 500 XX GT
EXPIRE k 600 XX LT
TTL k
PERSIST k
PERSIST k
PERSIST absent
EXPIRE k 100 GT
EXPIRE k 100 XX
EXPIRE k 100 LT
EXPIRE k 10 NX XX
EXPIRE k 10 NX GT
EXPIRE k 10 NX LT
EXPIRE k 10 GT LT
EXPIRE k 10 FOO
EXPIRE k a FOO
EXPIRE k a
EXPIRE k 1.5
EXPIRE k 9223372036854775807
EXPIRE k -9223372036854775808
EXPIRE k 9223372036854775
PEXPIRE k 9223372036854775807
EXPIREAT k 9223372036854775807
EXPIRE absent 9223372036854775807
EXPIRE absent 100
PEXPIREAT k 9223372036854775807
PEXPIRETIME k
EXPIRETIME k
EXPIREAT k 99999999999
EXPIREAT k 99999999999 GT
EXPIREAT k 99999999999 LT
EXPIREAT k 99999999998 GT
EXPIREAT k 99999999998 LT
EXPIRETIME k
PEXPIREAT k 1
EXISTS k
SET k v
EXPIRE k 0
EXISTS k
SET k v
EXPIRE k -1
EXISTS k
SET k v
PEXPIREAT k -1
EXISTS k
SET k v
EXPIRE k -1 NX
SET k v
EXPIRE k -1 XX
EXPIRE k -1 GT
EXPIRE k -1 LT
EXISTS k
TTL absent
PTTL absent
EXPIRETIME absent
PEXPIRETIME absent
SET k v
EXPIRETIME k
PEXPIRETIME k
# walks
KEYS *
KEYS copy?
KEYS [ck]*
KEYS [^c]*
KEYS nothing*
KEYS ''
SCAN 0 COUNT 100000
SCAN 0 COUNT 100000 MATCH copy*
SCAN 0 MATCH x MATCH copy* COUNT 1 COUNT 100000
SCAN 0 COUNT 100000 TYPE string
SCAN 0 COUNT 100000 TYPE STRING
SCAN 0 COUNT 100000 TYPE hash
SCAN 0 COUNT 100000 TYPE nonsense
SCAN 0 COUNT 9223372036854775807
SCAN a
SCAN ' 0'
SCAN '0 '
SCAN '' COUNT 100000
SCAN +0 COUNT 100000
SCAN -
SCAN +
SCAN 0x0
SCAN 18446744073709551616
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT a
SCAN 0 COUNT
SCAN 0 MATCH
SCAN 0 TYPE
SCAN 0 FOO bar
DBSIZE
RANDOMKEY
OBJECT ENCODING k
OBJECT ENCODING absent
OBJECT REFCOUNT k
OBJECT IDLETIME k
OBJECT FREQ k
OBJECT FREQ absent
OBJECT NOPE k
OBJECT
OBJECT ENCODING
OBJECT ENCODING k k
OBJECT HELP k
SET e 12345678901234567890123456789012345678901234
OBJECT ENCODING e
SET e 123456789012345678901234567890123456789012345
OBJECT ENCODING e
SET e 9223372036854775807
OBJECT ENCODING e
SET e 9223372036854775808
OBJECT ENCODING e
SET e 01
OBJECT ENCODING e
APPEND e 2
OBJECT ENCODING e
SET e 12
SETRANGE e 0 2
OBJECT ENCODING e
COPY e e2
OBJECT ENCODING e2
FLUSHALL FOO
FLUSHALL SYNC ASYNC
FLUSHDB ASYNC
FLUSHALL sync
RANDOMKEY
DBSIZE
KEYS *
SCAN 0
# refusals
NOPE
NOPE a 'b c' ''
GET
GET a b
gEt
INCRBY a
OBJECT nope
COMMAND NOPE
COMMAND COUNT x
COMMAND DOCS nope
COMMAND INFO nope
COMMAND GETKEYS
COMMAND GETKEYS nope a
COMMAND GETKEYS get
COMMAND GETKEYS get k
COMMAND GETKEYS get k b
COMMAND GETKEYS ping a
COMMAND GETKEYS mset a b c d
COMMAND GETKEYS mset a b c
COMMAND GETKEYS lcs a b LEN
COMMAND GETKEYS object freq a
COMMAND GETKEYS object nope a
COMMAND GETKEYS del a b c
COMMAND GETKEYSANDFLAGS rename a b
COMMAND GETKEYSANDFLAGS mset a b c d
COMMAND GETKEYSANDFLAGS set a b
COMMAND GETKEYSANDFLAGS set a b GET
COMMAND GETKEYSANDFLAGS set a get
COMMAND GETKEYSANDFLAGS copy a b
COMMAND GETKEYSANDFLAGS ping b
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY foo bar
COMMAND LIST FILTERBY ACLCAT nope
COMMAND LIST FILTERBY MODULE nope
COMMAND LIST FOO
"""


def by_hand():
    for line in BY_HAND.splitlines():
        if line and not line.startswith("#"):
            yield [word.encode() for word in shlex.split(line)]


# --- random cases ---------------------------------------------------------------------------------

KEYS = [b"a", b"b", b"c", b"n", b"f", b"", b"{user}.x", b"with space", b"\x00\xff\r\n", b"k" * 50]
WORDS = b"EX PX EXAT PXAT KEEPTTL PERSIST NX XX GT LT GET REPLACE DB LEN IDX WITHMATCHLEN".split()
INTEGERS = [
    b"0", b"1", b"-1", b"10", b"100", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775808", b"-0", b"+1", b"01", b" 1", b"1 ", b"", b"1.5", b"a", b"4611686018427387904",
]  # fmt: skip
FLOATS = [
    b"0.1", b"-0.1", b"1e10", b"3.0", b"1e-10", b"-2.5e-5", b"123456789.123456789", b"1e40", b"0x1p4",
    b"nan", b"inf", b"-inf", b"1e5000", b".5", b"5.", b"1e", b"--1",
]  # fmt: skip
BAD_DEADLINES = [b"0", b"-1", b"a", b"9223372036854775807"]
UNIX_TIMES = [b"1", b"99999999999", b"9999999999999", b"0", b"-1", b"x"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def key(self):
        return self.random.choice(KEYS)

    def value(self):
        r = self.random
        kind = r.randrange(6)
        if kind == 0:
            return r.choice(INTEGERS)
        if kind == 1:
            return r.choice(FLOATS)
        if kind == 2:
            return b"%d" % r.randrange(-(2**63), 2**63)
        if kind == 3:
            return bytes(r.randrange(256) for _ in range(r.randrange(12)))
        if kind == 4:
            return bytes(r.choice(b"abc") for _ in range(r.choice([3, 20, 44, 45, 100])))
        return b"%d" % r.randrange(-1000, 1000)

    def deadline(self):
        """Far away, for nothing may fall due while the test runs, and hardly ever the same twice: which of
        two equal ones is later depends on the millisecond in which they come."""
        r = self.random
        return b"%d" % r.randrange(10**6, 10**9) if r.randrange(4) else r.choice(BAD_DEADLINES)

    def set_options(self):
        r = self.random
        out = []
        for _ in range(r.randrange(4)):
            word = r.choice(WORDS)
            out.append(word if r.randrange(2) else word.lower())
            if word in (b"EX", b"PX") and r.randrange(8):
                out.append(self.deadline())
            if word in (b"EXAT", b"PXAT") and r.randrange(8):
                out.append(r.choice(UNIX_TIMES))
        return out

    def expire(self, name):
        r = self.random
        time = r.choice(UNIX_TIMES) if name.endswith(b"AT") else self.deadline()
        return [name, self.key(), time] + r.choices([b"NX", b"XX", b"GT", b"LT"], k=r.choice([0, 0, 1, 2]))

    def range(self):
        return b"%d" % self.random.choice([0, 1, -1, 2, -3, 5, 50, -50, 1000, -1000])

    def lcs(self):
        r = self.random
        words = r.choices([b"LEN", b"IDX", b"WITHMATCHLEN"], k=r.randrange(3))
        if r.randrange(2):
            words += [b"MINMATCHLEN", r.choice([b"0", b"2", b"5", b"-1", b"a"])]
        return [b"LCS", self.key(), self.key()] + words

    def command(self):
        r = self.random
        key, value = self.key, self.value
        shapes = [
            lambda: [b"SET", key(), value()],
            lambda: [b"SET", key(), value()] + self.set_options(),
            lambda: [b"SETNX", key(), value()],
            lambda: [b"SETEX", key(), self.deadline(), value()],
            lambda: [b"PSETEX", key(), self.deadline(), value()],
            lambda: [b"GET", key()],
            lambda: [b"GETEX", key()] + self.set_options(),
            lambda: [b"GETDEL", key()],
            lambda: [b"GETSET", key(), value()],
            lambda: [b"MSET"] + [f() for _ in range(r.randrange(1, 4)) for f in (key, value)],
            lambda: [b"MSETNX"] + [f() for _ in range(r.randrange(1, 3)) for f in (key, value)],
            lambda: [b"MGET"] + [key() for _ in range(r.randrange(1, 5))],
            lambda: [b"APPEND", key(), value()],
            lambda: [b"STRLEN", key()],
            lambda: [r.choice([b"GETRANGE", b"SUBSTR"]), key(), self.range(), self.range()],
            lambda: [b"SETRANGE", key(), self.range(), value()],
            lambda: [r.choice([b"INCR", b"DECR"]), key()],
            lambda: [r.choice([b"INCRBY", b"DECRBY"]), key(), r.choice(INTEGERS)],
            lambda: [b"INCRBYFLOAT", key(), r.choice(FLOATS + INTEGERS)],
            self.lcs,
            lambda: [r.choice([b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"]), key(), key()],
            lambda: [b"TYPE", key()],
            lambda: self.expire(r.choice([b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"])),
            lambda: [r.choice([b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"]), key()],
            lambda: [b"PERSIST", key()],
            lambda: [r.choice([b"RENAME", b"RENAMENX"]), key(), key()],
            lambda: [b"COPY", key(), key()] + r.choice([[], [b"REPLACE"], [b"DB", b"0"], [b"DB"]]),
            lambda: [b"OBJECT", r.choice([b"ENCODING", b"REFCOUNT"]), key()],
            lambda: [b"KEYS", r.choice([b"*", b"?", b"[a-c]", b"*x*", b"[^a]"])],
            lambda: [b"SCAN", b"0", b"COUNT", b"100000"],
            lambda: [b"DBSIZE"],
            lambda: [b"RANDOMKEY"],
        ]
        args = r.choice(shapes)()
        if r.randrange(40) == 0:  # a wrong number of arguments, or a word too many
            if r.randrange(2) and len(args) > 1:
                args.pop()
            else:
                args.append(r.choice(WORDS + [value()]))
        return args

    def commands(self, count):
        for _ in range(count):
            args = self.command()
            if args == [b"DBSIZE"]:  # Redis counts what is due until it meets it
                yield [b"EXISTS"] + KEYS
            yield args

    def round(self):
        # Short rounds keep strings small, so that LCS stays cheap.
        commands = [[b"FLUSHALL"]] + list(self.commands(300))
        return commands + [[b"MGET"] + KEYS] + [[b"PEXPIRETIME", key] for key in KEYS]

    def glob_round(self):
        r = self.random
        letters = b"ab-]["
        pattern_letters = b"ab*?[]^-\\\xff"
        commands = [[b"FLUSHALL"]]
        for _ in range(40):
            commands.append([b"SET", bytes(r.choice(letters) for _ in range(r.randrange(5))), b""])
        commands += [[b"SET", bytes([byte]), b""] for byte in (0, 1, 92, 94, 127, 128, 255)]
        for _ in range(250):
            size = r.randrange(1, 8)
            commands.append([b"KEYS", bytes(r.choice(pattern_letters) for _ in range(size))])
        return commands
