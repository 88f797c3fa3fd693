"""The cluster under test: real servers whose peer links go through a proxy that breaks them on command,
with clocks that can be shifted and disks that can fill up."""

import ctypes
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

# The rest of this folder takes these from here, too: the line above has made them found.
from cluster import BUILD_DIR, CLI, HOST, SERVER, TIME_FACTOR  # noqa: E402,F401
from cluster import Cluster, Node, die_with_parent, free_port_base, until  # noqa: E402,F401
from wire import ConnectionLost, ErrorReply  # noqa: E402

PROGRAMS = os.path.join(BUILD_DIR, "tests", "chaos")
CLIENT = os.path.join(PROGRAMS, "chaos_client")
CLOCK = os.path.join(PROGRAMS, "libchaos_clock.so")
# A node refuses writes while less than 384 MB are free.
DISK_BYTES = 704 << 20


class Network:
    """What stands between the nodes: a program that is driven over its stdin. One thread only."""

    PROGRAM = None
    PACKETS = False  # rules are about packets, not about connections

    def __init__(self, seed):
        self.process = subprocess.Popen(
            [self.PROGRAM, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def _ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        if not answer or answer.startswith("error"):
            program = os.path.basename(self.PROGRAM)
            raise RuntimeError(f"{program}, asked '{line}': {answer or 'it has ended'}")
        return answer

    def place(self, node):
        """Gives a new node its addresses."""
        raise NotImplementedError

    def set(self, source, target, **rules):
        text = " ".join(f"{name}={int(value)}" for name, value in rules.items())
        self._ask(f"set {source.id} {target.id} {text}")

    def clear(self):
        self._ask("clear")

    def stats(self):
        """What was carried, in words."""
        raise NotImplementedError

    def _numbers(self):
        return [int(word) for word in self._ask("stats").split()[1:]]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Proxy(Network):
    """chaos_proxy.cc: connections between the nodes go through it."""

    PROGRAM = os.path.join(PROGRAMS, "chaos_proxy")

    def listen(self, node_id, port):
        return int(self._ask(f"listen {node_id} {port}").split()[1])

    def place(self, node):
        node.peer_address = (HOST, self.listen(node.id, node.peer_port))

    def reset(self, source, target):
        self._ask(f"reset {source.id} {target.id}")

    def stats(self):
        carried, pieces, connections = self._numbers()
        return f"{carried / 1e6:.1f} MB in {pieces} pieces on {connections} connections"


class Router(Network):
    """chaos_router.cc: each node has a network namespace of its own, and packets go through the program."""

    PROGRAM = os.path.join(PROGRAMS, "chaos_router")
    PACKETS = True

    @staticmethod
    def unavailable():
        """None, or why there is no such network here."""
        if os.geteuid() != 0:
            return "network namespaces need root"
        if not os.path.exists("/dev/net/tun"):
            return "there is no /dev/net/tun: load the kernel's module tun"
        return None

    def namespace(self, node_id):
        """A new one: (path, address in it)."""
        _, descriptor, address = self._ask(f"node {node_id}").split()
        return f"/proc/{self.process.pid}/fd/{descriptor}", address

    def place(self, node):
        node.namespace, node.host = self.namespace(node.id)
        node.address = (node.host, node.port)
        node.peer_address = (node.host, node.peer_port)

    def stats(self):
        carried, packets, lost = self._numbers()
        return f"{carried / 1e6:.1f} MB in {packets} packets, {lost} of them lost"


CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace(descriptor):
    """Of the network; for the calling thread and what it starts."""
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class ChaosNode(Node):
    """A node with a clock and a disk of its own."""

    def __init__(self, cluster, node_id, client_port, home):
        super().__init__(cluster, node_id, client_port, home)
        self.peer_address = None  # where the others reach it, as the network says
        self.namespace = None  # the path of its network namespace, if it has one
        self.clock_path = os.path.join(home, "clock")
        self.disk = None  # where its small file system is mounted
        self.joins = False  # was added to the running cluster
        self.removed = False  # is no member of the cluster any more, or not yet

    def arguments(self):
        command = super().arguments()
        if self.joins:
            command = [word for word in command if not word.startswith("--cluster=")] + ["--join"]
        if self.cluster.shifts_clocks:
            command = ["/usr/bin/env", f"LD_PRELOAD={CLOCK}", f"CHAOS_CLOCK_FILE={self.clock_path}", *command]
        return command

    def start(self):
        # A process begins with the true time: a node takes its first idea of the time from its wall
        # clock, and nobody promises anything about a machine that boots in the wrong year.
        os.makedirs(self.home, exist_ok=True)
        self.shift_clock(0)
        return super().start()

    def at_birth(self):
        super().at_birth()
        if self.namespace is not None:
            with open(self.namespace) as namespace:
                enter_namespace(namespace.fileno())

    def shift_clock(self, offset_us):
        """In place: the server has the file mapped."""
        mode = "r+b" if os.path.exists(self.clock_path) else "w+b"
        with open(self.clock_path, mode) as file:
            file.write(struct.pack("<q", offset_us))

    @property
    def ballast(self):
        return os.path.join(self.disk, "ballast")

    def mount_disk(self):
        self.disk = os.path.join(self.home, "disk")
        os.makedirs(self.disk, exist_ok=True)
        run_as_root("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk)
        self.data_dir = os.path.join(self.disk, "data")

    def unmount_disk(self):
        if self.disk is not None:
            run_as_root("umount", "--lazy", self.disk)
            self.disk = None

    def fill_disk(self):
        """To the last block."""
        file = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = 1 << 20
            while size >= 4096:
                try:
                    os.write(file, bytes(size))
                except OSError:
                    size //= 2
        finally:
            os.close(file)

    def disk_is_full(self):
        return self.disk is not None and os.path.exists(self.ballast)

    def empty_disk(self):
        if self.disk_is_full():
            os.remove(self.ballast)


def run_as_root(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")


def can_mount(folder):
    """None, or why no file systems can be mounted."""
    if os.geteuid() != 0:
        return "needs root, to mount a small file system for each node"
    probe = os.path.join(folder, "mount-probe")
    os.makedirs(probe, exist_ok=True)
    try:
        run_as_root("mount", "-t", "tmpfs", "-o", "size=65536", "tmpfs", probe)
        run_as_root("umount", probe)
    except RuntimeError as error:
        return str(error)
    finally:
        os.rmdir(probe)
    return None


class ChaosCluster(Cluster):
    """Nodes that reach each other through a network that can be broken. All are given the same list of
    addresses, which are the network's."""

    def __init__(self, nodes, flags, home, network, own_disks=False, shifts_clocks=False):
        super().__init__(nodes, flags, home)
        self.shifts_clocks = shifts_clocks
        self.own_disks = own_disks
        self.network = network
        self.nodes = [ChaosNode(self, n.id, n.port, n.home) for n in self.nodes]
        for node in self.nodes:
            self._place(node)
        self.members = ",".join(
            f"{n.id}@{n.host}:{n.port}@{n.peer_address[0]}:{n.peer_address[1]}" for n in self.nodes
        )

    def _place(self, node):
        self.network.place(node)
        os.makedirs(node.home, exist_ok=True)
        if self.own_disks:
            node.mount_disk()

    def spare(self):
        """A node with a new number that is no member yet and does not run."""
        number = max(node.id for node in self.nodes) + 1
        node = ChaosNode(self, number, free_port_base(1), os.path.join(self.home, f"n{number}"))
        node.joins = node.removed = True
        self._place(node)
        self.nodes.append(node)
        return node

    @property
    def serving(self):
        return [node for node in self.nodes if not node.removed]

    def __exit__(self, *_):
        self.close()

    def close(self, keep=True):
        """The folder stays: it belongs to the run."""
        Cluster._live.discard(self)
        self.kill_all()
        self.network.close()
        for node in self.nodes:
            node.unmount_disk()

    def knows_command(self, name):
        return self.wait_leader().call("COMMAND", "INFO", name)[0] is not None

    def transfer(self, leader, target):
        """Asks the leader to hand over; returns its reply, an ErrorReply if it could not be had."""
        try:
            return leader.call("RAFT.TRANSFER", target.id, timeout=5.0)
        except (OSError, ConnectionLost) as error:
            return ErrorReply(f"no answer: {error}")

    def member_ids(self, seconds):
        """Who belongs to the cluster, by a leader that a majority has confirmed."""
        reply = self.wait_leader(seconds).call("RAFT.MEMBERS", "LIST")
        if isinstance(reply, ErrorReply):
            raise AssertionError(f"RAFT.MEMBERS LIST: {reply}")
        members = as_fields(reply)["members"]
        return {as_fields(member)["id"] for member in members}

    def take_members(self, seconds=10):
        """At the end of a run: a change whose answer was lost may have happened later."""
        if not any(node.joins or node.removed for node in self.nodes):
            return
        members = self.member_ids(seconds)
        for node in self.nodes:
            node.removed = node.id not in members


def as_fields(reply):
    """A map as RESP2 has it: names and values in turn."""
    return {reply[i].decode(): reply[i + 1] for i in range(0, len(reply), 2)}
