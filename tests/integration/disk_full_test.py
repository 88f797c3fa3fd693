#!/usr/bin/python3
"""Disks that fill up: writes are refused in words, reads go on, and nothing that was acknowledged is
missing when there is room again. Each node has a small file system of its own, so this needs root."""

import glob
import os
import re
import subprocess
import threading
import time
import unittest

from cluster import TIME_FACTOR, Cluster, main, until
from load import read_all
from wire import ConnectionLost, ErrorReply

# A node refuses writes while less than 352 MiB are free, and takes them again from 384 MiB on.
DISK_BYTES = 640 << 20


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} (root is needed): {result.stderr.strip()}")


class SmallDisks(Cluster):
    def __init__(self, nodes, flags=(), disk_bytes=DISK_BYTES):
        super().__init__(nodes, flags)
        self.disk_bytes = disk_bytes
        self.mounted = []

    def start(self):
        for node in self.nodes:
            disk = os.path.join(node.home, "disk")
            os.makedirs(disk)
            run("mount", "-t", "tmpfs", "-o", f"size={self.disk_bytes}", "tmpfs", disk)
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


def resize(node, size):
    """Whether it could be done: a tmpfs can't become smaller than what it holds."""
    command = ("mount", "-o", f"remount,size={size}", "tmpfs", os.path.dirname(node.data_dir))
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0


def take_the_room(node):
    """All of it, and at once, whatever is being written."""
    for spare in range(0, 64 << 20, 32 << 10):
        disk = os.statvfs(os.path.dirname(node.data_dir))
        if resize(node, (disk.f_blocks - disk.f_bfree) * disk.f_frsize + spare):
            return
    raise AssertionError(f"the disk of {node} can't be made smaller")


def table_files(node):
    return set(glob.glob(os.path.join(node.data_dir, "log", "*.sst")))


def rocksdb_met_the_end(node):
    with open(node.log_path, errors="replace") as log:
        return re.search("RocksDB: .*No space left on device", log.read()) is not None


class BigWriter(threading.Thread):
    """Values of 30 KB, so that table files are written all the time."""

    DEPTH = 8

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.prefix = name
        self.ending = threading.Event()
        self.acknowledged, self.refused = [], []

    @staticmethod
    def value(key):
        return f"{key}-" + "x" * 30_000

    def run(self):
        serial = 0
        while not self.ending.is_set():
            try:
                with self.cluster.wait_leader().connect() as leader:
                    whole = True
                    while whole and not self.ending.is_set():
                        keys = [f"{self.prefix}:{serial + i}" for i in range(self.DEPTH)]
                        serial += self.DEPTH
                        replies = leader.pipeline([("SET", key, self.value(key)) for key in keys])
                        for key, reply in zip(keys, replies):
                            if reply == "OK":
                                self.acknowledged.append(key)
                            elif reply.definite or reply.code == "MISCONF":
                                self.refused.append(key)
                        whole = replies[-1:] == ["OK"]
            except (OSError, ConnectionLost):
                pass
            self.ending.wait(0.05)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(30 * TIME_FACTOR)


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

    def check_big(self, node, writers):
        keys = [key for writer in writers for key in writer.acknowledged]
        self.assertGreater(len(keys), 0)
        for start in range(0, len(keys), 500):
            for key, value in read_all(node, keys[start : start + 500], batch=100).items():
                self.assertTrue(value == BigWriter.value(key), f"{key} is lost or wrong")
        refused = [key for writer in writers for key in writer.refused]
        self.assertEqual([key for key, value in read_all(node, refused).items() if value is not None], [])

    def agree(self, cluster):
        goal = int(cluster.wait_leader().raft()["raft_applied_index"])
        self.assertEqual(cluster.call("SET", "one", "more"), "OK")
        for node in cluster.nodes:
            until(lambda node=node: int(node.raft()["raft_digest_last_ok_index"]) > goal, 20, f"{node} agrees")
            self.assertEqual(node.raft()["raft_digest_mismatches"], "0")

    def stop_while_it_writes_a_table_file(self, cluster):
        """A follower that is paused with a part of a table file on its disk. (Not the leader: with all
        disks full it has no successor.)"""
        def in_the_middle(path):
            try:
                return 1 << 20 <= os.path.getsize(path) <= 24 << 20  # of 32 MiB
            except FileNotFoundError:
                return False

        followers = cluster.followers()
        old = {path for node in followers for path in table_files(node)}

        def caught():
            for node in followers:
                for path in table_files(node) - old:
                    if in_the_middle(path):
                        node.pause()
                        if in_the_middle(path):
                            return node
                        node.resume()
            return None

        return until(caught, 30, "a node is caught while it writes a table file", pause=0.001)

    def take_the_room_while_a_table_file_is_written(self, cluster):
        """Returns when RocksDB ran into the end, and all nodes say that their disks are full."""
        caught = self.stop_while_it_writes_a_table_file(cluster)
        for node in cluster.nodes:
            take_the_room(node)
        caught.resume()
        until(lambda: rocksdb_met_the_end(caught), 10, f"{caught} meets the end of its disk")
        for node in cluster.nodes:
            until(lambda node=node: says_full(node), 10, f"{node} notices that its disk is full")

    def give_room(self, cluster):
        for node in cluster.nodes:
            self.assertTrue(resize(node, cluster.disk_bytes))
        for node in cluster.nodes:
            until(lambda node=node: not says_full(node), 20, f"{node} notices that there is room")

    def test_a_disk_ends_in_the_middle_of_a_table_file(self):
        """RocksDB's flush fails behind writes that it had accepted, and it refuses every further one."""
        with SmallDisks(3, ["--digest_interval=1"], disk_bytes=1 << 30) as cluster:
            written = {}
            self.write(cluster, written, "before")
            pids = [node.process.pid for node in cluster.nodes]
            with BigWriter(cluster, "big-a") as a, BigWriter(cluster, "big-b") as b:
                self.take_the_room_while_a_table_file_is_written(cluster)
                refusal = cluster.wait_leader().call("SET", "before:0", "full")
                self.assertIsInstance(refusal, ErrorReply)
                self.assertTrue(refusal.startswith("MISCONF the disk of this node is full"), refusal)
                self.check(cluster, written)
                self.give_room(cluster)
                acknowledged = len(a.acknowledged) + len(b.acknowledged)
                until(lambda: len(a.acknowledged) + len(b.acknowledged) > acknowledged + 50, 20, "writes go on")
            self.assertEqual(pids, [node.process.pid for node in cluster.nodes])
            self.assertTrue(all(node.alive() for node in cluster.nodes))
            self.check(cluster, written)
            self.check_big(cluster.wait_leader(), (a, b))
            self.agree(cluster)
            for node in cluster.nodes:
                node.expected_to_end = True
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            cluster.wait_all()
            self.check(cluster, written)
            self.check_big(cluster.wait_leader(), (a, b))
            self.agree(cluster)


if __name__ == "__main__":
    main()
