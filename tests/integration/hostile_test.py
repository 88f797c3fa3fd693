#!/usr/bin/python3
"""Bad input costs the connection that sent it, and nothing else."""

import os
import random
import resource
import socket
import threading
import time

from cluster import HOST, MEMORY_FACTOR, TIME_FACTOR, Cluster, ClusterTestCase, main, until
from wire import Connection, ConnectionLost, ErrorReply, encode

MIB = 1 << 20


class Bystander:
    """A well-behaved client beside the hostile ones: one write and one read, again and again."""

    def __init__(self, node):
        self.node = node
        self.slowest = 0.0
        self.rounds = 0
        self.error = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            with self.node.connect(timeout=20) as connection:
                while not self.stop.is_set():
                    started = time.monotonic()
                    value = str(self.rounds)
                    if connection.call("SET", "bystander", value) != "OK":
                        raise AssertionError("a write was refused")
                    if connection.call("GET", "bystander") != value.encode():
                        raise AssertionError("a read was wrong")
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.rounds += 1
                    time.sleep(0.002)
        except Exception as error:  # reported by the test's thread
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            until(lambda: self.rounds >= 5 or self.error, 20, "the bystander is served")
        self.stop.set()
        self.thread.join(timeout=30)
        if kind is None and self.error is not None:
            raise self.error


def election_timeout(ms):
    """What the test demands stays the same under sanitizers: time for the same work."""
    return f"--election_timeout_ms={round(ms * TIME_FACTOR)}"


class Hostile(ClusterTestCase):
    NODES = 3
    FLAGS = (election_timeout(400),)  # the default
    # Room for the noise of a busy machine; an election meanwhile is seen by the term in any case.
    LATENCY_LIMIT_S = 1.0

    def setUp(self):
        super().setUp()
        self.leader = self.cluster.wait_leader(agreed=True)
        self.term = self.leader.raft()["raft_term"]
        self.assertEqual(self.leader.call("SET", "kept", "safe"), "OK")

    def tearDown(self):
        # Nothing was lost, and nobody had to elect a new leader.
        for node in self.cluster.nodes:
            self.assertTrue(node.alive(), f"{node} ended: {node.log_tail()}")
        self.assertEqual(self.leader.call("GET", "kept"), b"safe")
        self.assertEqual(self.leader.raft()["raft_term"], self.term)

    def assert_bystander_was_fine(self, bystander):
        self.assertLess(bystander.slowest, self.LATENCY_LIMIT_S * TIME_FACTOR)

    def refused(self, data, text):
        """The bytes get this error, after what came before is answered, and the connection ends."""
        with self.leader.connect() as connection:
            connection.send_raw(encode("PING") + data)
            self.assertEqual(connection.read(), "PONG")
            reply = connection.read()
            self.assertIsInstance(reply, ErrorReply)
            self.assertEqual(reply, text)
            self.assertTrue(connection.closed_within(5), "the connection stays open")

    def test_breaches_of_the_protocol_get_the_texts_of_redis_and_end_the_connection(self):
        cases = [
            (b"*abc\r\n", "ERR Protocol error: invalid multibulk length"),
            (b"*1048577\r\n", "ERR Protocol error: invalid multibulk length"),
            (b"*99999999999999999999\r\n", "ERR Protocol error: invalid multibulk length"),
            (b"*1\r\n#3\r\n", "ERR Protocol error: expected '$', got '#'"),
            (b"*2\r\n$3\r\nGET\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'"),
            (b"*1\r\n$abc\r\n", "ERR Protocol error: invalid bulk length"),
            (b"*1\r\n$-2\r\n", "ERR Protocol error: invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length"),
            (b"*1" + b"1" * 70000, "ERR Protocol error: too big mbulk count string"),
            (b"*1\r\n$1" + b"1" * 70000, "ERR Protocol error: too big bulk count string"),
            (b"A" * 70000, "ERR Protocol error: too big inline request"),
            (b'SET x "unbalanced\r\n', "ERR Protocol error: unbalanced quotes in request"),
        ]
        for data, text in cases:
            with self.subTest(data=data[:30]):
                self.refused(data, text)

    def test_what_looks_odd_but_is_allowed_gets_no_error(self):
        with self.leader.connect() as connection:
            connection.send_raw(b"\r\n\r\n*0\r\n*-1\r\nPING\r\n" + b'SET "a b" \'c\'\r\n' + b"GET 'a b'\n")
            self.assertEqual([connection.read() for _ in range(3)], ["PONG", "OK", b"c"])

    def test_unknown_commands_and_wrong_arity_keep_the_connection(self):
        with self.leader.connect() as connection:
            long_name = "Y" * 5000
            replies = connection.pipeline(
                [("NOSUCH", "a", "b"), (long_name,), ("GET",), ("SET", "k"), ("",), ("CLIENT", "NOSUCH"), ("PING",)]
            )
            self.assertEqual(replies[0], "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ")
            self.assertTrue(replies[1].startswith("ERR unknown command 'YYY"))
            self.assertLess(len(replies[1]), 400)
            self.assertEqual(replies[2], "ERR wrong number of arguments for 'get' command")
            self.assertEqual(replies[3], "ERR wrong number of arguments for 'set' command")
            self.assertTrue(replies[4].startswith("ERR unknown command ''"), replies[4])
            self.assertEqual(replies[5], "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.")
            self.assertEqual(replies[6], "PONG")

    def throw(self, port, make, connections):
        """Sends what make() gives on many connections, reads a little, and goes away rudely."""
        for _ in range(connections):
            try:
                with socket.create_connection((HOST, port), timeout=5) as raw:
                    raw.settimeout(0.02)
                    raw.sendall(make())
                    try:
                        raw.recv(65536)
                    except socket.timeout:
                        pass
            except OSError:
                pass  # the node may close first

    def test_random_bytes_on_the_client_port_disturb_nobody(self):
        rng = random.Random(1)
        valid = encode("SET", "noise", "x" * 50) + encode("GET", "noise") + b"PING\r\n"

        def noise():
            if rng.random() < 0.5:
                return rng.randbytes(rng.randrange(1, 3000))
            damaged = bytearray(valid * rng.randrange(1, 10))
            for _ in range(rng.randrange(1, 10)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            return bytes(damaged[: rng.randrange(1, len(damaged))])

        with Bystander(self.leader) as bystander:
            for node in self.cluster.nodes:
                self.throw(node.port, noise, 150)
        self.assert_bystander_was_fine(bystander)

    def test_random_bytes_on_the_peer_port_disturb_nobody(self):
        rng = random.Random(2)

        def noise():
            size = rng.randrange(1, 3000)
            if rng.random() < 0.3:  # a huge length first, in either byte order
                return rng.choice([b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x08"]) + rng.randbytes(size)
            if rng.random() < 0.3:  # a client that lost its way
                return encode("SET", "x", "y") * 10
            return rng.randbytes(size)

        with Bystander(self.leader) as bystander:
            for node in self.cluster.nodes:
                self.throw(node.peer_port, noise, 150)
        self.assert_bystander_was_fine(bystander)

    def test_connections_that_say_nothing_or_half_a_request_disturb_nobody(self):
        held = []
        try:
            with Bystander(self.leader) as bystander:
                for node in self.cluster.nodes:
                    for i in range(40):
                        for port in (node.port, node.peer_port):
                            raw = socket.create_connection((HOST, port), timeout=5)
                            held.append(raw)
                            if i % 2:
                                raw.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nha")
                time.sleep(1)
            self.assert_bystander_was_fine(bystander)
        finally:
            for raw in held:
                raw.close()

    def test_a_thousand_idle_connections_are_served(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        idle = []
        try:
            with Bystander(self.leader) as bystander:
                for _ in range(1000):
                    idle.append(Connection(self.leader.address, timeout=20))
                for connection in idle:
                    connection.send("PING")
                for connection in idle:
                    self.assertEqual(connection.read(), "PONG")
                self.assertGreaterEqual(int(self.leader.info("clients")["connected_clients"]), 1000)
            self.assert_bystander_was_fine(bystander)
        finally:
            for connection in idle:
                connection.close()
        until(
            lambda: int(self.leader.info("clients")["connected_clients"]) < 50, 10, "closed connections are noticed"
        )

    def test_promised_but_unsent_bulks_take_no_memory(self):
        before = self.leader.resident_bytes()
        held = []
        try:
            for _ in range(100):
                connection = self.leader.connect()
                connection.send_raw(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$500000000\r\n" + b"x" * 1000)
                held.append(connection)
            self.assertEqual(self.leader.call("PING"), "PONG")
            time.sleep(0.5)
            self.assertLess(self.leader.resident_bytes() - before, 200 * MIB * MEMORY_FACTOR)
        finally:
            for connection in held:
                connection.close()

    def test_slow_readers_of_big_replies_are_held_back_and_lose_nothing(self):
        value = os.urandom(MIB // 2).hex().encode()
        self.assertEqual(self.leader.call("SET", "big", value), "OK")
        before = self.leader.resident_bytes()
        readers, requests = 20, 100  # two gigabytes, if the node kept it all
        connections = [self.leader.connect(timeout=60) for _ in range(readers)]
        try:
            with Bystander(self.leader) as bystander:
                for connection in connections:
                    connection.send_raw(encode("GET", "big") * requests)
                time.sleep(2)
                peak = self.leader.resident_bytes()
                self.assertLess(peak - before, 400 * MIB * MEMORY_FACTOR)
                # One of them wakes up: it gets every byte.
                for _ in range(requests):
                    self.assertEqual(connections[0].read(), value)
                self.assertEqual(connections[0].call("PING"), "PONG")
                peak = max(peak, self.leader.resident_bytes())
                self.assertLess(peak - before, 400 * MIB * MEMORY_FACTOR)
            self.assert_bystander_was_fine(bystander)
        finally:
            for connection in connections:
                connection.close()
        self.assertEqual(self.leader.call("DEL", "big"), 1)

    def test_a_writer_that_never_reads_is_held_back(self):
        before = self.leader.resident_bytes()
        with Bystander(self.leader) as bystander:
            raw = socket.create_connection(self.leader.address, timeout=5)
            raw.settimeout(1.0)
            sent = 0
            request = b"".join(encode("SET", f"unread:{i % 100}", "x" * 100) for i in range(1000))
            try:
                while sent < 200 * MIB:
                    sent += raw.send(request)
            except socket.timeout:
                pass  # held back, as it should be
            growth = self.leader.resident_bytes() - before
            raw.close()
        self.assertLess(growth, 400 * MIB * MEMORY_FACTOR)
        self.assert_bystander_was_fine(bystander)

    def test_large_values_are_written_and_read_whole(self):
        for size in (100_000, 5 * MIB):
            self.write_and_read(self.leader, os.urandom(size))
        # On a slow machine each step with so much takes longer than the defaults bear.
        patience = [election_timeout(3000), f"--disk_stall_ms={round(20000 * TIME_FACTOR)}"]
        with Cluster(3, flags=patience) as patient:
            self.write_and_read(patient.wait_leader(agreed=True), os.urandom(30 * MIB))

    def write_and_read(self, leader, value):
        with leader.connect(timeout=60) as connection:
            self.assertEqual(connection.call("SET", "large", value), "OK")
            self.assertEqual(connection.call("GET", "large"), value)
        self.assertEqual(leader.call("DEL", "large"), 1)

    def test_a_command_larger_than_an_entry_may_be_is_refused_before_the_log(self):
        limit = int(self.leader.call("CONFIG", "GET", "max_entry_bytes")[1])
        last = self.leader.raft()["raft_last_index"]
        with self.leader.connect(timeout=60) as connection:
            reply = connection.call("SET", "too-large", b"x" * (limit + 1))
            self.assertIsInstance(reply, ErrorReply)
            self.assertEqual(reply.code, "ERR")
            self.assertEqual(connection.call("PING"), "PONG", "the connection goes on")
            self.assertIsNone(connection.call("GET", "too-large"))
        self.assertLessEqual(int(self.leader.raft()["raft_last_index"]) - int(last), 5)


class ClientLimit(ClusterTestCase):
    NODES = 1
    FLAGS = ("--maxclients=20",)

    def test_one_client_too_many_gets_an_error_and_the_others_go_on(self):
        node = self.cluster.nodes[0]
        held = []
        refused = 0
        try:
            for _ in range(30):
                connection = node.connect()
                try:
                    reply = connection.call("PING")
                except ConnectionLost:
                    reply = connection.address and "lost"
                if reply == "PONG":
                    held.append(connection)
                else:
                    self.assertEqual(reply, "ERR max number of clients reached")
                    connection.close()
                    refused += 1
            self.assertEqual((len(held), refused), (20, 10))
            for connection in held:
                self.assertEqual(connection.call("SET", "x", "1"), "OK")
        finally:
            for connection in held:
                connection.close()
        until(node.answers, 5, "there is room again")


if __name__ == "__main__":
    main()
