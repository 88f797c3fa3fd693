#!/usr/bin/python3
"""What is left when much is lost: a majority, a directory, some bytes of a file."""

import glob
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from cluster import HOST, SERVER, TIME_FACTOR, Cluster, Node, main, until
from load import Load, check_writes
from wire import ErrorReply

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
        keys = list(written)
        for start in range(0, len(keys), 1000):
            part = keys[start : start + 1000]
            replies = connection.pipeline([("GET", key) for key in part])
            test.assertEqual(len(replies), len(part))
            for key, reply in zip(part, replies):
                test.assertEqual(reply, written[key], f"{key} at {node}")


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


def log_files(node, pattern):
    """The files of RocksDB's in the node's log, the biggest last."""
    return sorted(glob.glob(os.path.join(node.data_dir, "log", pattern)), key=os.path.getsize)


def make_table_files(node):
    """A start writes what it finds in the write-ahead log into table files: one of the entries, which is
    the bigger one, and one of vote and position."""
    node.kill()
    node.start()
    until(node.answers, 20, f"{node} answers")
    until(lambda: len(log_files(node, "*.sst")) >= 2, 5, f"{node} has table files")


def entries_file(node):
    """The table file that holds the entries, and where its middle is."""
    path = log_files(node, "*.sst")[-1]
    return path, os.path.getsize(path) // 2


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


class DamagedLog(unittest.TestCase):
    """Bytes of the log's table files, and of the files that name them."""

    def check_all_agree(self, cluster, written):
        """Each node by itself, and by the digests of all that it holds."""
        check_everywhere(self, cluster, written)
        goal = int(cluster.wait_leader().raft()["raft_applied_index"])
        cluster.call("SET", "one", "more")  # only what is new is compared
        for node in cluster.nodes:
            until(lambda node=node: int(node.raft()["raft_digest_last_ok_index"]) > goal, 10, f"{node} agrees")
            self.assertEqual(node.raft()["raft_digest_mismatches"], "0")

    def read_until_repaired(self, node, written):
        """What the node says meanwhile is what was written, or that it can't tell yet."""
        answers = 0
        end = time.monotonic() + 20 * TIME_FACTOR
        while True:
            repaired = node.raft()["raft_repairing"] == "0"
            with node.connect() as connection:
                connection.call("READONLY")
                replies = connection.pipeline([("GET", key) for key in written])
            for (key, value), reply in zip(written.items(), replies):
                if not isinstance(reply, ErrorReply):
                    self.assertEqual(reply, value, f"{key} at {node}")
                    answers += 1
            if repaired and answers > 0:
                return
            self.assertLess(time.monotonic(), end, f"{node} is not repaired")

    def test_a_flipped_byte_among_the_entries_is_repaired_under_load(self):
        with Cluster(3, ["--digest_interval=1"]) as cluster:
            written = write(self, cluster, "before", 200)
            node = cluster.followers()[0]
            with Load(cluster, writers=2, depth=4) as load:
                load.wait_acknowledged_after(time.monotonic(), 10)
                cluster.wait_caught_up(node)
                make_table_files(node)
                load.wait_acknowledged_after(time.monotonic(), 10)
                node.kill()
                flip(*entries_file(node))
                load.wait_acknowledged_after(time.monotonic(), 10)
                node.start()
                until(node.answers, 20, f"{node} answers")
                self.read_until_repaired(node, written)
                load.wait_acknowledged_after(time.monotonic(), 10)
                records = load.finish()
            check_writes(self, cluster, records)
            written |= {key: value.encode() for record in records for key, value, _, _ in record.acknowledged}
            self.check_all_agree(cluster, written)
            text = log_of(node)
            self.assertIn("block checksum mismatch", text)
            self.assertIn("this node does not vote until the others have repaired it", text)
            # The repair is durable: the next life finds nothing to repair.
            node.kill()
            node.start()
            until(node.answers, 20, f"{node} answers")
            self.check_all_agree(cluster, written)
            self.assertEqual(log_of(node).count("does not vote until the others have repaired it"), 1)

    def test_a_leader_that_reads_damage_ends_and_is_repaired_by_its_next_start(self):
        # Entries are read from the disk when they are needed and no longer in memory.
        with Cluster(3, ["--log_cache_bytes=1048576", "--digest_interval=1"]) as cluster:
            behind = cluster.followers()[0]
            behind.kill()
            written = {}
            with cluster.wait_leader().connect() as connection:
                for i in range(300):
                    key, value = f"big:{i}", f"{i}-" + "x" * 20_000
                    self.assertEqual(connection.call("SET", key, value), "OK", key)
                    written[key] = value.encode()
            for node in cluster.nodes:
                if node is not behind:
                    make_table_files(node)
            leader = cluster.wait_leader()
            cluster.wait_caught_up(leader)
            flip(*entries_file(leader))
            leader.expected_to_end = True
            behind.start()
            self.assertEqual(leader.process.wait(timeout=20 * TIME_FACTOR), -signal.SIGABRT)
            self.assertRegex(
                log_of(leader),
                "FATAL storage: log entry [0-9]+ in .* can't be read: Corruption: block checksum mismatch.*"
                "; start this node again: it empties its damaged log and gets it back from the others",
            )
            # The two others go on without it, and one gets all from the other.
            self.assertEqual(cluster.call("SET", "goes", "on"), "OK")
            cluster.wait_caught_up(behind)
            check_at(self, behind, written)
            leader.start()
            until(leader.answers, 20, f"{leader} answers")
            self.read_until_repaired(leader, written)
            self.check_all_agree(cluster, written)
            self.assertIn("this node does not vote until the others have repaired it", log_of(leader))

    def check_refused(self, node, fault):
        """The node ends with the instruction, and so again: a supervisor may start it over and over."""
        for _ in range(2):
            before = len(log_of(node))
            node.start()
            node.expected_to_end = True
            self.assertEqual(node.process.wait(timeout=20 * TIME_FACTOR), 1, fault)
            self.assertIn("this node's vote and log can't be trusted", log_of(node)[before:], fault)
            self.assertIn("raftkv-cli members replace", log_of(node)[before:], fault)

    def test_without_its_vote_or_the_names_of_its_files_a_node_is_refused(self):
        with Cluster(3) as cluster:
            written = write(self, cluster, "a", 100)
            node = cluster.followers()[0]
            cluster.wait_caught_up(node)
            make_table_files(node)
            written |= write(self, cluster, "b", 20)
            cluster.wait_caught_up(node)
            node.kill()
            log = os.path.join(node.data_dir, "log")
            vote = log_files(node, "*.sst")[0]
            with open(vote, "rb") as file:
                self.assertNotIn(b"a-50", file.read())
            manifest = log_files(node, "MANIFEST-*")[-1]
            current = os.path.join(log, "CURRENT")
            faults = {
                "a flipped byte beside the vote": lambda: flip(vote, 30),
                "a flipped byte in the manifest": lambda: flip(manifest, os.path.getsize(manifest) // 2),
                "a manifest that is empty": lambda: os.truncate(manifest, 0),
                "no manifest": lambda: os.remove(manifest),
                "a flipped byte in CURRENT": lambda: flip(current, 3),
                "a CURRENT that is empty": lambda: os.truncate(current, 0),
                "no CURRENT": lambda: os.remove(current),
                "no log": lambda: shutil.rmtree(log),
                "an empty log": lambda: [os.remove(file) for file in glob.glob(os.path.join(log, "*"))],
            }
            whole = log + ".whole"
            os.rename(log, whole)
            for fault, inflict in faults.items():
                shutil.rmtree(log, ignore_errors=True)
                shutil.copytree(whole, log)
                inflict()
                self.check_refused(node, fault)
                if not os.path.exists(current):
                    # Nor does it become a cluster of its own, with a log that is made anew.
                    forced = force(node)
                    self.assertEqual(forced.returncode, 1, fault)
                    self.assertIn("this node's vote and log can't be trusted", forced.stderr, fault)
                self.assertEqual(cluster.call("SET", "goes", "on"), "OK")
            # Nothing but the fault kept it from its data.
            shutil.rmtree(log)
            os.rename(whole, log)
            node.start()
            until(node.answers, 20, f"{node} answers")
            check_everywhere(self, cluster, written)

    def test_a_manifest_that_lost_its_end_brings_back_no_earlier_day(self):
        with Cluster(3) as cluster:
            node = cluster.followers()[0]
            written = write(self, cluster, "early", 100)
            cluster.wait_caught_up(node)
            make_table_files(node)
            written |= write(self, cluster, "late", 100)
            cluster.wait_caught_up(node)
            # The others are stopped, so that nothing but the table files says how far the log went.
            for other in cluster.nodes:
                if other is not node:
                    other.kill()
            make_table_files(node)
            node.kill()
            log = os.path.join(node.data_dir, "log")
            whole = log + ".whole"
            os.rename(log, whole)
            listen = (f"--listen={HOST}:{node.port}", f"--peer_listen={HOST}:{node.peer_port}")
            shutil.copytree(whole, log)
            last = re.search("last log index.*", force(node, *listen).stdout).group()
            seen = set()
            size = os.path.getsize(glob.glob(os.path.join(whole, "MANIFEST-*"))[0])
            for end in range(size // 2, size, size // 16):
                shutil.rmtree(log, ignore_errors=True)
                shutil.copytree(whole, log)
                os.truncate(glob.glob(os.path.join(log, "MANIFEST-*"))[0], end)
                result = force(node, *listen)
                text = result.stdout + result.stderr
                if "this node's vote and log can't be trusted" in text:
                    seen.add("refused")
                elif "is damaged: entries up to" in text:
                    seen.add("to be repaired")
                else:
                    self.assertIn(last, text, f"{end} of {size} bytes are left")
            self.assertIn("refused", seen)
            shutil.rmtree(log)
            os.rename(whole, log)
            for each in cluster.nodes:
                each.start()
            cluster.wait_all()
            check_everywhere(self, cluster, written)


if __name__ == "__main__":
    main()
