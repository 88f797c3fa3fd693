#!/usr/bin/python3
"""Writes in sessions are executed once: leaders die, connections break, and the counters are exact."""

import json
import subprocess
import time

from cluster import CLI, TIME_FACTOR, ClusterTestCase, main, until
from wire import ErrorReply

KILLS = 3
KEYS = 10


class ExactlyOnce(ClusterTestCase):
    NODES = 3

    def test_increments_across_kills_of_the_leader_are_neither_lost_nor_done_twice(self):
        self.assertIsInstance(self.cluster.call("FLUSHALL"), str)
        bench = subprocess.Popen(
            [CLI, "bench", "--nodes", self.cluster.node_list, "--once", "--incr", "--json"]
            + ["--clients", "4", "--pipeline", "5", "--keyspace", str(KEYS)]
            + ["--duration_s", str(round(8 * TIME_FACTOR)), "--timeout_ms", str(int(20000 * TIME_FACTOR))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for _ in range(KILLS):
                leader = self.cluster.wait_leader(agreed=True)
                applied = int(leader.raft()["raft_applied_index"])
                until(lambda at=leader, n=applied: int(at.raft()["raft_applied_index"]) > n + 50, 10, "load")
                leader.kill()
                self.cluster.wait_leader(besides=leader)
                leader.start()
                until(leader.answers, 20, f"{leader} answers after its restart")
                self.cluster.wait_caught_up(leader)
            self.assertIsNone(bench.poll(), "the load ended before the kills did")
            out, err = bench.communicate(timeout=60 * TIME_FACTOR)
        finally:
            bench.kill()
        figures = json.loads(out)
        self.assertEqual((figures["unknown"], figures["errors"]), (0, 0), err)
        self.assertGreater(figures["writes"], 200)
        counters = self.cluster.call("MGET", *(f"bench:{i:012d}" for i in range(KEYS)))
        self.assertEqual(sum(int(value or 0) for value in counters), figures["writes"])
        # How many is a matter of luck: a killed leader may take what it had not yet replicated with it.
        duplicates = sum(int(node.raft()["raft_once_duplicates"]) for node in self.cluster.nodes)
        print(f"\n{figures['writes']} increments, {duplicates} retries answered by replicas", flush=True)
        until(lambda: self.cluster.call("RAFT.SESSION", "LIST") == [], 10, "the clients close their sessions")

    def test_a_retry_gets_the_first_answer_after_a_failover_and_after_a_restart_of_all(self):
        self.cluster.call("SET", "n", "41")
        session = self.cluster.call("RAFT.SESSION", "OPEN")
        call = ("RAFT.ONCE", session, 1, "INCR", "n")
        self.assertEqual(self.cluster.call(*call), 42)
        leader = self.cluster.wait_leader(agreed=True)
        leader.kill()
        self.cluster.wait_leader(besides=leader)
        self.assertEqual(self.cluster.call(*call), 42)
        leader.start()
        for node in self.cluster.nodes:
            until(node.answers, 20, f"{node} answers")
        for node in self.cluster.nodes:
            node.kill()
        for node in self.cluster.nodes:
            node.start()
        self.cluster.wait_all(30)
        self.assertEqual(self.cluster.call(*call), 42)
        self.assertEqual(self.cluster.call("GET", "n"), b"42")
        self.assertEqual(self.cluster.call("RAFT.SESSION", "CLOSE", session), 1)
        self.assertEqual(self.cluster.call(*call).code, "NOSESSION")

    def test_a_session_expires_and_says_so(self):
        session = self.cluster.call("RAFT.SESSION", "OPEN", "TTL", 1)
        self.assertIsInstance(self.cluster.call("RAFT.ONCE", session, 1, "INCR", "expiring"), int)
        time.sleep(1.5)
        reply = self.cluster.call("RAFT.ONCE", session, 1, "INCR", "expiring")
        self.assertIsInstance(reply, ErrorReply)
        self.assertEqual(reply.code, "NOSESSION")
        self.assertEqual(self.cluster.call("GET", "expiring"), b"1")

    def test_the_command_line_client_increments_once(self):
        for expected in range(1, 4):
            result = self.cluster.run_cli("incr", "--key", "by-cli")
            self.assertEqual((result.returncode, result.stdout), (0, f"{expected}\n"), result.stderr)


if __name__ == "__main__":
    main()
