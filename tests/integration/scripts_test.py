#!/usr/bin/python3
"""The scripts that a newcomer runs first, and the command line client."""

import json
import os
import subprocess
import tempfile
import unittest

from cluster import BUILD_DIR, CLI, HOST, SCRIPTS, TIME_FACTOR, Cluster, free_port_base, main, until
from wire import Connection


class Scripts(unittest.TestCase):
    def setUp(self):
        root = os.path.join(BUILD_DIR, "integration")
        os.makedirs(root, exist_ok=True)
        self.folder = tempfile.TemporaryDirectory(prefix="scripts-", dir=root)
        self.addCleanup(self.folder.cleanup)
        self.dir = os.path.join(self.folder.name, "run")
        self.port = free_port_base(5)

    def script(self, name, *args, seconds=60):
        result = subprocess.run(
            [os.path.join(SCRIPTS, name), *map(str, args)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds * TIME_FACTOR,
            env={**os.environ, "RAFTKV_BUILD_DIR": BUILD_DIR},
        )
        return result.returncode, result.stdout, result.stderr

    def start(self, *args):
        self.addCleanup(self.script, "stop_cluster.sh", "--dir", self.dir)
        return self.script("start_cluster.sh", "--port", self.port, "--dir", self.dir, *args)

    def stop(self):
        return self.script("stop_cluster.sh", "--dir", self.dir)

    def pids(self):
        pids = []
        for i in range(1, 10):
            path = os.path.join(self.dir, f"n{i}", "server.pid")
            if os.path.exists(path):
                with open(path) as file:
                    pids.append(int(file.read()))
        return pids

    @staticmethod
    def runs(pid):
        """A process that has ended may still wait to be noticed by its parent, process 1."""
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def test_a_cluster_starts_serves_stops_and_keeps_its_data(self):
        code, out, err = self.start()
        self.assertEqual((code, err), (0, ""), out)
        for i in range(5):
            self.assertIn(f"{HOST}:{self.port + i}", out)
        rows = [line for line in out.splitlines() if f"{HOST}:" in line and " term" not in line]
        self.assertEqual(sum(" leader " in line for line in rows), 1, out)
        self.assertEqual(sum(" follower " in line for line in rows), 4, out)
        self.assertEqual(len(self.pids()), 5)
        nodes = ",".join(f"{HOST}:{self.port + i}" for i in range(5))
        put = subprocess.run([CLI, "put", "--nodes", nodes, "--key", "x", "--value", "42"], timeout=20)
        self.assertEqual(put.returncode, 0)

        code, out, err = self.start()
        self.assertEqual(code, 1)
        self.assertIn("already runs", err)
        code, out, err = self.script(
            "start_cluster.sh", "--port", self.port, "--dir", os.path.join(self.folder.name, "other")
        )
        self.assertEqual(code, 1)
        self.assertIn("occupied", err)

        pids = self.pids()
        code, out, err = self.stop()
        self.assertEqual((code, err), (0, ""), out)
        self.assertIn("Stopped 5 node(s)", out)
        for pid in pids:
            self.assertFalse(self.runs(pid))
        self.assertEqual(self.pids(), [])

        code, out, err = self.start()
        self.assertEqual((code, err), (0, ""), out)
        get = subprocess.run([CLI, "get", "--nodes", nodes, "--key", "x"], capture_output=True, text=True, timeout=20)
        self.assertEqual(get.stdout.strip(), "42")
        self.assertEqual(self.stop()[0], 0)
        self.assertIn("No cluster runs", self.stop()[1])

    def test_server_flags_are_passed_on(self):
        code, out, err = self.start("--nodes", 1, "--", "--maxclients=123")
        self.assertEqual((code, err), (0, ""), out)
        with Connection((HOST, self.port)) as connection:
            self.assertEqual(connection.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"123"])
        self.assertEqual(self.stop()[0], 0)

    def test_a_node_that_ends_at_start_shows_its_last_words(self):
        code, out, err = self.start("--nodes", 3, "--", "--no_such_flag")
        self.assertEqual(code, 1)
        self.assertIn("no_such_flag", err)
        self.assertIn("ended at start", err)
        self.assertEqual(self.pids(), [])

    def test_wrong_arguments_are_refused_before_anything_happens(self):
        for arguments in (["--nodes", "x"], ["--nodes", "0"], ["--port", "99999"], ["--nope"], ["--nodes"]):
            code, out, err = self.script("start_cluster.sh", "--dir", self.dir, *arguments)
            self.assertEqual((code, out), (1, ""), arguments)
            self.assertEqual(len(err.splitlines()), 1, err)
        self.assertFalse(os.path.exists(self.dir))

    def test_stop_leaves_a_stranger_alone(self):
        self.assertEqual(self.start("--nodes", 1)[0], 0)
        pid_file = os.path.join(self.dir, "n1", "server.pid")
        own = self.pids()[0]
        with subprocess.Popen(["sleep", "60"]) as stranger:
            with open(pid_file, "w") as file:
                file.write(f"{stranger.pid}\n")
            code, out, err = self.stop()
            self.assertEqual(code, 0, err)
            self.assertIsNone(stranger.poll(), "a process that is no raftkv-server was ended")
            stranger.kill()
        with open(pid_file, "w") as file:
            file.write(f"{own}\n")
        self.assertIn("Stopped 1 node(s)", self.stop()[1])

    def test_the_demo_shows_a_cluster_and_cleans_up(self):
        code, out, err = self.script("demo.sh", "--port", self.port, "--dir", self.dir)
        self.assertEqual((code, err), (0, ""), out)
        self.assertIn("active", out)
        self.assertIn("writes=", out)
        self.assertEqual(self.pids(), [])

    def test_the_demo_passes_flags_on_and_its_snapshots_are_the_same_everywhere(self):
        code, out, err = self.script("demo.sh", "--port", self.port, "--dir", self.dir, "--", "--snapshot_entries=30")
        self.assertEqual((code, err), (0, ""), out)
        state = out[out.index("The same state on every node:") :].splitlines()
        self.assertEqual(state.count("snapshot_index: 30"), 5, out)
        self.assertEqual(len({line for line in state if line.startswith("applied_index: ")}), 1, out)
        self.assertEqual(self.pids(), [])

    def test_the_demo_of_a_cluster_that_runs_takes_no_flags(self):
        self.assertEqual(self.start("--nodes", 1)[0], 0)
        code, out, err = self.script("demo.sh", "--dir", self.dir, "--", "--snapshot_entries=30")
        self.assertEqual(code, 1)
        self.assertIn("with flags of its own", err)
        self.assertEqual(self.stop()[0], 0)

    def test_the_demo_uses_a_cluster_that_runs(self):
        self.assertEqual(self.start()[0], 0)
        code, out, err = self.script("demo.sh", "--dir", self.dir)
        self.assertEqual((code, err), (0, ""), out)
        self.assertEqual(len(self.pids()), 5)
        self.assertEqual(self.stop()[0], 0)

    def test_each_script_explains_itself(self):
        for name in sorted(os.listdir(SCRIPTS)):
            if name.startswith(("bench_", "disk_")) or (name.endswith(".sh") and name != "lib.sh"):
                code, out, err = self.script(name, "--help")
                self.assertEqual((code, err), (0, ""), name)
                self.assertIn(f"scripts/{name}", out)


class CommandLineClient(unittest.TestCase):
    def test_it_writes_reads_counts_and_deletes_through_any_node(self):
        with Cluster(3) as cluster:
            put = cluster.run_cli("put", "--key", "user:1", "--value", "active")
            self.assertEqual(put.returncode, 0, put)
            self.assertEqual(cluster.run_cli("get", "--key", "user:1").stdout.strip(), "active")
            self.assertIn("2", cluster.run_cli("incr", "--key", "n").stdout + cluster.run_cli("incr", "--key", "n").stdout)
            self.assertEqual(cluster.run_cli("del", "--key", "user:1").returncode, 0)
            self.assertNotIn("active", cluster.run_cli("get", "--key", "user:1").stdout)
            self.assertEqual(cluster.call("GET", "n"), b"2")

    def test_its_status_is_a_table_and_json(self):
        with Cluster(3) as cluster:
            table = cluster.run_cli("status")
            self.assertEqual(table.returncode, 0, table)
            for node in cluster.nodes:
                self.assertIn(f"{HOST}:{node.port}", table.stdout)
            status = json.loads(cluster.run_cli("status", "--json").stdout)
            leader = cluster.wait_leader()
            self.assertEqual(status["leader_address"], f"{HOST}:{leader.port}")
            self.assertEqual(sorted(n["role"] for n in status["nodes"]), ["follower", "follower", "leader"])
            cluster.followers()[0].kill()
            with_a_dead_node = json.loads(cluster.run_cli("status", "--json").stdout)
            self.assertEqual(sorted(n["state"] for n in with_a_dead_node["nodes"]), ["unreachable", "up", "up"])

    def test_it_survives_a_leader_change_and_ends_by_its_deadline(self):
        with Cluster(3) as cluster:
            leader = cluster.wait_leader()
            leader.kill()
            put = cluster.run_cli("put", "--key", "after", "--value", "kill")
            self.assertEqual(put.returncode, 0, put)
            self.assertEqual(cluster.call("GET", "after"), b"kill")
            cluster.wait_leader().kill()
            lonely = cluster.run_cli("put", "--key", "alone", "--value", "x", seconds=60)
            self.assertNotEqual(lonely.returncode, 0)
            self.assertTrue(lonely.stderr.strip())

    def test_its_bench_prints_one_line_of_figures(self):
        with Cluster(3) as cluster:
            bench = cluster.run_cli("bench", "--n", "50")
            self.assertEqual(bench.returncode, 0, bench)
            self.assertRegex(bench.stdout, r"writes=50 throughput=[0-9.]+ops/sec p50=[0-9.]+ms p99=[0-9.]+ms")
            until(lambda: cluster.wait_leader().answers(), 5, "the leader answers")


if __name__ == "__main__":
    main()
