#!/usr/bin/python3
"""Files and dumped values go between this and a stock Redis, both ways."""

import json
import os
import shutil
import subprocess
import tempfile
import threading

from cluster import (
    BUILD_DIR,
    HOST,
    SERVER,
    TIME_FACTOR,
    Cluster,
    ClusterTestCase,
    die_with_parent,
    free_port_base,
    main,
    until,
)
from wire import Connection, ConnectionLost, ErrorReply

TOOL = os.path.join(BUILD_DIR, "rdb_tool")
FUTURE = 4102444800000  # the year 2100

# Every form that Redis gives a string, in a file and in a dump.
VALUES = {
    **{f"number:{n}": str(n) for n in (0, 1, -1, 127, -128, 128, -129, 32767, -32769, 2**31 - 1, -(2**31))},
    **{f"large:{n}": str(n) for n in (2**31, 2**63 - 1, -(2**63))},
    **{f"no-number:{n}": n for n in ("", "+1", "007", "1.5", "-0", "12345678901234567890")},
    **{f"text:{n}": "t" * n for n in (1, 20, 21, 44, 45, 63, 64, 16383, 16384, 300000)},
    "bytes": b"\x00\r\n\xff'\"\\",
    "noise": os.urandom(5000),
}


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


class StockRedis:
    """Debian's redis-check-rdb is the server itself under another name, and comes without a service."""

    def __init__(self, folder, *arguments):
        self.port = free_port_base(1)
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", HOST, "--save", "", "--dir", folder, *arguments],
            executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"),
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        until(self.answers, 20 * TIME_FACTOR, "Redis answers")

    def connect(self):
        return Connection((HOST, self.port))

    def answers(self):
        try:
            with self.connect() as connection:
                return connection.call("PING") == "PONG"
        except OSError:
            return False

    def call(self, *args):
        with self.connect() as connection:
            return connection.call(*args)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def tool(*args):
    return subprocess.run([TOOL, *args], capture_output=True, text=True, timeout=60 * TIME_FACTOR)


# Elections are no business of these tests, and a busy machine should not bring them about.
PATIENT = ("--election_timeout_ms=3000", "--disk_stall_ms=20000")


class Rdb(ClusterTestCase):
    NODES = 3
    FLAGS = PATIENT

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.cluster.call("FLUSHALL")

    def redis(self, *arguments):
        server = StockRedis(self.folder, *arguments)
        self.addCleanup(server.close)
        return server

    def keys_in(self, path):
        """{key: (value, deadline)}, all bytes, as our reader sees the file."""
        result = tool("read", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        keys = {}
        for line in result.stdout.splitlines():
            key, value, deadline = line.split(" ")
            keys[bytes.fromhex(key)] = (bytes.fromhex(value), int(deadline))
        return keys

    def saved(self, redis):
        self.assertEqual(redis.call("SAVE"), "OK")
        return os.path.join(self.folder, "dump.rdb")

    def written_by_us(self):
        folder = os.path.join(self.folder, "snapshots")
        result = tool("varied", folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        return os.path.join(folder, "snapshot-7-3.rdb")

    def test_redis_check_rdb_accepts_our_file(self):
        result = subprocess.run(
            ["redis-check-rdb", self.written_by_us()], capture_output=True, text=True, errors="replace", timeout=60
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("Checksum OK", result.stdout)
        self.assertIn("RDB looks OK", result.stdout)

    def test_a_stock_redis_loads_our_file_with_the_same_data(self):
        path = self.written_by_us()
        expected = self.keys_in(path)
        self.assertGreater(len(expected), 50)
        shutil.copy(path, os.path.join(self.folder, "dump.rdb"))
        redis = self.redis()
        self.assertEqual(redis.call("DBSIZE"), len(expected))
        with redis.connect() as connection:
            for key, (value, deadline) in expected.items():
                self.assertEqual(as_bytes(connection.call("GET", key)), value, key)
                self.assertEqual(connection.call("PEXPIRETIME", key), deadline, key)

    def test_dumps_of_a_stock_redis_are_read(self):
        for policy, compression in (("noeviction", "yes"), ("allkeys-lru", "no"), ("allkeys-lfu", "yes")):
            with self.subTest(policy=policy):
                redis = self.redis("--maxmemory-policy", policy, "--maxmemory", "1gb", "--rdbcompression", compression)
                with redis.connect() as connection:
                    connection.call("FLUSHALL")
                    for number, (key, value) in enumerate(VALUES.items()):
                        deadline = ("PXAT", FUTURE + number) if number % 2 else ()
                        self.assertEqual(connection.call("SET", key, value, *deadline), "OK")
                keys = self.keys_in(self.saved(redis))
                expected = {
                    as_bytes(key): (as_bytes(value), FUTURE + number if number % 2 else -1)
                    for number, (key, value) in enumerate(VALUES.items())
                }
                self.assertEqual(keys, expected)
                redis.close()
                os.remove(os.path.join(self.folder, "dump.rdb"))

    def test_values_go_both_ways_as_dumps(self):
        redis = self.redis()
        with redis.connect() as theirs, self.cluster.wait_leader(agreed=True).connect() as ours:
            for key, value in VALUES.items():
                value = as_bytes(value)
                theirs.call("SET", key, value)
                self.assertEqual(ours.call("RESTORE", key, 0, theirs.call("DUMP", key)), "OK", key)
                self.assertEqual(as_bytes(ours.call("GET", key)), value, key)
                encodings = [c.call("OBJECT", "ENCODING", key) for c in (ours, theirs)]
                self.assertEqual(encodings[0], encodings[1], key)
                reply = theirs.call("RESTORE", key, FUTURE, ours.call("DUMP", key), "REPLACE", "ABSTTL")
                self.assertEqual(reply, "OK", key)
                self.assertEqual(as_bytes(theirs.call("GET", key)), value, key)
            self.assertIn("Bad data format", ours.call("RESTORE", "l", 0, self.dumped_list(theirs)))

    def dumped_list(self, connection):
        connection.call("RPUSH", "list", "a", "b")
        return connection.call("DUMP", "list")

    def test_errors_of_restore_are_those_of_redis(self):
        redis = self.redis()
        with redis.connect() as theirs, self.cluster.wait_leader(agreed=True).connect() as ours:
            theirs.call("SET", "k", "v")
            payload = theirs.call("DUMP", "k")
            ours.call("SET", "k", "v")
            damaged = payload[:1] + bytes([payload[1] ^ 1]) + payload[2:]
            for args in (
                ("k", 0, payload),
                ("k", -1, payload, "REPLACE"),
                ("k", "x", payload, "REPLACE"),
                ("k", 0, damaged, "REPLACE"),
                ("k", 0, "", "REPLACE"),
                ("k", 0, payload, "REPLACE", "FREQ", 256),
                ("k", 0, payload, "REPLACE", "IDLETIME", -1),
                ("k", 0, payload, "REPLACE", "IDLETIME", 1, "FREQ", 1),
                ("k", 0, payload, "NOSUCH"),
                ("k", 1, payload, "REPLACE", "ABSTTL"),
                ("k", 0, payload, "REPLACE", "FREQ", 5),
            ):
                self.assertEqual(ours.call("RESTORE", *args), theirs.call("RESTORE", *args), args)
                self.assertEqual(ours.call("EXISTS", "k"), theirs.call("EXISTS", "k"), args)
                for connection in (ours, theirs):
                    connection.call("SET", "k", "v")

    def test_import_brings_a_dump_in_and_survives_a_change_of_leaders(self):
        redis = self.redis()
        count = 20000
        with redis.connect() as connection:
            connection.pipeline([("SET", f"k:{i}", f"value {i}", "PXAT", FUTURE + i) for i in range(count)])
        path = self.saved(redis)
        leader = self.cluster.wait_leader(agreed=True)

        def kill_when_under_way():
            until(lambda: self.size() > count // 20, 60 * TIME_FACTOR, "the import is under way")
            leader.kill()

        killer = threading.Thread(target=kill_when_under_way)
        killer.start()
        result = self.cluster.run_cli("import", path, "--pipeline", "50", seconds=180 * TIME_FACTOR)
        killer.join()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"keys={count} imported={count} expired=0 existing=0", result.stdout)
        self.assertFalse(leader.alive())
        leader.start()
        self.assertEqual(self.cluster.call("DBSIZE"), count)
        self.assertEqual(self.cluster.call("GET", "k:77"), b"value 77")
        self.assertEqual(self.cluster.call("PEXPIRETIME", "k:77"), FUTURE + 77)
        # A second time it changes nothing and says so; what differs is left alone.
        self.cluster.call("SET", "k:5", "mine")
        again = self.cluster.run_cli("import", path, seconds=180 * TIME_FACTOR)
        self.assertEqual(again.returncode, 1)
        self.assertIn("existing=1", again.stdout)
        self.assertIn("'k:5'", again.stderr)
        self.assertEqual(self.cluster.call("GET", "k:5"), b"mine")

    def fill(self, connection):
        """VALUES with and without deadlines: {key: (value, deadline)}, all bytes."""
        expected = {}
        for number, (key, value) in enumerate(VALUES.items()):
            deadline = FUTURE + number if number % 2 else -1
            reply = connection.call("SET", key, value, *(("PXAT", deadline) if deadline != -1 else ()))
            self.assertEqual(reply, "OK", key)
            expected[as_bytes(key)] = (as_bytes(value), deadline)
        return expected

    def same_data(self, connection, expected):
        self.assertEqual(connection.call("DBSIZE"), len(expected))
        for key, (value, deadline) in expected.items():
            self.assertEqual(as_bytes(connection.call("GET", key)), value, key)
            self.assertEqual(connection.call("PEXPIRETIME", key), deadline, key)

    def export(self, *flags):
        path = os.path.join(self.folder, "dump.rdb")
        result = self.cluster.run_cli("export", "--out", path, "--json", *flags)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(os.listdir(self.folder), ["dump.rdb"])
        return path, json.loads(result.stdout)

    def test_an_export_is_loaded_by_a_stock_redis_with_the_same_data(self):
        with self.cluster.wait_leader(agreed=True).connect() as ours:
            expected = self.fill(ours)
        # So that it comes in several parts.
        for number in range(12):
            noise = os.urandom(200_000)
            self.assertEqual(self.cluster.call("SET", f"noise:{number}", noise), "OK")
            expected[b"noise:%d" % number] = (noise, -1)
        path, facts = self.export()
        self.assertEqual(facts["keys"], len(expected))
        self.assertEqual(facts["bytes"], os.path.getsize(path))
        checked = subprocess.run(
            ["redis-check-rdb", path], capture_output=True, text=True, errors="replace", timeout=60 * TIME_FACTOR
        )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertIn("Checksum OK", checked.stdout)
        self.assertIn("RDB looks OK", checked.stdout)
        redis = self.redis()
        with redis.connect() as theirs:
            self.same_data(theirs, expected)
        redis.close()
        self.assertEqual(self.keys_in(path), expected)

    def test_an_export_is_of_one_moment_and_has_all_that_was_acknowledged(self):
        """Two keys that change together. (A leader that is lost costs the writer some transactions.)"""
        stop = threading.Event()
        totals = []

        def transfer():
            while not stop.is_set():
                try:
                    with self.cluster.wait_leader().connect() as connection:
                        while not stop.is_set():
                            commands = [("MULTI",), ("INCR", "left"), ("DECR", "right"), ("EXEC",)]
                            done = connection.pipeline(commands)[-1]
                            if not isinstance(done, list):
                                break
                            totals.append(done[0])
                except (OSError, ConnectionLost):
                    continue

        for begin in range(0, 20000, 2000):
            filler = [word for i in range(begin, begin + 2000) for word in (f"filler:{i}", "x" * 100)]
            self.assertEqual(self.cluster.call("MSET", *filler), "OK")
        writer = threading.Thread(target=transfer)
        writer.start()
        try:
            for node in (None, *self.cluster.nodes):
                until(lambda before=len(totals): len(totals) > before + 10, 20, "writes go on")
                acknowledged = totals[-1]
                path, facts = self.export("--replace", *(("--node", str(node.id)) if node else ()))
                if node:
                    self.assertEqual(facts["node"], node.id)
                keys = self.keys_in(path)
                left, right = int(keys[b"left"][0]), int(keys[b"right"][0])
                self.assertEqual(left, -right, "half of a transaction")
                self.assertGreaterEqual(left, acknowledged)
                self.assertEqual(len(keys), 20002)
        finally:
            stop.set()
            writer.join()

    def test_a_snapshot_is_taken_of_the_node_that_is_asked(self):
        leader = self.cluster.wait_leader(agreed=True)
        leader.call("SET", "k", "v")
        for node in self.cluster.nodes:
            result = self.cluster.run_cli("snapshot", "--node", str(node.id), "--json")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            facts = json.loads(result.stdout)
            self.assertEqual(facts["node"], node.id)
            raft = node.raft()
            self.assertEqual(facts["index"], int(raft["raft_snapshot_index"]))
            file = os.path.join(node.data_dir, "snapshots", f"snapshot-{facts['index']}-{facts['term']}.rdb")
            self.assertEqual(facts["bytes"], os.path.getsize(file))
        self.assertIn(f"n{leader.id} ", self.cluster.run_cli("snapshot").stdout)

    def test_a_dump_begins_a_new_cluster_that_others_join(self):
        redis = self.redis()
        with redis.connect() as theirs:
            expected = self.fill(theirs)
            theirs.call("SET", "soon", "gone", "PX", 1)
        path = self.saved(redis)
        with Cluster(1, (*PATIENT, f"--import_rdb={path}"), spare=2) as cluster:
            cluster.flags = list(PATIENT)
            first = cluster.nodes[0]
            with first.connect() as ours:
                self.same_data(ours, expected)
                self.assertEqual(ours.call("SET", "new", "1"), "OK")
            expected[b"new"] = (b"1", -1)
            for node_id in (2, 3):
                node = cluster.new_node(node_id)
                until(node.answers, 20, f"{node} answers")
                added = cluster.run_cli(
                    "members", "add", "--id", str(node_id),
                    "--client", f"{HOST}:{node.port}", "--peer", f"{HOST}:{node.peer_port}",
                )  # fmt: skip
                self.assertEqual(added.returncode, 0, added)
                cluster.wait_caught_up(node)
                with node.connect() as reader:
                    reader.call("READONLY")
                    self.same_data(reader, expected)
            first.terminate()
            again = subprocess.run(
                [*first.arguments(), f"--import_rdb={path}"], capture_output=True, text=True, timeout=20 * TIME_FACTOR
            )
            self.assertEqual(again.returncode, 1)
            self.assertIn("fills only a fresh data directory", again.stderr)
            first.start()
            cluster.wait_all()
            cluster.wait_caught_up(first)
            with first.connect() as reader:
                reader.call("READONLY")
                self.same_data(reader, expected)

    def test_a_dump_with_what_has_no_place_here_begins_no_cluster(self):
        redis = self.redis()
        with redis.connect() as theirs:
            theirs.call("SET", "good", "v")
            theirs.call("RPUSH", "queue", "a")
        path = self.saved(redis)
        data = os.path.join(self.folder, "data")
        base = free_port_base(1)
        result = subprocess.run(
            [SERVER, f"--import_rdb={path}", f"--data_dir={data}", f"--listen={HOST}:{base}"],
            capture_output=True,
            text=True,
            timeout=20 * TIME_FACTOR,
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("key 'queue' is a list", result.stderr)
        self.assertFalse(os.path.exists(data))

    def size(self):
        try:
            reply = self.cluster.wait_leader().call("DBSIZE")
            return 0 if isinstance(reply, ErrorReply) else reply
        except (OSError, ConnectionError):
            return 0

    def test_a_dump_with_what_has_no_place_here_is_refused_as_a_whole(self):
        redis = self.redis()
        for command in (
            ("RPUSH", "q", "a"),
            ("SADD", "q", "1"),
            ("ZADD", "q", "1", "a"),
            ("HSET", "q", "f", "v"),
            ("XADD", "q", "*", "f", "v"),
        ):
            with redis.connect() as connection:
                connection.call("FLUSHALL")
                connection.call("SET", "good", "v")
                connection.call(*command)
                name = connection.call("TYPE", "q")
            result = self.cluster.run_cli("import", self.saved(redis))
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"key 'q' is a {name}", result.stderr)
            self.assertIn("nothing was sent", result.stderr)
        with redis.connect() as connection:
            connection.call("FLUSHALL")
            connection.call("SELECT", 3)
            connection.call("SET", "k", "v")
        result = self.cluster.run_cli("import", self.saved(redis))
        self.assertIn("database 3", result.stderr)
        self.assertEqual(self.cluster.call("DBSIZE"), 0)


if __name__ == "__main__":
    main()
