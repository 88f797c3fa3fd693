#!/usr/bin/python3
"""Leaders die under load: nothing acknowledged is lost, and writes go on within a second.

By hand, for the distribution of recovery times:  failover_test.py --kills 20
"""

import statistics
import sys
import time

from cluster import TIME_FACTOR, ClusterTestCase, main, until
from load import Load, check_writes, first_acknowledged_after
from wire import ErrorReply, encode

KILLS = 3
RECOVERY_LIMIT_S = 1.0


class FailoverUnderLoad(ClusterTestCase):
    def test_writes_go_on_within_a_second_of_a_kill_and_nothing_acknowledged_is_lost(self):
        kills = []
        with Load(self.cluster) as load:
            load.wait_acknowledged_after(0, seconds=10)
            for _ in range(KILLS):
                leader = self.cluster.wait_leader(agreed=True)
                time.sleep(0.5)  # load between two kills, so that each one interrupts something
                killed_at = leader.kill()
                dead_at = time.monotonic()
                kills.append((killed_at, dead_at))
                load.wait_acknowledged_after(dead_at, seconds=15)
                # The old leader comes back as a follower and catches up, under load.
                leader.start()
                until(leader.answers, 20, f"{leader} answers after its restart")
                self.cluster.wait_caught_up(leader)
                self.assertIsNot(self.cluster.wait_leader(), leader)
            records = load.finish()
        recoveries = [
            first_acknowledged_after(records, dead_at) - killed_at for killed_at, dead_at in kills
        ]
        self.report(recoveries)
        counts = check_writes(self, self.cluster, records)
        print("acknowledged %d, refused %d, unknown %d" % counts, flush=True)
        for node in self.cluster.nodes:
            self.cluster.wait_caught_up(node)
        self.assertLess(max(recoveries), RECOVERY_LIMIT_S * TIME_FACTOR)

    @staticmethod
    def report(recoveries):
        ordered = sorted(recoveries)
        print(
            f"\nkill -9 of the leader to the next acknowledged write, {len(ordered)} kills: "
            f"median {statistics.median(ordered) * 1000:.0f} ms, min {ordered[0] * 1000:.0f}, "
            f"max {ordered[-1] * 1000:.0f}; all: " + " ".join(f"{s * 1000:.0f}" for s in ordered),
            flush=True,
        )

    def test_a_kill_of_all_nodes_at_once_loses_nothing_acknowledged(self):
        with Load(self.cluster) as load:
            load.wait_acknowledged_after(time.monotonic() + 1.0, seconds=10)
            for node in self.cluster.nodes:
                node.expected_to_end = True
                node.process.kill()
            for node in self.cluster.nodes:
                node.process.wait(timeout=20)
            dead_at = time.monotonic()
            for node in self.cluster.nodes:
                node.start()
            self.cluster.wait_all(30)
            load.wait_acknowledged_after(dead_at, seconds=20)
            records = load.finish()
        check_writes(self, self.cluster, records)
        for node in self.cluster.nodes:
            self.cluster.wait_caught_up(node)

    def test_a_minority_without_leader_refuses_writes_and_recovers(self):
        leader = self.cluster.wait_leader(agreed=True)
        self.assertEqual(leader.call("SET", "minority", "before"), "OK")
        others = [node for node in self.cluster.nodes if node is not leader]
        for node in others[:3]:
            node.kill()
        survivor = others[3]

        def refused():
            reply = survivor.call("SET", "minority", "during")
            return isinstance(reply, ErrorReply) and reply.code == "CLUSTERDOWN"

        until(refused, 10, "a node of a minority says CLUSTERDOWN")
        for node in others[:3]:
            node.start()
        self.cluster.wait_all()
        self.assertEqual(self.cluster.call("GET", "minority"), b"before")

    def test_a_follower_that_was_away_catches_up(self):
        leader = self.cluster.wait_leader(agreed=True)
        away = next(node for node in self.cluster.nodes if node is not leader)
        away.kill()
        with leader.connect() as connection:
            replies = connection.pipeline([("SET", f"away:{i}", "x" * 100) for i in range(20000)])
        self.assertEqual(replies, ["OK"] * 20000)
        away.start()
        until(away.answers, 20, f"{away} answers")
        self.cluster.wait_caught_up(away)
        with away.connect() as connection:
            self.assertEqual(connection.call("READONLY"), "OK")
            self.assertEqual(connection.call("GET", "away:19999"), b"x" * 100)


class PausedLeader:
    """SIGSTOP for five seconds: what the node was asked meanwhile is never answered from the past."""

    PAUSE_S = 5.0

    def test_a_leader_that_was_paused_never_answers_from_the_past(self):
        cluster = self.cluster
        leader = cluster.wait_leader(agreed=True)
        self.assertEqual(leader.call("SET", "paused", "old"), "OK")
        with leader.connect(timeout=20) as asked, leader.connect(timeout=20) as asked_late:
            self.assertEqual(asked.call("GET", "paused"), b"old")
            self.assertEqual(asked_late.call("PING"), "PONG")
            leader.pause()
            paused_at = time.monotonic()
            try:
                asked.send_raw(encode("GET", "paused") * 200)
                successor = cluster.wait_leader(10, besides=leader)
                self.assertEqual(successor.call("SET", "paused", "new"), "OK")
                asked.send_raw(encode("GET", "paused") * 200)
                asked_late.send_raw(encode("GET", "paused") * 200)
                asked_late.send_raw(encode("SET", "written-to-the-paused", "lost or refused"))
                time.sleep(max(0.0, paused_at + self.PAUSE_S - time.monotonic()))
            finally:
                leader.resume()
            with leader.connect() as fresh:
                fresh.send_raw(encode("GET", "paused") * 50)
                replies = [asked.read() for _ in range(400)]
                replies += [asked_late.read() for _ in range(200)]
                write_reply = asked_late.read()
                replies += [fresh.read() for _ in range(50)]
        for reply in replies:
            if isinstance(reply, ErrorReply):
                self.assertTrue(reply.definite, reply)
            else:
                self.assertEqual(reply, b"new")
        self.assertEqual(len(replies), 650)
        cluster.wait_leader(10, agreed=True)
        kept = cluster.call("GET", "written-to-the-paused")
        if write_reply == "OK":
            self.assertEqual(kept, b"lost or refused")
        elif write_reply.definite:
            self.assertIsNone(kept)
        else:
            self.assertEqual(write_reply.code, "UNKNOWN")


class PausedLeaderWithReadIndex(PausedLeader, ClusterTestCase):
    NODES = 3


class PausedLeaderWithLease(PausedLeader, ClusterTestCase):
    NODES = 3
    FLAGS = ("--read_mode=lease",)


if __name__ == "__main__":
    if "--kills" in sys.argv:
        at = sys.argv.index("--kills")
        KILLS = int(sys.argv[at + 1])
        del sys.argv[at : at + 2]
        sys.argv.append("FailoverUnderLoad." + "test_writes_go_on_within_a_second_of_a_kill_and_nothing_acknowledged_is_lost")
    main()
