#!/usr/bin/python3
"""Unmodified clients and tools work: redis-cli, redis-benchmark, redis-py, ioredis, node-redis."""

import os
import subprocess
import threading
import time
import uuid

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException

from cluster import HOST, TIME_FACTOR, ClusterTestCase, main
from node_clients import install_node_clients

# redis-benchmark's -t names and the commands each one sends.
BENCHMARK_TESTS = {
    "ping_inline": ["PING"],
    "ping_mbulk": ["PING"],
    "set": ["SET"],
    "get": ["GET"],
    "incr": ["INCR"],
    "mset": ["MSET"],
    "lpush": ["LPUSH"],
    "rpush": ["RPUSH"],
    "lpop": ["LPOP"],
    "rpop": ["RPOP"],
    "sadd": ["SADD"],
    "hset": ["HSET"],
    "spop": ["SPOP"],
    "zadd": ["ZADD"],
    "zpopmin": ["ZPOPMIN"],
    "lrange_100": ["LPUSH", "LRANGE"],
}
ALWAYS_THERE = {"ping_inline", "ping_mbulk", "set", "get", "incr", "mset"}


def run(*command, stdin=None, seconds=60, **more):
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=seconds * TIME_FACTOR, **more
    )


class RedisCli(ClusterTestCase):
    NODES = 3

    def cli(self, port, *args, stdin=None, options=()):
        result = run("redis-cli", "-p", str(port), *options, *args, stdin=stdin)
        self.assertEqual(result.returncode, 0, result)
        return result.stdout.decode().rstrip("\n")

    def test_it_writes_and_reads_on_the_leader(self):
        leader = self.cluster.wait_leader()
        self.assertEqual(self.cli(leader.port, "SET", "x", "42"), "OK")
        self.assertEqual(self.cli(leader.port, "GET", "x"), "42")

    def test_a_follower_says_where_the_leader_is(self):
        leader = self.cluster.wait_leader()
        follower = self.cluster.followers()[0]
        self.assertEqual(
            self.cli(follower.port, "SET", "x", "42"), f"MOVED 16287 {HOST}:{leader.port}"
        )

    def test_cluster_mode_follows_the_leader(self):
        follower = self.cluster.followers()[0]
        self.assertEqual(self.cli(follower.port, "SET", "followed", "1", options=["-c"]), "OK")
        self.assertEqual(self.cli(follower.port, "GET", "followed", options=["-c"]), "1")

    def test_every_node_names_the_leader(self):
        leader = self.cluster.wait_leader(agreed=True)
        for node in self.cluster.nodes:
            lines = self.cli(node.port, "CLUSTER", "LEADER").splitlines()
            self.assertEqual(lines[:2], [HOST, str(leader.port)])

    def test_it_works_interactively_in_both_protocols(self):
        leader = self.cluster.wait_leader()
        script = b"SET inter active\nGET inter\nHELLO 3\nGET inter\nSELECT 0\nSELECT 1\n"
        for options in ([], ["-3"]):
            output = self.cli(leader.port, stdin=script, options=options)
            self.assertEqual(output.count("active"), 2, output)
            self.assertIn("ERR SELECT is not allowed in cluster mode", output)

    def test_mass_insertion_by_pipe(self):
        leader = self.cluster.wait_leader()
        count = 50000
        stdin = b"".join(b"SET pipe:%d %d\r\n" % (i, i) for i in range(count))
        output = self.cli(leader.port, stdin=stdin, options=["--pipe"])
        self.assertIn(f"errors: 0, replies: {count}", output)
        self.assertEqual(self.cli(leader.port, "GET", "pipe:49999"), "49999")

    def test_its_scans_and_statistics(self):
        leader = self.cluster.wait_leader()
        keys = {f"scanned:{i}" for i in range(100)}
        with leader.connect() as connection:
            connection.pipeline([("SET", key, "x") for key in sorted(keys)])
        output = self.cli(leader.port, options=["--scan", "--pattern", "scanned:*"])
        self.assertEqual(set(output.splitlines()), keys)
        stat = self.cli(leader.port, "INFO")
        self.assertIn("redis_version:", stat)
        nodes = self.cli(leader.port, "CLUSTER", "NODES").splitlines()
        self.assertEqual(len(nodes), 3)
        self.assertEqual(sum("myself" in line for line in nodes), 1)

    def test_its_hints_find_the_commands(self):
        leader = self.cluster.wait_leader()
        docs = self.cli(leader.port, "COMMAND", "DOCS", "SET")
        self.assertIn("summary", docs)
        self.assertGreater(int(self.cli(leader.port, "COMMAND", "COUNT")), 50)


class RedisBenchmark(ClusterTestCase):
    NODES = 3

    def existing(self, node):
        exists = {}
        for test, commands in BENCHMARK_TESTS.items():
            info = node.call("COMMAND", "INFO", *commands)
            exists[test] = all(entry is not None for entry in info)
        return [test for test, there in exists.items() if there]

    def test_every_test_whose_command_exists_runs_without_an_error(self):
        leader = self.cluster.wait_leader()
        tests = self.existing(leader)
        self.assertLessEqual(ALWAYS_THERE, set(tests))
        for test in tests:
            for pipeline in ("1", "16"):
                with self.subTest(test=test, pipeline=pipeline):
                    result = run(
                        *("redis-benchmark", "-p", str(leader.port), "-t", test, "-n", "5000"),
                        *("-c", "20", "-P", pipeline, "-r", "1000", "-d", "64", "--csv"),
                    )
                    output = (result.stdout + result.stderr).decode()
                    self.assertEqual(result.returncode, 0, output)
                    self.assertNotIn("rror", output)
                    self.assertGreaterEqual(len(output.splitlines()), 2, output)


class RedisPy(ClusterTestCase):
    def client(self, node=None, **more):
        node = node or self.cluster.wait_leader()
        client = redis.Redis(HOST, node.port, decode_responses=True, socket_timeout=20, **more)
        self.addCleanup(client.close)
        return client

    def cluster_client(self):
        nodes = [ClusterNode(HOST, node.port) for node in self.cluster.nodes]
        client = RedisCluster(startup_nodes=nodes, decode_responses=True, socket_timeout=20)
        self.addCleanup(client.close)
        return client

    def test_strings_counters_and_expiry(self):
        client = self.client()
        self.assertIs(client.set("py", "value"), True)
        self.assertEqual(client.get("py"), "value")
        self.assertIsNone(client.set("py", "other", nx=True))
        self.assertEqual(client.set("py", "third", get=True), "value")
        client.delete("py:n")
        self.assertEqual([client.incr("py:n"), client.incrby("py:n", 41)], [1, 42])
        self.assertEqual(client.incrbyfloat("py:f", 1.5), 1.5)
        client.mset({"py:a": 1, "py:b": 2})
        self.assertEqual(client.mget("py:a", "py:b", "py:none"), ["1", "2", None])
        self.assertTrue(client.expire("py:a", 100))
        self.assertIn(client.ttl("py:a"), (99, 100))
        self.assertEqual(client.type("py:a"), "string")
        self.assertEqual(set(client.scan_iter("py:[ab]")), {"py:a", "py:b"})

    def test_errors_are_its_own_exceptions(self):
        client = self.client()
        client.set("py:text", "abc")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer"):
            client.incr("py:text")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            client.execute_command("NOSUCHCOMMAND")
        self.assertEqual(client.get("py:text"), "abc")

    def test_pipelines_with_and_without_transaction(self):
        client = self.client()
        for transaction in (True, False):
            client.delete("py:p")
            pipe = client.pipeline(transaction=transaction)
            for _ in range(100):
                pipe.incr("py:p")
            pipe.get("py:p")
            self.assertEqual(pipe.execute(), list(range(1, 101)) + ["100"])

    def test_a_watch_loop_loses_no_update(self):
        self.client().set("py:watched", 0)
        leader = self.cluster.wait_leader()
        aborted = []

        def increment(times):
            client = redis.Redis(HOST, leader.port, socket_timeout=20)
            for _ in range(times):
                with client.pipeline() as pipe:
                    while True:
                        try:
                            pipe.watch("py:watched")
                            value = int(pipe.get("py:watched"))
                            pipe.multi()
                            pipe.set("py:watched", value + 1)
                            pipe.execute()
                            break
                        except redis.WatchError:
                            aborted.append(1)
            client.close()

        threads = [threading.Thread(target=increment, args=(50,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        self.assertEqual(self.client().get("py:watched"), "200")
        self.assertGreater(len(aborted), 0, "nothing ever collided: the test shows nothing")

    def test_a_lock_with_set_nx_px_excludes(self):
        leader = self.cluster.wait_leader()
        inside = []
        collisions = []
        taken = []

        def worker():
            client = redis.Redis(HOST, leader.port, decode_responses=True, socket_timeout=20)
            for _ in range(20):
                token = uuid.uuid4().hex
                while not client.set("py:lock", token, nx=True, px=30000):
                    time.sleep(0.001)
                inside.append(token)
                if len(inside) != 1:
                    collisions.append(token)
                taken.append(token)
                inside.remove(token)
                if client.get("py:lock") == token:
                    client.delete("py:lock")
            client.close()

        threads = [threading.Thread(target=worker) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        self.assertEqual(len(taken), 100)
        self.assertEqual(collisions, [])

    def test_a_lock_frees_itself_by_its_time(self):
        client = self.client()
        self.assertTrue(client.set("py:lease", "me", nx=True, px=300))
        self.assertIsNone(client.set("py:lease", "you", nx=True, px=300))
        end = time.monotonic() + 5
        while not client.set("py:lease", "you", nx=True, px=300):
            self.assertLess(time.monotonic(), end, "the lock never expired")
            time.sleep(0.01)

    def test_the_cluster_client_finds_the_leader(self):
        client = self.cluster_client()
        for i in range(200):
            self.assertTrue(client.set(f"pyc:{i}", i))
        self.assertEqual([client.get(f"pyc:{i}") for i in range(200)], [str(i) for i in range(200)])
        pipe = client.pipeline()
        for i in range(100):
            pipe.get(f"pyc:{i}")
        self.assertEqual(pipe.execute(), [str(i) for i in range(100)])

    def test_the_cluster_client_survives_a_leader_change(self):
        client = self.cluster_client()
        client.set("pyc:survivor", "before")
        leader = self.cluster.wait_leader(agreed=True)
        leader.kill()
        try:
            end = time.monotonic() + 15 * TIME_FACTOR
            while True:
                try:
                    client = client or self.cluster_client()
                    client.set("pyc:survivor", "after")
                    break
                except (redis.RedisError, RedisClusterException, TypeError) as error:
                    # Its own retries end sooner than an election may; a program tries again.
                    self.assertLess(time.monotonic(), end, f"never wrote again: {error!r}")
                    time.sleep(0.05)
                    if not isinstance(error, redis.RedisError):
                        # redis-py 4.3 can't look for the cluster anew once the node it asked first is
                        # dead (it copies a lock); a program has to make a new client.
                        if isinstance(error, TypeError):
                            self.assertIn("cannot pickle '_thread.lock' object", str(error))
                        client = None
            self.assertEqual(client.get("pyc:survivor"), "after")
        finally:
            leader.start()
            self.cluster.wait_all()

    def test_client_and_info_commands_parse(self):
        client = self.client(client_name="integration")
        self.assertEqual(client.client_getname(), "integration")
        self.assertIn("integration", [entry["name"] for entry in client.client_list()])
        self.assertEqual(client.info("server")["redis_mode"], "cluster")
        self.assertEqual(client.info("replication")["role"], "master")
        self.assertEqual(len(client.config_get("maxclients")), 1)
        self.assertGreater(client.time()[0], 1_600_000_000)
        self.assertIn("get", client.command())


class NodeJs(ClusterTestCase):
    NODES = 3

    @classmethod
    def setUpClass(cls):
        cls.home = install_node_clients()
        super().setUpClass()

    def script(self, name):
        leader = self.cluster.wait_leader(agreed=True)
        ports = [str(leader.port)] + [str(n.port) for n in self.cluster.nodes if n is not leader]
        result = run("node", os.path.join(self.home, name), *ports, cwd=self.home, seconds=60)
        output = (result.stdout + result.stderr).decode()
        self.assertEqual(result.returncode, 0, output)
        self.assertIn("all checks passed", output)

    def test_ioredis(self):
        self.script("ioredis_single.js")

    def test_ioredis_cluster(self):
        self.script("ioredis_cluster.js")

    def test_node_redis(self):
        self.script("node_redis_single.js")

    def test_node_redis_cluster(self):
        self.script("node_redis_cluster.js")


if __name__ == "__main__":
    main()
