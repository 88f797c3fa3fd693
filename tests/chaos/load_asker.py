#!/usr/bin/python3
"""Clients of a chaos run that do not follow the leader: each asks one node for the current registers, again
and again, whether it leads or not, and does not wait for one answer before it asks anew. A node that
thinks that it still leads, or that wakes up with questions waiting, meets them. Only answers are written
down: a refusal says nothing about a key."""

import argparse
import ctypes
import json
import os
import random
import selectors
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from wire import Connection, ConnectionLost, ErrorReply  # noqa: E402

CONNECTIONS_MAX = 30
PATIENCE_S = 4.0


class Asker:
    """Questions to one node, each on a connection that is not busy."""

    def __init__(self, address, client, arguments, file):
        self.address = address
        self.client = client
        self.arguments = arguments
        self.file = file
        self.idle = []
        self.waiting = {}  # connection: (key, call)
        self.random = random.Random(arguments.seed * 31 + client)

    def ask(self, selector):
        if not self.idle:
            if len(self.waiting) >= CONNECTIONS_MAX:
                return
            try:
                self.idle.append(Connection(self.address, timeout=0.25))
            except OSError:
                return
        connection = self.idle.pop()
        epoch = (time.monotonic_ns() - self.arguments.start_ns) // (self.arguments.epoch_ms * 1_000_000)
        key = f"reg:{epoch}:{self.random.randrange(self.arguments.keys)}"
        call = time.monotonic_ns()
        try:
            connection.send("GET", key)
        except (ConnectionLost, OSError):
            connection.close()
            return
        self.waiting[connection] = (key, call)
        selector.register(connection.socket, selectors.EVENT_READ, (self, connection))

    def answer(self, connection):
        key, call = self.waiting.pop(connection)
        try:
            reply = connection.read()
        except (ConnectionLost, OSError):
            connection.close()
            return
        self.idle.append(connection)
        if isinstance(reply, ErrorReply):
            return
        fields = {"client": self.client, "op": "get", "key": key, "value": None if reply is None else reply.decode()}
        self.file.write(json.dumps({**fields, "call": call, "return": time.monotonic_ns(), "ok": True}) + "\n")

    def give_up(self, selector):
        oldest = time.monotonic_ns() - PATIENCE_S * 1e9
        for connection, (_, call) in list(self.waiting.items()):
            if call < oldest:
                selector.unregister(connection.socket)
                del self.waiting[connection]
                connection.close()


def main():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--history", required=True)
    for name in ("first_id", "seed", "seconds", "start_ns", "epoch_ms", "keys", "pause_us"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    selector = selectors.DefaultSelector()
    with open(arguments.history, "w", buffering=1) as file:
        askers = []
        for number, address in enumerate(arguments.nodes.split(",")):
            host, port = address.rsplit(":", 1)
            askers.append(Asker((host, int(port)), arguments.first_id + number, arguments, file))
        end = time.monotonic() + arguments.seconds
        next_ask = time.monotonic()
        while not stopping and time.monotonic() < end:
            for key, _ in selector.select(timeout=max(0.0, next_ask - time.monotonic())):
                asker, connection = key.data
                selector.unregister(key.fileobj)
                asker.answer(connection)
            if time.monotonic() >= next_ask:
                next_ask = time.monotonic() + arguments.pause_us / 1e6
                for asker in askers:
                    asker.ask(selector)
                    asker.give_up(selector)


if __name__ == "__main__":
    main()
