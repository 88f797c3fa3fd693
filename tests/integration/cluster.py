"""A cluster of real processes in a folder of its own, on ports of its own. Everything has a deadline,
and nothing outlives the test: not on success, not on failure, not when the test itself is killed."""

import atexit
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from wire import Connection, ConnectionLost, ErrorReply, moved_to

BUILD_DIR = os.path.abspath(
    os.environ.get("RAFTKV_BUILD_DIR", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
)
SERVER = os.path.join(BUILD_DIR, "raftkv-server")
CLI = os.path.join(BUILD_DIR, "raftkv-cli")
SCRIPTS = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "scripts"))
# Sanitized builds are slower: every limit of time is multiplied.
TIME_FACTOR = float(os.environ.get("RAFTKV_TIME_FACTOR", "1"))
# They take more memory, too.
MEMORY_FACTOR = TIME_FACTOR
# So are those of the servers, by default, which would take a slow peer for one that is gone.
PATIENCE = []
if TIME_FACTOR > 1:
    PATIENCE = [f"--{name}={round(ms * TIME_FACTOR)}" for name, ms in (("election_timeout_ms", 400), ("disk_stall_ms", 2000))]
HOST = "127.0.0.1"
PEER_OFFSET = 10000

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Runs in the child: when the test dies, the kernel ends its servers."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def until(condition, seconds, what, pause=0.02):
    """The first true value of condition(); raises when the time is over."""
    end = time.monotonic() + seconds * TIME_FACTOR
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds * TIME_FACTOR:g} s: {what}")
        time.sleep(pause)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            return True
        except OSError:
            return False


def free_port_base(count):
    """The first of `count` client ports whose peer ports are free too, outside of the range the kernel
    hands out to outgoing connections (or one of those could take a port while its node is down)."""
    for _ in range(200):
        base = random.randrange(20200, 22600)
        wanted = [base + i + offset for i in range(count) for offset in (0, PEER_OFFSET)]
        if all(port_is_free(port) for port in wanted):
            return base
    raise RuntimeError("no free ports between 20200 and 22700")


class Node:
    """One server process, its port and its folder; it can be killed, paused and started again."""

    def __init__(self, cluster, node_id, client_port, home, join=False):
        self.cluster = cluster
        self.id = node_id
        self.join = join  # it was not there when the cluster began
        self.port = client_port
        self.peer_port = client_port + PEER_OFFSET
        self.host = HOST
        self.address = (HOST, client_port)
        self.home = home
        self.data_dir = os.path.join(home, "data")
        self.log_path = os.path.join(home, "server.log")
        self.process = None
        self.paused = False
        self.expected_to_end = False

    def __repr__(self):
        return f"n{self.id}({self.port})"

    def arguments(self):
        return [
            SERVER,
            f"--node_id={self.id}",
            f"--listen={self.host}:{self.port}",
            f"--peer_listen={self.host}:{self.peer_port}",
            *(
                ["--join", f"--cluster_id={self.cluster.cluster_id()}"]
                if self.join
                else [f"--cluster={self.cluster.members}"]
            ),
            f"--data_dir={self.data_dir}",
            *PATIENCE,
            *self.cluster.flags,
        ]

    def start(self):
        assert not self.alive(), f"{self} runs already"
        os.makedirs(self.home, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self.at_birth,
            )
        self.paused = False
        self.expected_to_end = False
        return self

    def at_birth(self):
        """Runs in the new process, before the server."""
        die_with_parent()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9; returns the moment just before the signal."""
        self.expected_to_end = True
        at = time.monotonic()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=20)
        return at

    def terminate(self, seconds=10):
        """SIGTERM; returns the exit code."""
        self.expected_to_end = True
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds * TIME_FACTOR)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True
        # The signal has arrived when the kernel calls the process stopped.
        until(lambda: self._state() == "T", 5, f"{self} stops", pause=0.001)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def _state(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def connect(self, timeout=10.0):
        return Connection(self.address, timeout * TIME_FACTOR)

    def call(self, *args, timeout=10.0):
        with self.connect(timeout) as connection:
            return connection.call(*args)

    def answers(self):
        if not self.alive() or self.paused:
            return False
        try:
            return self.call("PING", timeout=1.0) == "PONG"
        except (OSError, ConnectionLost):
            return False

    def info(self, section):
        """The fields of an INFO section, as text."""
        text = self.call("INFO", section)
        if isinstance(text, ErrorReply):
            raise AssertionError(f"INFO {section}: {text}")
        fields = {}
        for line in text.decode().splitlines():
            if ":" in line and not line.startswith("#"):
                name, value = line.split(":", 1)
                fields[name] = value
        return fields

    def raft(self):
        return self.info("raft")

    def sanitizer_report(self):
        """The beginning of what a sanitizer wrote into the log, if it did."""
        try:
            with open(self.log_path, errors="replace") as log:
                text = log.read()
        except FileNotFoundError:
            return ""
        found = re.search(r"(WARNING: ThreadSanitizer|ERROR: \w+Sanitizer|runtime error:)", text)
        return text[max(0, found.start() - 200) : found.start() + 4000] if found else ""

    def log_tail(self, lines=25):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return ""


class Cluster:
    """N nodes. Use as a context manager; on an exception the folder stays and is named."""

    _live = set()

    def __init__(self, nodes=5, flags=(), home=None, spare=0):
        self.flags = list(flags)
        self.known_cluster_id = None
        if home is None:
            root = os.environ.get("RAFTKV_TEST_DIR", os.path.join(BUILD_DIR, "integration"))
            os.makedirs(root, exist_ok=True)
            home = tempfile.mkdtemp(prefix="cluster-", dir=root)
        self.home = home
        base = free_port_base(nodes + spare)
        self.spare_ports = list(range(base + nodes, base + nodes + spare))
        self.members = ",".join(
            f"{i}@{HOST}:{base + i - 1}@{HOST}:{base + i - 1 + PEER_OFFSET}" for i in range(1, nodes + 1)
        )
        self.nodes = [
            Node(self, i, base + i - 1, os.path.join(self.home, f"n{i}")) for i in range(1, nodes + 1)
        ]
        self.addresses = [node.address for node in self.nodes]

    def cluster_id(self):
        if self.known_cluster_id is None:
            self.known_cluster_id = self.nodes[0].raft()["raft_cluster_id"]
        return self.known_cluster_id

    def new_node(self, node_id, port=None):
        """A node that waits to be added, on one of the spare ports (`spare`) or on that of a node that
        was stopped. It is started, and belongs to `nodes` from now on."""
        port = port or self.spare_ports.pop(0)
        node = Node(self, node_id, port, os.path.join(self.home, f"n{node_id}"), join=True)
        self.nodes = [other for other in self.nodes if other.port != port] + [node]
        self.addresses = [other.address for other in self.nodes]
        return node.start()

    @property
    def node_list(self):
        """As raftkv-cli --nodes takes it."""
        return ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def __enter__(self):
        Cluster._live.add(self)
        try:
            self.start()
        except BaseException:
            self.close(keep=True)
            raise
        return self

    def __exit__(self, kind, *_):
        crashed = [node for node in self.nodes if not node.alive() and not node.expected_to_end]
        reported = [node for node in self.nodes if node.sanitizer_report()]
        self.close(keep=kind is not None or bool(crashed or reported))
        if kind is None:
            if crashed:
                raise AssertionError(f"{crashed} ended by themselves, exit code {crashed[0].process.returncode}")
            if reported:
                raise AssertionError(f"a sanitizer reported on {reported}:\n{reported[0].sanitizer_report()}")

    def start(self):
        for node in self.nodes:
            node.start()
        self.wait_all()
        return self

    def kill_all(self):
        for node in self.nodes:
            if node.alive():
                node.process.kill()
        for node in self.nodes:
            if node.process is not None:
                node.process.wait(timeout=20)

    def close(self, keep=False):
        Cluster._live.discard(self)
        self.kill_all()
        if keep:
            print(f"\nThe cluster's data and logs are in {self.home}", file=sys.stderr)
            for node in self.nodes:
                print(f"--- {node}, exit code {node.process and node.process.returncode}", file=sys.stderr)
                print(node.log_tail(), file=sys.stderr)
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    def wait_all(self, seconds=20):
        """Every node answers and knows the same leader."""
        for node in self.nodes:
            until(
                lambda node=node: node.answers() or not node.alive(),
                seconds,
                f"{node} answers",
            )
            if not node.alive():
                raise AssertionError(f"{node} ended at start:\n{node.log_tail()}")
        return self.wait_leader(seconds, agreed=True)

    def _leader_seen_by(self, node):
        if not node.alive() or node.paused:
            return None
        try:
            reply = node.call("CLUSTER", "LEADER", timeout=1.0)
        except (OSError, ConnectionLost):
            return None
        if not isinstance(reply, list):
            return None
        return (reply[0].decode(), int(reply[1]))

    def wait_leader(self, seconds=10, agreed=False, besides=None):
        """The node that serves writes, once there is one (and, if `agreed`, all running nodes name it)."""

        def find():
            seen = {}
            for node in self.nodes:
                if node is not besides:
                    seen[node] = self._leader_seen_by(node)
            running = [n for n in seen if n.alive() and not n.paused]
            for node in running:
                if seen[node] != node.address:
                    continue
                if agreed and any(seen[other] != node.address for other in running):
                    continue
                try:
                    if not isinstance(node.call("GET", "leader-probe", timeout=1.0), ErrorReply):
                        return node
                except (OSError, ConnectionLost):
                    pass
            return None

        return until(find, seconds, f"a leader among {self.nodes}")

    def followers(self):
        leader = self.wait_leader()
        return [node for node in self.nodes if node is not leader and node.alive() and not node.paused]

    def call(self, *args, seconds=10):
        """One command at the leader, whoever it is; retried only where that is surely safe."""
        end = time.monotonic() + seconds * TIME_FACTOR
        while True:
            try:
                reply = self.wait_leader(seconds).call(*args)
            except ConnectionRefusedError:
                reply = ErrorReply("CLUSTERDOWN refused")
            if not (isinstance(reply, ErrorReply) and reply.definite) or time.monotonic() > end:
                return reply
            time.sleep(0.02)

    def wait_caught_up(self, node, seconds=30):
        """`node` has applied what the leader had applied when this was called."""
        goal = int(self.wait_leader().raft()["raft_applied_index"])

        def caught_up():
            try:
                return int(node.raft()["raft_applied_index"]) >= goal
            except (OSError, ConnectionLost):
                return False

        until(caught_up, seconds, f"{node} applies index {goal}")

    def run_cli(self, *args, seconds=60):
        return subprocess.run(
            [CLI, *args, "--nodes", self.node_list],
            capture_output=True,
            text=True,
            timeout=seconds * TIME_FACTOR,
        )


class LeaderClient:
    """A connection to the leader that follows it. A command whose outcome is unknown is not retried: it
    raises ConnectionLost or returns the error reply."""

    def __init__(self, addresses, timeout=10.0):
        self.addresses = list(addresses)
        self.timeout = timeout
        self.turn = random.randrange(len(self.addresses))
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _connect(self, address=None):
        self.close()
        if address is None:
            self.turn = (self.turn + 1) % len(self.addresses)
            address = self.addresses[self.turn]
        self.connection = Connection(address, self.timeout)

    def call(self, *args, seconds=20.0):
        end = time.monotonic() + seconds * TIME_FACTOR
        target = None
        while True:
            if time.monotonic() > end:
                raise TimeoutError(f"no leader took {args[0]} within {seconds} s")
            if self.connection is None or target is not None:
                try:
                    self._connect(target)
                except OSError:
                    self.connection = None
                    target = None
                    time.sleep(0.005)
                    continue
                target = None
            try:
                reply = self.connection.call(*args)
            except (ConnectionLost, TimeoutError):
                self.close()
                raise
            if isinstance(reply, ErrorReply) and reply.definite:
                target = moved_to(reply)
                if target is None:
                    self.close()
                    time.sleep(0.005)
                continue
            return reply


@atexit.register
def _kill_what_is_left():
    for cluster in list(Cluster._live):
        for node in cluster.nodes:
            if node.alive():
                node.process.kill()


class ClusterTestCase(unittest.TestCase):
    """One cluster for all tests of a class; the folder is kept if one of them fails."""

    NODES = 5
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.any_failed = False
        cls.cluster = Cluster(cls.NODES, cls.FLAGS)
        cls.cluster.__enter__()

    @classmethod
    def tearDownClass(cls):
        if cls.any_failed:
            cls.cluster.close(keep=True)
        else:
            cls.cluster.__exit__(None)

    def setUp(self):
        self.cluster.wait_all()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            type(self).any_failed = True
        return result


def main():
    for binary in (SERVER, CLI):
        if not os.access(binary, os.X_OK):
            sys.exit(f"{binary} is missing: build first, or set RAFTKV_BUILD_DIR")
    # Python turns SIGTERM into no cleanup at all; ctest sends it to a test that takes too long.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(verbosity=2)
