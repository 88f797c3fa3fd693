#!/usr/bin/python3
"""What all nodes do alike, since they have the same log, they do not do at the same moment."""

import glob
import os
import unittest

from cluster import Cluster, main, until
from recovery_test import snapshots

MIB = 1 << 20
MEMTABLE = 32 * MIB
# By its id, node 1 begins at 0.62 of the period, node 2 at 0.24, node 3 at 0.85.
FLAGS = [f"--snapshot_log_bytes={MEMTABLE}"]
VALUE = b"v" * 4096


def has_table(node):
    return glob.glob(os.path.join(node.data_dir, "log", "*.sst")) != []


class Stagger(unittest.TestCase):
    def write_bytes(self, cluster, count):
        with cluster.wait_leader().connect() as leader:
            for _ in range(count // len(VALUE) // 64):
                for reply in leader.pipeline([("SET", f"key:{i}", VALUE) for i in range(64)]):
                    self.assertEqual(reply, "OK")
        for node in cluster.nodes:
            cluster.wait_caught_up(node)

    def expect_begun(self, cluster, expected):
        """Those nodes have flushed their log and taken a snapshot, and no others."""
        for node in cluster.nodes:
            if node.id in expected:
                until(lambda node=node: has_table(node), 60, f"{node} flushes its log")
                until(lambda node=node: snapshots(node), 60, f"{node} takes a snapshot")
        for node in cluster.nodes:
            if node.id not in expected:
                self.assertFalse(has_table(node), f"{node} has flushed its log")
                self.assertEqual(snapshots(node), [], f"{node} has a snapshot")

    def test_flushes_and_snapshots_by_bytes_come_one_after_another(self):
        with Cluster(nodes=3, flags=FLAGS) as cluster:
            self.write_bytes(cluster, 14 * MIB)
            self.expect_begun(cluster, [2])
            self.write_bytes(cluster, 10 * MIB)
            self.expect_begun(cluster, [1, 2])
            self.write_bytes(cluster, 6 * MIB)
            self.expect_begun(cluster, [1, 2, 3])


if __name__ == "__main__":
    main()
