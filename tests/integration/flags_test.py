#!/usr/bin/python3
"""The command line: what is wrong is said in one line, and a wrong start touches nothing."""

import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from cluster import HOST, SERVER, TIME_FACTOR, Cluster, die_with_parent, free_port_base, main, port_is_free, until
from wire import Connection


def run_server(*flags, seconds=20, **more):
    """Runs a server that is expected to end by itself."""
    return subprocess.run(
        [SERVER, *flags],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=seconds * TIME_FACTOR,
        preexec_fn=die_with_parent,
        **more,
    )


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3)
        cls.cluster.__enter__()
        cls.scratch = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()
        cls.cluster.__exit__(None)

    def refused(self, flags, *words):
        """Exit code 1, and one line on stderr that has these words."""
        result = run_server(*flags, cwd=self.scratch.name)
        self.assertEqual(result.returncode, 1, result)
        # What the log says on the way is no complaint: "I20260101 12:00:00.000000 ...".
        lines = [line for line in result.stderr.splitlines() if not re.match(r"I\d{8} ", line)]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word.lower(), lines[0].lower())
        self.assertEqual(result.stdout, "")
        return lines[0]

    def single(self, **changes):
        """Flags of a one-node cluster on free ports with a new data folder; None leaves one out."""
        base = free_port_base(1)
        flags = {
            "node_id": "1",
            "listen": f"{HOST}:{base}",
            "peer_listen": f"{HOST}:{base + 10000}",
            "cluster": f"1@{HOST}:{base}@{HOST}:{base + 10000}",
            "data_dir": os.path.join(self.scratch.name, f"data-{base}"),
        }
        flags.update(changes)
        return [f"--{name}={value}" for name, value in flags.items() if value is not None]

    def test_a_flag_that_does_not_exist(self):
        self.refused(self.single() + ["--no_such_flag=1"], "no_such_flag")

    def test_a_flag_with_a_value_of_the_wrong_kind(self):
        self.refused(self.single(heartbeat_ms="soon"), "heartbeat_ms")

    def test_values_out_of_range(self):
        for name, value in (
            ("heartbeat_ms", "0"),
            ("election_timeout_ms", "0"),
            ("maxclients", "0"),
            ("max_entry_bytes", "1"),
            ("read_mode", "psychic"),
            ("node_id", "0"),
            ("snapshot_write_bytes", "1000"),
            ("snapshot_rate_bytes", "1000"),
        ):
            with self.subTest(flag=name, value=value):
                self.refused(self.single(**{name: value}), name)

    def test_an_election_timeout_shorter_than_the_heartbeat(self):
        self.refused(self.single(heartbeat_ms="500", election_timeout_ms="100"), "election_timeout_ms")

    def test_addresses_that_are_none(self):
        for name in ("listen", "peer_listen"):
            for value in ("nonsense", "127.0.0.1", "127.0.0.1:0x", "127.0.0.1:99999", ":"):
                with self.subTest(flag=name, value=value):
                    self.refused(self.single(**{name: value}), name)

    def test_member_lists_that_are_none(self):
        one = "1@127.0.0.1:7001@127.0.0.1:17001"
        for value in (
            "nonsense",
            "1@127.0.0.1:7001",
            "x@127.0.0.1:7001@127.0.0.1:17001",
            one + "," + one,
            one + ",,",
            one + ",2@127.0.0.1:7001@127.0.0.1:17001",
        ):
            with self.subTest(value=value):
                self.refused(self.single(cluster=value), "cluster")

    def test_a_node_that_is_not_in_the_member_list(self):
        self.refused(self.single(node_id="7"), "node_id", "7")

    def test_a_node_that_joins_needs_to_be_told_where_and_what(self):
        base = self.single()[1].split("=")[1]
        cluster_id = "--cluster_id=" + "a" * 40
        self.refused(["--join", f"--listen={base}"], "--join", "--cluster_id", "members list")
        self.refused(["--join", cluster_id], "--join", "--listen")
        self.refused(self.single() + ["--join", cluster_id], "--join", "--cluster")

    def test_a_dump_begins_only_a_cluster_of_one_node_in_a_fresh_directory(self):
        dump = os.path.join(self.scratch.name, "no-dump.rdb")
        base = free_port_base(2)
        data = os.path.join(self.scratch.name, "import-data")
        single = self.single(data_dir=data)
        self.refused(single + [f"--import_rdb={dump}"], f"--import_rdb={dump}", "no such file")
        with open(dump, "wb") as file:
            file.write(b"REDIS0009 and nothing right behind it")
        self.refused(single + [f"--import_rdb={dump}"], f"--import_rdb={dump}")
        two = ",".join(f"{i}@{HOST}:{base + i}@{HOST}:{base + i + 10000}" for i in (1, 2))
        self.refused(self.single(cluster=two, data_dir=data) + [f"--import_rdb={dump}"], "one node", "--join")
        self.refused(
            ["--join", f"--listen={HOST}:{base}", "--cluster_id=" + "a" * 40, f"--import_rdb={dump}"],
            "--import_rdb", "--join",
        )  # fmt: skip
        self.assertFalse(os.path.exists(data))

    def test_a_way_of_reading_on_followers_that_does_not_exist(self):
        self.refused(self.single() + ["--follower_reads=fast"], "follower_reads", "linearizable")

    def test_an_occupied_client_port(self):
        node = self.cluster.nodes[0]
        line = self.refused(
            self.single(listen=f"{HOST}:{node.port}", cluster=f"1@{HOST}:{node.port}@{HOST}:40199", peer_listen=f"{HOST}:40199"),
            str(node.port),
        )
        self.assertRegex(line.lower(), "in use|occupied|taken")

    def test_an_occupied_peer_port(self):
        node = self.cluster.nodes[0]
        base = free_port_base(1)
        line = self.refused(
            self.single(
                listen=f"{HOST}:{base}",
                peer_listen=f"{HOST}:{node.peer_port}",
                cluster=f"1@{HOST}:{base}@{HOST}:{node.peer_port}",
            ),
            str(node.peer_port),
        )
        self.assertRegex(line.lower(), "in use|occupied|taken")

    def test_a_data_directory_that_a_running_node_holds(self):
        node = self.cluster.nodes[1]
        base = free_port_base(1)
        flags = [
            "--node_id=2",
            f"--listen={HOST}:{base}",
            f"--peer_listen={HOST}:{base + 10000}",
            f"--cluster={self.cluster.members}",
            f"--data_dir={node.data_dir}",
        ]
        self.refused(flags, "in use", node.data_dir, str(node.process.pid))
        self.assertTrue(node.answers())

    def stopped_follower(self):
        node = self.cluster.followers()[0]
        self.assertEqual(node.terminate(), 0)
        return node

    def test_a_data_directory_of_another_node(self):
        node = self.stopped_follower()
        other = next(n for n in self.cluster.nodes if n is not node)
        flags = [
            f"--node_id={other.id}",
            f"--listen={HOST}:{node.port}",
            f"--peer_listen={HOST}:{node.peer_port}",
            f"--cluster={self.cluster.members}",
            f"--data_dir={node.data_dir}",
        ]
        self.refused(flags, "node", str(node.id), node.data_dir)
        node.start()
        self.cluster.wait_all()

    def test_a_data_directory_of_another_cluster(self):
        node = self.stopped_follower()
        base = free_port_base(1)
        flags = [
            f"--node_id={node.id}",
            f"--listen={HOST}:{base}",
            f"--peer_listen={HOST}:{base + 10000}",
            f"--cluster={node.id}@{HOST}:{base}@{HOST}:{base + 10000}",
            f"--data_dir={node.data_dir}",
        ]
        self.refused(flags, "cluster", node.data_dir)
        node.start()
        self.cluster.wait_all()

    def test_a_data_directory_that_is_something_else(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "holiday.jpg"), "w") as file:
                file.write("not ours")
            self.refused(self.single(data_dir=folder), folder)
            self.assertEqual(os.listdir(folder), ["holiday.jpg"])
            self.refused(self.single(data_dir=os.path.join(folder, "holiday.jpg")), folder)

    def test_help_and_version_end_well(self):
        for flag, words in (("--help", ("data_dir", "read_mode")), ("--version", ("raftkv", "peer protocol "))):
            result = run_server(flag)
            for word in words:
                self.assertIn(word, result.stdout.lower())


class FlagFile(unittest.TestCase):
    def test_flags_come_from_a_file_too(self):
        base = free_port_base(1)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "raftkv.flags")
            with open(path, "w") as file:
                file.write(
                    f"# one node\n--node_id=1\n--listen={HOST}:{base}\n--peer_listen={HOST}:{base + 10000}\n"
                    f"--cluster=1@{HOST}:{base}@{HOST}:{base + 10000}\n--data_dir={folder}/data\n"
                    "--maxclients=77\n"
                )
            process = subprocess.Popen(
                [SERVER, f"--flagfile={path}"], stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
            )
            try:
                until(lambda: not port_is_free(base), 10, "the server listens")
                with Connection((HOST, base)) as connection:
                    self.assertEqual(connection.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"77"])
            finally:
                process.terminate()
                self.assertEqual(process.wait(timeout=10 * TIME_FACTOR), 0)


class Ends(unittest.TestCase):
    def test_sigterm_ends_a_loaded_node_cleanly_and_soon(self):
        with Cluster(3) as cluster:
            for node in [cluster.followers()[0], cluster.wait_leader()]:
                with node.connect() as connection:
                    connection.pipeline([("SET", f"k{i}", "x" * 100) for i in range(1000)])
                    started = time.monotonic()
                    self.assertEqual(node.terminate(), 0, node.log_tail())
                    self.assertLess(time.monotonic() - started, 3 * TIME_FACTOR)
                node.start()
                cluster.wait_all()
            self.assertEqual(cluster.call("GET", "k999"), b"x" * 100)

    def test_sigint_ends_a_node_cleanly_too(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            node.expected_to_end = True
            node.process.send_signal(signal.SIGINT)
            self.assertEqual(node.process.wait(timeout=10 * TIME_FACTOR), 0)

    def test_a_single_node_keeps_its_data_over_a_stop_and_over_a_kill(self):
        with Cluster(1) as cluster:
            node = cluster.nodes[0]
            for end in (node.terminate, node.kill):
                self.assertIn(cluster.call("APPEND", "log", "x"), (1, 2))
                end()
                node.start()
                cluster.wait_all()
            self.assertEqual(cluster.call("GET", "log"), b"xx")


def raise_loopback():
    """In a new network namespace the loopback device is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


class WithoutFlags(unittest.TestCase):
    """The default ports belong to whoever runs a server there, so the test takes a network of its own."""

    CLONE_NEWNET = 0x40000000
    CLONE_NEWUSER = 0x10000000

    def in_own_network(self, body):
        """Runs body() in a child with its own loopback; on machines that forbid that, in this one's."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                flags = self.CLONE_NEWNET if os.geteuid() == 0 else self.CLONE_NEWNET | self.CLONE_NEWUSER
                if libc.unshare(flags) == 0:
                    raise_loopback()
                elif not (port_is_free(7001) and port_is_free(17001)):
                    raise RuntimeError("no network namespace to be had, and port 7001 or 17001 is occupied")
                body()
                code = 0
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(code)
        end = time.monotonic() + 40 * TIME_FACTOR
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise TimeoutError("the server without flags never served")

    def test_it_is_a_cluster_of_one_on_port_7001(self):
        def body():
            with tempfile.TemporaryDirectory() as folder:
                process = subprocess.Popen(
                    [SERVER], cwd=folder, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
                )
                try:
                    until(lambda: not port_is_free(7001), 10, "the server listens on 7001")

                    def served():
                        with Connection((HOST, 7001)) as connection:
                            return connection.call("SET", "x", "42") == "OK"

                    until(served, 10, "it takes writes")
                    with Connection((HOST, 7001)) as connection:
                        assert connection.call("GET", "x") == b"42"
                        assert connection.call("CLUSTER", "LEADER")[:2] == [b"127.0.0.1", 7001]
                    assert os.listdir(folder) == ["raftkv-data"], os.listdir(folder)
                finally:
                    process.terminate()
                    code = process.wait(timeout=10 * TIME_FACTOR)
                assert code == 0, code

        self.assertEqual(self.in_own_network(body), 0)


class Allocator(unittest.TestCase):
    """server/allocator.cc: without it the loop's thread gives memory back to the system, call by call."""

    def test_freed_memory_goes_back_on_a_thread_of_its_own(self):
        with Cluster(1) as cluster:
            node = cluster.wait_leader()
            with Connection((HOST, node.port)) as connection:
                if b"mem_allocator:jemalloc" not in connection.call("INFO", "memory"):
                    self.skipTest("a sanitizer's allocator")

            def threads():
                folder = f"/proc/{node.process.pid}/task"
                names = []
                for thread in os.listdir(folder):
                    try:
                        with open(f"{folder}/{thread}/comm") as file:
                            names.append(file.read().strip())
                    except (FileNotFoundError, ProcessLookupError):
                        pass  # it has ended meanwhile
                return names

            until(lambda: "jemalloc_bg_thd" in threads(), 10, "jemalloc has a thread")


if __name__ == "__main__":
    main()
