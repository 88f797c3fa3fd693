#!/usr/bin/python3
"""Disks that fill up: writes are refused in words, reads go on, and nothing that was acknowledged is
missing when there is room again. Each node has a small file system of its own, so this needs root."""

import os
import subprocess
import unittest

from cluster import Cluster, main, until
from wire import ConnectionLost, ErrorReply

# A node refuses writes while less than 352 MiB are free, and takes them again from 384 MiB on.
DISK_BYTES = 640 << 20


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} (root is needed): {result.stderr.strip()}")


class SmallDisks(Cluster):
    def __init__(self, nodes, flags=()):
        super().__init__(nodes, flags)
        self.mounted = []

    def start(self):
        for node in self.nodes:
            disk = os.path.join(node.home, "disk")
            os.makedirs(disk)
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk)
            self.mounted.append(disk)
            node.data_dir = os.path.join(disk, "data")
        return super().start()

    def close(self, keep=False):
        self.kill_all()
        while self.mounted:
            run("umount", "--lazy", self.mounted.pop())
        super().close(keep)


def ballast(node):
    return os.path.join(os.path.dirname(node.data_dir), "ballast")


def fill(node):
    """To the last block."""
    with open(ballast(node), "ab", buffering=0) as file:
        size = 1 << 20
        while size >= 4096:
            try:
                if file.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2


def says_full(node):
    return node.info("persistence")["aof_last_write_status"] == "err"


class DiskFull(unittest.TestCase):
    def check(self, cluster, written):
        for key, value in written.items():
            self.assertEqual(cluster.call("GET", key), value.encode(), key)

    def write(self, cluster, written, name, count=50):
        for i in range(count):
            key, value = f"{name}:{i}", f"{name}-{i}"
            self.assertEqual(cluster.call("SET", key, value), "OK", key)
            written[key] = value

    def test_all_disks_fill_and_are_emptied(self):
        with SmallDisks(3) as cluster:
            written = {}
            self.write(cluster, written, "before")
            for node in cluster.nodes:
                fill(node)
            for node in cluster.nodes:
                until(lambda node=node: says_full(node), 10, f"{node} notices that its disk is full")
            pids = [node.process.pid for node in cluster.nodes]
            refusal = cluster.call("SET", "before:0", "full")
            self.assertIsInstance(refusal, ErrorReply)
            self.assertTrue(refusal.startswith("MISCONF the disk of this node is full"), refusal)
            self.check(cluster, written)
            for node in cluster.nodes:
                os.remove(ballast(node))
            for node in cluster.nodes:
                until(lambda node=node: not says_full(node), 10, f"{node} notices that there is room")
            self.write(cluster, written, "after")
            self.check(cluster, written)
            self.assertEqual(pids, [node.process.pid for node in cluster.nodes])
            self.assertTrue(all(node.alive() for node in cluster.nodes))
            for node in cluster.nodes:
                node.expected_to_end = True
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            cluster.wait_all()
            self.check(cluster, written)

    def test_one_full_disk_stops_nobody(self):
        with SmallDisks(3) as cluster:
            written = {}
            self.write(cluster, written, "before")
            full = cluster.wait_leader(agreed=True)
            fill(full)
            until(lambda: says_full(full), 10, f"{full} notices that its disk is full")

            def moved():
                try:
                    leader = cluster.wait_leader()
                    return leader is not full and leader.call("SET", "probe", "x") == "OK"
                except (OSError, ConnectionLost):
                    return False

            until(moved, 15, "another node leads and takes writes")
            self.write(cluster, written, "meanwhile", 100)
            self.check(cluster, written)
            self.assertTrue(full.alive())
            os.remove(ballast(full))
            until(lambda: not says_full(full), 10, f"{full} notices that there is room")
            cluster.wait_caught_up(full)
            self.write(cluster, written, "after")
            cluster.wait_caught_up(full)
            self.check(cluster, written)


if __name__ == "__main__":
    main()
