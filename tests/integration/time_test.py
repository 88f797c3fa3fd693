#!/usr/bin/python3
"""Expiry across failovers: a key is gone at its time on every node, and what was gone never returns."""

import time

from cluster import ClusterTestCase, LeaderClient, main
from wire import ConnectionLost, ErrorReply


class Expiry(ClusterTestCase):
    NODES = 3

    def test_a_key_seen_expired_never_returns_and_none_is_shown_past_its_time(self):
        cluster = self.cluster
        leader = cluster.wait_leader(agreed=True)
        # Deadlines on both sides of the failover that follows, some right in the middle of it.
        spans = {f"ttl:{i}": (0.2 + 0.02 * i) for i in range(150)}
        written = {}
        with leader.connect() as connection:
            for key, span in spans.items():
                before = time.monotonic()
                self.assertEqual(connection.call("SET", key, "v", "PX", int(span * 1000)), "OK")
                written[key] = (before, time.monotonic())
        client = LeaderClient(cluster.addresses, timeout=2.0)
        gone = set()
        shown_late, returned, lost_early = [], [], []
        end = max(after + spans[key] for key, (_, after) in written.items()) + 0.5
        kill_at = time.monotonic() + 0.4
        killed = False
        while time.monotonic() < end:
            if not killed and time.monotonic() > kill_at:
                leader.kill()
                killed = True
            keys = list(spans)
            asked = time.monotonic()
            try:
                values = client.call("MGET", *keys)
            except (ConnectionLost, TimeoutError):
                continue
            answered = time.monotonic()
            self.assertIsInstance(values, list, values)
            for key, value in zip(keys, values):
                before, after = written[key]
                if value is None:
                    gone.add(key)
                    if answered < before + spans[key] - 0.005:
                        lost_early.append(key)
                    continue
                if key in gone:
                    returned.append(key)
                if asked > after + spans[key] + 0.005:
                    shown_late.append((key, asked - after - spans[key]))
            time.sleep(0.005)
        client.close()
        self.assertTrue(killed)
        self.assertEqual(returned, [], "keys that were gone came back")
        self.assertEqual(shown_late, [], "keys were shown past their time")
        self.assertEqual(lost_early, [], "keys were gone before their time")
        self.assertEqual(gone, set(spans))
        leader.start()
        cluster.wait_all()

    def test_the_time_to_live_goes_on_at_the_new_leader(self):
        cluster = self.cluster
        leader = cluster.wait_leader(agreed=True)
        before = time.monotonic()
        self.assertEqual(leader.call("SET", "pttl", "v", "PX", "60000"), "OK")
        after = time.monotonic()
        self.assertEqual(leader.call("SET", "for-ever", "v"), "OK")
        deadline = leader.call("PEXPIRETIME", "pttl")
        leader.kill()
        client = LeaderClient(cluster.addresses)
        asked = time.monotonic()
        left = client.call("PTTL", "pttl")
        answered = time.monotonic()
        self.assertIsInstance(left, int, left)
        self.assertGreaterEqual(left, 60000 - (answered - before) * 1000 - 5)
        self.assertLessEqual(left, 60000 - (asked - after) * 1000 + 5)
        self.assertEqual(client.call("PEXPIRETIME", "pttl"), deadline)
        self.assertEqual(client.call("PTTL", "for-ever"), -1)
        self.assertEqual(client.call("PTTL", "never-written"), -2)
        client.close()
        leader.start()
        cluster.wait_all()

    def test_all_nodes_agree_on_what_expired(self):
        cluster = self.cluster
        leader = cluster.wait_leader(agreed=True)
        with leader.connect() as connection:
            connection.call("FLUSHALL")
            connection.pipeline([("SET", f"short:{i}", "v", "PX", "200") for i in range(500)])
            connection.pipeline([("SET", f"long:{i}", "v", "PX", "600000") for i in range(100)])
        end = time.monotonic() + 10
        sizes = None
        while time.monotonic() < end:
            sizes = []
            for node in cluster.nodes:
                with node.connect() as connection:
                    connection.call("READONLY")
                    sizes.append(connection.call("DBSIZE"))
            if sizes == [100] * 3:
                break
            time.sleep(0.05)
        self.assertEqual(sizes, [100] * 3)


class StaleReads(ClusterTestCase):
    NODES = 3

    def test_a_follower_answers_reads_after_readonly_and_redirects_after_readwrite(self):
        leader = self.cluster.wait_leader(agreed=True)
        follower = self.cluster.followers()[0]
        self.assertEqual(leader.call("SET", "stale", "1"), "OK")
        self.cluster.wait_caught_up(follower)
        with follower.connect() as connection:
            refused = connection.call("GET", "stale")
            self.assertIsInstance(refused, ErrorReply)
            self.assertEqual(refused.code, "MOVED")
            self.assertEqual(connection.call("READONLY"), "OK")
            self.assertEqual(connection.call("GET", "stale"), b"1")
            refused = connection.call("SET", "stale", "2")
            self.assertIsInstance(refused, ErrorReply)
            self.assertEqual(refused.code, "MOVED")
            self.assertEqual(connection.call("READWRITE"), "OK")
            self.assertEqual(connection.call("GET", "stale").code, "MOVED")

    def test_a_follower_that_answers_reads_catches_up_with_the_leader(self):
        leader = self.cluster.wait_leader(agreed=True)
        follower = self.cluster.followers()[0]
        with follower.connect() as reader, leader.connect() as writer:
            self.assertEqual(reader.call("READONLY"), "OK")
            seen = []
            for i in range(300):
                self.assertEqual(writer.call("SET", "ladder", i), "OK")
                value = reader.call("GET", "ladder")
                seen.append(-1 if value is None else int(value))
            self.assertEqual(seen, sorted(seen), "a replica never goes back in time")
            self.cluster.wait_caught_up(follower)
            self.assertEqual(reader.call("GET", "ladder"), b"299")


if __name__ == "__main__":
    main()
