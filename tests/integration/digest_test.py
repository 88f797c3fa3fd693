#!/usr/bin/python3
"""A node whose data are not what they should be is found by the others, and gets theirs."""

import unittest

from cluster import Cluster, main, until
from recovery_test import check_everywhere, has_snapshot, log_of, snapshots, write

FLAGS = ["--digest_interval=1", "--snapshot_entries=50", "--log_tail_entries=10", "--follower_reads=stale"]

# CRC-64 as RDB files end with it: reflected, this polynomial, no final inversion.
CRC_POLYNOMIAL = 0x95AC9329AC4BC9B5
CRC_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (CRC_POLYNOMIAL if byte & 1 else 0)
    CRC_TABLE.append(byte)


def crc64(data):
    crc = 0
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def alter(path, old, new):
    """A file that is whole, and holds another value."""
    assert len(old) == len(new)
    with open(path, "rb") as file:
        data = file.read()
    body, end = data[:-8], data[-8:]
    assert crc64(body) == int.from_bytes(end, "little"), "this is not how the file is summed up"
    assert body.count(old) == 1, body.count(old)
    body = body.replace(old, new)
    with open(path, "wb") as file:
        file.write(body + crc64(body).to_bytes(8, "little"))


def digest_fields(node):
    return {name: value for name, value in node.raft().items() if name.startswith("raft_digest_")}


class Digests(unittest.TestCase):
    def test_replicas_that_agree_say_so(self):
        with Cluster(3, FLAGS) as cluster:
            write(self, cluster, "key", 30)
            for node in cluster.nodes:
                until(lambda node=node: int(digest_fields(node)["raft_digest_checks"]) > 0, 20, f"{node} compares")
                fields = digest_fields(node)
                self.assertEqual(fields["raft_digest_mismatches"], "0", fields)
                self.assertEqual(fields["raft_digest_undecided"], "0", fields)
                self.assertGreater(int(fields["raft_digest_last_ok_time"]), 1_600_000_000, fields)
                self.assertRegex(fields["raft_digest_last_value"], "^[0-9a-f]{32}$")
            # Nothing new is written: the log comes to rest, for there is nothing to compare.
            last = self.last_index(cluster)
            self.assertEqual(self.last_index(cluster), last)

    def last_index(self, cluster):
        """Once it has stood still for several intervals."""
        seen = []

        def rests():
            seen.append(cluster.wait_leader().raft()["raft_last_index"])
            return len(seen) > 25 and len(set(seen[-25:])) == 1

        until(rests, 30, "the log comes to rest", pause=0.1)
        return seen[-1]

    def test_a_follower_whose_snapshot_holds_another_value(self):
        with Cluster(3, FLAGS) as cluster:
            written = write(self, cluster, "key", 120)
            wrong = cluster.followers()[0]
            until(lambda: has_snapshot(wrong), 20, "a snapshot")
            until(lambda: len(snapshots(wrong)) == 2, 20, "two snapshots")
            wrong.terminate()
            newest = snapshots(wrong)[-1]
            alter(newest, b"\x05key:7\x05key-7", b"\x05key:7\x05key-x")
            pid = wrong.start().process.pid
            cluster.wait_all()
            written |= write(self, cluster, "later", 5)
            until(lambda: wrong.answers() and digest_fields(wrong)["raft_digest_mismatches"] == "1", 30, "it is found")
            cluster.wait_all()
            self.assertEqual(wrong.process.pid, pid, "the process starts itself again")
            until(lambda: wrong.raft()["raft_repairing"] == "0", 20, "it has what it had acknowledged")
            written |= write(self, cluster, "healed", 5)
            check_everywhere(self, cluster, written)
            text = log_of(wrong)
            self.assertIn("THE DATA OF THIS NODE DIFFER FROM THE OTHERS'", text)
            self.assertIn("log and snapshots", text)
            for node in cluster.nodes:
                if node is not wrong:
                    self.assertEqual(digest_fields(node)["raft_digest_mismatches"], "0")
                    self.assertNotIn("DIFFER", log_of(node))
            # It agrees from now on, and remembers what happened in later lives as well.
            until(lambda: int(digest_fields(wrong)["raft_digest_checks"]) > 0, 20, "it compares again")
            fields = digest_fields(wrong)
            self.assertEqual(fields["raft_digest_mismatches"], "1", fields)
            self.assertGreater(int(fields["raft_digest_last_ok_index"]), 0, fields)
            self.assertIn("that of the majority", fields["raft_digest_last_mismatch"])
            wrong.terminate()
            wrong.start()
            cluster.wait_all()
            self.assertEqual(digest_fields(wrong)["raft_digest_mismatches"], "1")
            self.assertEqual(wrong.call("PING"), "PONG")
            check_everywhere(self, cluster, written)


if __name__ == "__main__":
    main()
