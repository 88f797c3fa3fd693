#!/usr/bin/env python3
"""Sends the same commands to a stock redis-server and to a RaftKV leader and compares the replies.

    diff_redis.py --redis-port 6379 --node-port 7001 [--seed 1] [--rounds 200]

Both servers are emptied first. Replies must be equal byte for byte, except where they may rightly
differ: the order of KEYS, times that were measured some milliseconds apart, the wording of
documentation. Exit code 0: no difference; 1: differences, each printed with what led to it.
"""

import argparse
import socket
import sys
import time

from diff_commands import Generator, by_hand


class Connection:
    """One connection; replies come back as the very bytes and as Python values."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, commands):
        out = bytearray()
        for args in commands:
            out += b"*%d\r\n" % len(args)
            for arg in args:
                out += b"$%d\r\n%s\r\n" % (len(arg), arg)
        self.socket.sendall(out)

    def receive(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("connection closed in the middle of a reply")
        mark, text = line[:1], line[1:-2]
        if mark in b"$=":
            size = int(text)
            if size < 0:
                return line, None
            body = self.file.read(size + 2)
            return line + body, body[:-2]
        if mark in b"*~>%":
            if int(text) < 0:
                return line, None
            raw, values = line, []
            for _ in range(int(text) * (2 if mark == b"%" else 1)):
                part, value = self.receive()
                raw += part
                values.append(value)
            return raw, values
        if mark == b":":
            return line, int(text)
        if mark == b"_":
            return line, None
        return line, (mark.decode(), text)

    def call(self, *args):
        self.send([args])
        return self.receive()


# --- how replies are compared ---------------------------------------------------------------------


def near(bound):
    def compare(a, b):
        (raw_a, value_a), (raw_b, value_b) = a, b
        if isinstance(value_a, int) and isinstance(value_b, int) and value_a >= 0 and value_b >= 0:
            return abs(value_a - value_b) <= bound
        return raw_a == raw_b

    return compare


def exact(a, b):
    return a[0] == b[0]


def unordered(a, b):
    if not isinstance(a[1], list) or not isinstance(b[1], list):
        return exact(a, b)
    return sorted(a[1]) == sorted(b[1])


def scanned(a, b):
    """A whole iteration in one call: the cursor is 0 on both sides."""
    if not isinstance(a[1], list) or not isinstance(b[1], list):
        return exact(a, b)
    return a[1][0] == b[1][0] and sorted(a[1][1]) == sorted(b[1][1])


def same_nullness(a, b):
    return (a[1] is None) == (b[1] is None)


def encoding(a, b):
    # INCRBYFLOAT leaves an "embstr" in Redis even if the result is an integer.
    return a[0] == b[0] or (a[1], b[1]) == (b"embstr", b"int")


def refcount(a, b):
    # Redis shares small integers.
    return (a[1], b[1]) == (2147483647, 1) or exact(a, b)


COMPARE = {
    b"ttl": near(1),
    b"pttl": near(1000),
    b"expiretime": near(1),
    b"pexpiretime": near(1000),
    b"keys": unordered,
    b"scan": scanned,
    b"randomkey": same_nullness,
}
COMPARE_OBJECT = {b"encoding": encoding, b"refcount": refcount, b"idletime": near(10)}


def comparison(args):
    name = args[0].lower() if args else b""
    if name == b"object" and len(args) > 1:
        return COMPARE_OBJECT.get(args[1].lower(), exact)
    return COMPARE.get(name, exact)


class Pair:
    """Both servers, and what was sent since they were last emptied."""

    def __init__(self, redis_port, node_port):
        self.redis = Connection(redis_port)
        self.node = Connection(node_port)
        self.sent = 0
        self.differences = 0

    def run(self, commands, label, apart=False):
        """Apart: Redis gets each command some milliseconds after the last, the node all in one go. A command
        whose reply hangs on the millisecond it comes in differs then for sure, not once in many runs."""
        for i in range(0, len(commands), 200):
            part = commands[i : i + 200]
            self.node.send(part)
            if not apart:
                self.redis.send(part)
            for j, args in enumerate(part):
                if apart:
                    time.sleep(0.002)
                    self.redis.send([args])
                a, b = self.redis.receive(), self.node.receive()
                self.sent += 1
                if not comparison(args)(a, b):
                    self.report(label, commands[max(0, i + j - 12) : i + j], args, a, b)

    def report(self, label, before, args, a, b):
        self.differences += 1
        if self.differences > 25:
            return
        print(f"--- {label}: {show(args)}")
        for earlier in before:
            if any(key in earlier for key in args[1:3]):
                print("      after", show(earlier))
        print("    redis ", shorten(a[0]))
        print("    node  ", shorten(b[0]))


def show(args):
    return " ".join(repr(arg)[1:] if len(arg) < 60 else repr(arg[:57])[1:] + "..." for arg in args)


def shorten(raw):
    return raw if len(raw) <= 300 else raw[:300] + b"..."


# --- COMMAND ----------------------------------------------------------------------------------------

DESCRIBED = b"""
set get getex getdel getset setnx setex psetex mset msetnx mget append strlen getrange setrange substr
incr decr incrby decrby incrbyfloat lcs del unlink exists type touch expire pexpire expireat pexpireat
ttl pttl expiretime pexpiretime persist rename renamenx copy keys scan randomkey dbsize flushall flushdb
object multi exec discard watch unwatch wait command object|encoding object|freq object|idletime
object|refcount object|help command|count command|docs command|getkeys command|getkeysandflags
command|help command|info command|list
""".split()


def pairs_of(values):
    return {values[i]: values[i + 1] for i in range(0, len(values), 2)}


def facts(info):
    """COMMAND INFO without the notes of key specifications, and subcommands by name."""
    specifications = []
    for specification in info[8]:
        fields = pairs_of(specification)
        specifications.append([fields[b"flags"], fields[b"begin_search"], fields[b"find_keys"]])
    return info[:8] + [specifications, sorted(facts(sub) for sub in info[9])]


def arguments(docs):
    """What a client completes by: names, types, tokens and flags of arguments."""
    wanted = (b"name", b"type", b"key_spec_index", b"token", b"flags")
    out = []
    for argument in docs.get(b"arguments", []):
        fields = pairs_of(argument)
        out.append([[name, fields.get(name)] for name in wanted] + [arguments(fields)])
    return out


def compare_descriptions(pair):
    for name in DESCRIBED:
        a, b = (side.call(b"COMMAND", b"INFO", name)[1][0] for side in (pair.redis, pair.node))
        pair.sent += 2
        if facts(a) != facts(b):
            pair.report("COMMAND INFO", [], [name], (repr(facts(a)).encode(),), (repr(facts(b)).encode(),))
        a, b = (pairs_of(side.call(b"COMMAND", b"DOCS", name)[1][1]) for side in (pair.redis, pair.node))
        same = all(a[field] == b[field] for field in (b"since", b"group"))
        if name.startswith(b"command|getkeys"):
            continue  # Redis documents no arguments here
        if not same or arguments(a) != arguments(b):
            pair.report("COMMAND DOCS", [], [name], (repr(a).encode(),), (repr(b).encode(),))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--node-port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()

    pair = Pair(options.redis_port, options.node_port)
    for protocol in (b"2", b"3"):
        for side in (pair.redis, pair.node):
            side.call(b"HELLO", protocol)
            side.call(b"FLUSHALL")
        pair.run(list(by_hand()), "by hand, RESP" + protocol.decode(), apart=True)
        compare_descriptions(pair)
        generator = Generator(f"{options.seed}/{protocol.decode()}")
        for number in range(options.rounds // 2):
            pair.run(generator.round(), f"seed {options.seed} round {number}")
            if number % 4 == 0:
                pair.run(generator.glob_round(), f"seed {options.seed} patterns {number}")
    print(f"{pair.sent} commands, {pair.differences} differences")
    return 1 if pair.differences else 0


if __name__ == "__main__":
    sys.exit(main())
