#!/usr/bin/python3
"""One client of a chaos run on redis-py: as a plain client that follows MOVED by hand, or as RedisCluster.
Writes what it saw in the form of chaos_history.h; the keys are those of chaos_workloads.h."""

import argparse
import ctypes
import json
import logging
import random
import signal
import time

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
    WatchError,
)

DONE, NOT_DONE, UNKNOWN = True, False, "unknown"
# These promise that the command did not and will not take effect.
DEFINITE = (BusyLoadingError, ClusterDownError, MasterDownError, MovedError, ReadOnlyError, TryAgainError)
TIMEOUT_S = 1.0
ACCOUNTS = 5
OPENING_BALANCE = 100
LOCK_MS = 600


class Recorder:
    def __init__(self, path, client):
        self.file = open(path, "w", buffering=1)
        self.client = client

    def record(self, call, outcome, error="", **fields):
        line = {"client": self.client, **fields, "call": call, "return": time.monotonic_ns(), "ok": outcome}
        if error:
            line["error"] = error
        self.file.write(json.dumps(line) + "\n")


def reply_in(error):
    """The server's words: a pipeline puts its own before them."""
    return str(error).rpartition("of pipeline caused error: ")[2]


def outcome_of(error):
    if isinstance(error, DEFINITE):
        return NOT_DONE
    if isinstance(error, ResponseError) and not reply_in(error).startswith("UNKNOWN"):
        return NOT_DONE
    return UNKNOWN


class Plain:
    """redis.Redis on whoever leads. Nothing is sent twice."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.turn = random.randrange(len(addresses))
        self.client = None

    def drop(self):
        if self.client is not None:
            self.client.close()
            self.client.connection_pool.disconnect()
            self.client = None

    def connect(self, address=None):
        """False: nobody is there, and nothing was sent."""
        if self.client is not None:
            return True
        if address is None:
            self.turn = (self.turn + 1) % len(self.addresses)
            address = self.addresses[self.turn]
        try:
            client = redis.Redis(
                *address,
                decode_responses=True,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=0.25,
                single_connection_client=True,
            )
        except RedisError:
            return False
        self.client = client
        return True

    def failed(self, error):
        """The outcome that this error means; leads the next call to where it should go."""
        self.drop()
        words = reply_in(error).split()
        if isinstance(error, ResponseError) and words[:1] == ["MOVED"]:  # no class of its own here
            host, port = words[2].rsplit(":", 1)
            self.connect((host, int(port)))
        return outcome_of(error)

    def run(self, *args):
        """(outcome, reply or error, sendings of unknown outcome besides)"""
        if not self.connect():
            time.sleep(0.02)
            return NOT_DONE, "not connected", 0
        try:
            return DONE, self.client.execute_command(*args), 0
        except RedisError as error:
            return self.failed(error), f"{type(error).__name__}: {error}", 0


class Clustered:
    """RedisCluster, which sends a command again after a lost connection, each time after a quarter of a
    second: what took longer may have been sent several times."""

    RETRY_S = 0.25
    RETRIES_MAX = 4

    def __init__(self, addresses):
        self.addresses = addresses
        self.client = None

    def connect(self):
        if self.client is not None:
            return True
        try:
            self.client = RedisCluster(
                startup_nodes=[ClusterNode(*address) for address in self.addresses],
                decode_responses=True,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=0.25,
                cluster_error_retry_attempts=1,
            )
        except Exception:  # redis-py 4.3 meets a cluster without a leader with an IndexError
            return False
        return True

    def run(self, *args):
        if not self.connect():
            time.sleep(0.05)
            return NOT_DONE, "not connected", 0
        begin = time.monotonic()
        try:
            outcome, reply = DONE, self.client.execute_command(*args)
        except Exception as error:  # also TypeError and IndexError, when it looks for the cluster anew
            reply = f"{type(error).__name__}: {error}"
            outcome = outcome_of(error)
            if not isinstance(error, ResponseError):
                self.client = None  # of no use from then on
        extra = min(self.RETRIES_MAX, int((time.monotonic() - begin) / self.RETRY_S))
        return outcome, reply, extra


class Load:
    def __init__(self, arguments):
        addresses = [(host, int(port)) for host, port in (a.rsplit(":", 1) for a in arguments.nodes.split(","))]
        self.arguments = arguments
        self.random = random.Random(arguments.seed)
        self.recorder = Recorder(arguments.history, arguments.first_id)
        self.serial = 0
        self.driver = Clustered(addresses) if arguments.mode == "cluster" else Plain(addresses)
        self.stories = [self.register] * 6 + [self.counter] * 3 + [self.append] * 3
        if arguments.mode == "plain":
            self.stories += [self.swap] * 3 + [self.transfer] * 2 + [self.audit] * 2 + [self.lock] * 2

    def run(self, stopping):
        """Until the time is over, or `stopping` is not empty."""
        end = time.monotonic() + self.arguments.seconds
        while not stopping and time.monotonic() < end:
            self.random.choice(self.stories)()
            time.sleep(self.random.uniform(0, self.arguments.pause_us / 1e6))

    def epoch(self):
        return (time.monotonic_ns() - self.arguments.start_ns) // (self.arguments.epoch_ms * 1_000_000)

    def key(self, kind):
        return f"{kind}:{self.epoch()}:{self.random.randrange(self.arguments.keys)}"

    def unique(self):
        self.serial += 1
        return f"{self.arguments.first_id}.{self.serial}"

    def command(self, fields, *args, result=None):
        """Runs and records one command; result(reply) gives the fields that the reply adds."""
        call = time.monotonic_ns()
        outcome, reply, extra = self.driver.run(*args)
        if fields["op"] != "get":
            for _ in range(extra):
                self.recorder.record(call, UNKNOWN, "perhaps sent again", **fields)
        if outcome is DONE:
            self.recorder.record(call, DONE, **fields, **(result(reply) if result else {}))
            return True, reply
        if fields["op"] == "get":
            fields = {**fields, "value": None}
        self.recorder.record(call, outcome, str(reply), **fields)
        return False, None

    def get(self, key):
        self.command({"op": "get", "key": key}, "GET", key, result=lambda reply: {"value": reply})

    def delete(self, key):
        self.command({"op": "del", "key": key}, "DEL", key, result=lambda reply: {"result": reply})

    def register(self):
        key, what = self.key("reg"), self.random.randrange(10)
        if what < 5:
            self.get(key)
        elif what == 9:
            self.delete(key)
        else:
            value = self.unique()
            self.command({"op": "set", "key": key, "value": value}, "SET", key, value)

    def counter(self):
        key = self.key("ctr")
        if self.random.randrange(3) == 0:
            return self.get(key)
        self.incr(key)

    def incr(self, key):
        return self.command(
            {"op": "incr", "key": key, "value": 1}, "INCR", key, result=lambda reply: {"result": reply}
        )

    def append(self):
        key = self.key("app")
        if self.random.randrange(3) == 0:
            return self.get(key)
        value = self.unique() + ";"
        self.command(
            {"op": "append", "key": key, "value": value}, "APPEND", key, value, result=lambda reply: {"result": reply}
        )

    def swap(self):
        key, what = self.key("cas"), self.random.randrange(10)
        if what < 3:
            return self.get(key)
        if what < 5:
            return self.delete(key)
        value = self.unique()
        if what < 7:
            fields = {"op": "cas", "key": key, "expect": None, "value": value}
            return self.command(fields, "SET", key, value, "NX", result=lambda reply: {"result": reply is not None})
        seen, call, outcome, error, _ = self.transaction(
            [key], lambda pipe: pipe.get(key), lambda seen, pipe: pipe.set(key, value)
        )
        if call is not None:
            result = {"result": True} if outcome is DONE else {}
            self.recorder.record(call, outcome, error, op="cas", key=key, expect=seen, value=value, **result)

    def transaction(self, watched, read, write):
        """(what was read, when EXEC was sent or None, outcome, error, replies)"""
        if not self.driver.connect():
            time.sleep(0.02)
            return None, None, NOT_DONE, "", None
        seen = call = None
        try:
            with self.driver.client.pipeline() as pipe:
                if watched:
                    pipe.watch(*watched)
                    seen = read(pipe)
                pipe.multi()
                write(seen, pipe)
                call = time.monotonic_ns()
                return seen, call, DONE, "", pipe.execute()
        except WatchError as error:
            if str(error) == "Watched variable changed.":
                return seen, call, NOT_DONE, "", None
            # So redis-py calls a connection that was lost, even if EXEC had been sent on it.
            self.driver.drop()
            return seen, call, UNKNOWN, str(error), None
        except RedisError as error:
            outcome = self.driver.failed(error)
            return seen, call, outcome, f"{type(error).__name__}: {reply_in(error)}", None

    def transfer(self):
        bank = f"{{bank:{self.epoch()}}}:"
        source, target = (bank + str(i) for i in self.random.sample(range(ACCOUNTS), 2))
        amount = self.random.randint(1, 20)
        written = []

        def write(seen, pipe):
            balances = [OPENING_BALANCE if value is None else int(value) for value in seen]
            written.extend([str(balances[0] - amount), str(balances[1] + amount)])
            pipe.set(source, written[0])
            pipe.set(target, written[1])

        seen, call, outcome, error, _ = self.transaction([source, target], lambda pipe: pipe.mget(source, target), write)
        if call is None:
            return
        ops = [
            {"op": "get", "key": source, "value": seen[0]},
            {"op": "get", "key": target, "value": seen[1]},
            {"op": "set", "key": source, "value": written[0]},
            {"op": "set", "key": target, "value": written[1]},
        ]
        self.recorder.record(call, outcome, error, op="txn", ops=ops)

    def audit(self):
        keys = [f"{{bank:{self.epoch()}}}:{i}" for i in range(ACCOUNTS)]
        _, call, outcome, _, replies = self.transaction([], None, lambda _, pipe: pipe.mget(keys))
        if outcome is DONE:  # a read without an answer says nothing
            ops = [{"op": "get", "key": key, "value": value} for key, value in zip(keys, replies[0])]
            self.recorder.record(call, DONE, op="txn", ops=ops)

    def lock(self):
        epoch, number = self.epoch(), self.random.randrange(self.arguments.keys)
        key, token = f"lock:{epoch}:{number}", self.unique()
        call = time.monotonic_ns()
        outcome, reply, _ = self.driver.run("SET", key, token, "NX", "PX", LOCK_MS)
        if outcome is not DONE or reply is None:
            return
        held_from = time.monotonic_ns()
        fenced, fence = self.incr(f"fence:{epoch}:{number}")
        time.sleep(self.random.uniform(0, LOCK_MS / 20000))
        released = None
        if self.random.random() < 0.5:
            released = time.monotonic_ns()
            self.release(key, token)
        fields = {"key": key, "ttl_ms": LOCK_MS, "held_from": held_from, "released": released}
        self.recorder.record(call, DONE, op="lock", fence=fence if fenced else None, **fields)

    def release(self, key, token):
        """By comparison: when the time was up meanwhile, it is another's lock."""

        class Lost(RedisError):
            pass

        def write(seen, pipe):
            if seen != token:
                raise Lost("not ours any more")
            pipe.delete(key)

        self.transaction([key], lambda pipe: pipe.get(key), write)


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    logging.disable(logging.CRITICAL)  # RedisCluster reports each retry
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["plain", "cluster"], required=True)
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--history", required=True)
    for name in ("first_id", "seed", "start_ns", "epoch_ms", "keys", "pause_us"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    Load(parser.parse_args()).run(stopping)


if __name__ == "__main__":
    main()
