#!/usr/bin/python3
"""What is left when much is lost: a majority, a directory, some bytes of a file."""

import glob
import os
import re
import shutil
import subprocess
import unittest

from cluster import HOST, SERVER, TIME_FACTOR, Cluster, Node, main, until

SNAPSHOTS = ["--snapshot_entries=50", "--log_tail_entries=10"]


def write(test, cluster, name, count):
    """Each write an entry of its own; returns what was acknowledged."""
    written = {}
    with cluster.wait_leader().connect() as leader:
        for i in range(count):
            key, value = f"{name}:{i}", f"{name}-{i}"
            test.assertEqual(leader.call("SET", key, value), "OK", key)
            written[key] = value.encode()
    return written


def check_at(test, node, written):
    """By `node` itself, as far as it has applied."""
    with node.connect() as connection:
        connection.call("READONLY")
        for key, value in written.items():
            test.assertEqual(connection.call("GET", key), value, f"{key} at {node}")


def check_everywhere(test, cluster, written):
    for node in cluster.nodes:
        cluster.wait_caught_up(node)
        check_at(test, node, written)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def snapshots(node):
    files = glob.glob(os.path.join(node.data_dir, "snapshots", "snapshot-*.rdb"))
    return sorted(files, key=lambda path: [int(n) for n in re.findall(r"\d+", os.path.basename(path))])


def has_snapshot(node):
    return int(node.raft()["raft_snapshot_index"]) > 0 and snapshots(node)


def log_of(node):
    with open(node.log_path, errors="replace") as log:
        return log.read()


def force(node, *flags):
    return subprocess.run(
        [SERVER, "--force_new_cluster", f"--node_id={node.id}", f"--data_dir={node.data_dir}", *flags],
        capture_output=True,
        text=True,
        timeout=30 * TIME_FACTOR,
    )


class Recovery(unittest.TestCase):
    def lose_the_majority(self, flags):
        with Cluster(3, flags, spare=2) as cluster:
            written = write(self, cluster, "before", 120)
            last = cluster.nodes[0]
            cluster.wait_caught_up(last)
            refusal = force(last)
            self.assertNotEqual(refusal.returncode, 0)
            self.assertIn("is in use by process", refusal.stderr)
            old_id = cluster.cluster_id()
            for node in cluster.nodes:
                node.kill()
            for node in cluster.nodes[1:]:
                shutil.rmtree(node.data_dir)
            listen = (f"--listen={HOST}:{last.port}", f"--peer_listen={HOST}:{last.peer_port}")
            reported = force(last, *listen)
            self.assertEqual(reported.returncode, 0, reported)
            self.assertIn("Nothing was changed", reported.stdout)
            self.assertIn(old_id, reported.stdout)
            done = force(last, *listen, "--yes_i_accept_data_loss")
            self.assertEqual(done.returncode, 0, done)
            new_id = re.search(r"new cluster id +([0-9a-f]{40})", done.stdout).group(1)
            self.assertNotEqual(new_id, old_id)
            cluster.known_cluster_id = new_id
            cluster.nodes = [last]
            last.join = True  # no --cluster any more, and --cluster_id
            last.arguments = lambda: [one for one in Node.arguments(last) if one != "--join"]
            last.start()
            cluster.wait_all()
            check_at(self, last, written)
            written |= write(self, cluster, "alone", 20)
            for node_id in (4, 5):
                node = cluster.new_node(node_id)
                until(node.answers, 20, f"{node} answers")
                added = cluster.run_cli(
                    "members", "add", "--id", str(node_id),
                    "--client", f"{HOST}:{node.port}", "--peer", f"{HOST}:{node.peer_port}",
                )  # fmt: skip
                self.assertEqual(added.returncode, 0, added)
            written |= write(self, cluster, "three", 20)
            check_everywhere(self, cluster, written)
            last.kill()
            cluster.nodes.remove(last)
            cluster.call("SET", "without", "it")

    def test_a_lost_majority_is_overcome_by_log(self):
        self.lose_the_majority([])

    def test_a_lost_majority_is_overcome_by_snapshot(self):
        self.lose_the_majority(SNAPSHOTS)

    def test_a_directory_that_is_none_is_not_forced(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.terminate()
            for refused in (force(node, "--node_id=2"), force(node, f"--data_dir={node.home}")):
                self.assertNotEqual(refused.returncode, 0)
                self.assertRegex(refused.stderr, "belongs to node 1|is no data directory")

    def test_five_nodes_that_are_killed_at_once_come_back_with_all(self):
        with Cluster(5, SNAPSHOTS) as cluster:
            written = write(self, cluster, "a", 230)
            for node in cluster.nodes:
                node.expected_to_end = True
            cluster.kill_all()
            for node in cluster.nodes:
                node.start()
            cluster.wait_all()
            check_everywhere(self, cluster, written)

    def test_a_wiped_directory_is_refused(self):
        with Cluster(3, SNAPSHOTS) as cluster:
            write(self, cluster, "a", 120)
            wiped = cluster.followers()[0]
            others = [node for node in cluster.nodes if node is not wiped]
            wiped.kill()
            shutil.rmtree(wiped.data_dir)
            wiped.start()
            until(lambda: "its data directory was replaced" in log_of(wiped), 15, "the refusal")
            self.assertIn("raftkv-cli members replace --id", log_of(wiped))
            self.assertTrue(any("its data directory was replaced" in log_of(node) for node in others))
            self.assertEqual(int(wiped.raft()["raft_applied_index"]), 0)
            self.assertEqual(cluster.call("SET", "goes", "on"), "OK")

    def test_a_damaged_snapshot_is_noticed_and_made_good(self):
        with Cluster(3, SNAPSHOTS) as cluster:
            written = write(self, cluster, "a", 230)
            node = cluster.followers()[0]
            until(lambda: has_snapshot(node), 10, f"{node} has a snapshot")
            node.kill()
            newest = snapshots(node)[-1]
            flip(newest, os.path.getsize(newest) // 2)
            written |= write(self, cluster, "b", 30)
            node.start()
            until(node.answers, 20, f"{node} answers")
            check_everywhere(self, cluster, written)
            self.assertIn("can't be used", log_of(node))
            self.assertTrue(glob.glob(newest + ".damaged"))

    def test_a_damaged_write_ahead_log_is_refused_with_the_instruction(self):
        with Cluster(3) as cluster:
            written = write(self, cluster, "a", 200)
            node = cluster.followers()[0]
            cluster.wait_caught_up(node)
            node.kill()
            wals = sorted(glob.glob(os.path.join(node.data_dir, "log", "*.log")), key=os.path.getsize)
            with open(wals[-1], "rb") as file:
                at = file.read().index(b"a-100")
            flip(wals[-1], at)
            node.start()
            node.expected_to_end = True
            self.assertEqual(node.process.wait(timeout=20 * TIME_FACTOR), 1)
            self.assertIn("this node's vote and log can't be trusted", log_of(node))
            self.assertIn("raftkv-cli members replace", log_of(node))
            check_at(self, cluster.wait_leader(), written)

    def test_who_is_behind_the_cut_gets_a_snapshot(self):
        with Cluster(3, SNAPSHOTS) as cluster:
            node = cluster.followers()[0]
            node.kill()
            written = write(self, cluster, "a", 300)
            leader = cluster.wait_leader()
            until(lambda: int(leader.raft()["raft_first_index"]) > 100, 10, "the log was cut")
            node.start()
            until(node.answers, 20, f"{node} answers")
            check_everywhere(self, cluster, written)
            self.assertGreater(int(node.raft()["raft_snapshot_index"]), 100)


if __name__ == "__main__":
    main()
