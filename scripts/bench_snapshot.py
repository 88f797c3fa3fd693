#!/usr/bin/python3 -B
"""Measures what a snapshot costs the clients, beside BGSAVE of a stock Redis, and how long its file loads.

   scripts/bench_snapshot.py [--nodes 1,3] [--keys 1000000] [--value-size 100] [--seconds 10]
                             [--clients 50] [--rounds 3] [--rest 45] [--dir FOLDER] [--json]

A round opens each system with fresh data, fills it with so many keys, finds the rate of writes that it
bears for a minute, and then writes at half of that rate: without a snapshot, and with one begun after a fifth of
the time (BGSAVE; of several nodes on the leader, and once more on all at once). Latencies count from the time at which
each write was due, so what waits behind a stall is part of them; those of the first second, in which all
connections open, are not counted. A virtual machine often has credit that syncs use up, and stands still for
some ms of each 100 ms when it is used up: so nothing is done for --rest seconds before each measurement. "Stood
still" is how long a thread of the highest priority (root only) had to wait for its core meanwhile, at the longest
and in all: what the machine and its kernel took away. "Longest sync" is that of a page of a file beside the data,
which is written and synced every 20 ms: a disk that stops for all. Memory is the largest resident size of any node,
against that before the snapshot. At the end Redis, and the only node of a cluster of one, are started again on the
file they wrote, and the time until they serve is taken.

The load is raftkv-cli bench --rate, for both. Build first (scripts/build.sh); writes a Markdown table.
"""

import argparse
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import RaftkvSystem, RedisSystem, machine, process_facts, row_of  # noqa: E402
from cluster import CLI, HOST, until  # noqa: E402
from wire import Connection, ConnectionLost, ErrorReply  # noqa: E402

PIPELINE = 16
FILL_BATCH = 1000
WARMUP_S = 1  # all connections open at once, after a rest: the longest waits of a run are often these
MOST_S = 60  # the speed of a virtual machine changes from second to second
# No snapshot comes by itself during a measurement.
QUIET_FLAGS = ["--snapshot_log_bytes=0", "--snapshot_entries=0"]


def raftkv_bench(port, arguments, **more):
    command = [CLI, "bench", "--nodes", f"{HOST}:{port}", "--json"]
    command += ["--clients", str(arguments.clients)]
    command += ["--pipeline", str(PIPELINE), "--value_size", str(arguments.value_size)]
    command += ["--keyspace", str(arguments.keys)]
    for name, value in more.items():
        command += [f"--{name}", str(value)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    figures = json.loads(result.stdout)
    if figures["errors"] or figures["unknown"]:
        raise RuntimeError(f"{' '.join(command)}: {figures['first_error']}")
    return figures


def fill(port, arguments):
    """Every key of the bench's keyspace, once."""
    value = b"v" * arguments.value_size
    with Connection((HOST, port), timeout=60) as connection:
        for first in range(0, arguments.keys, FILL_BATCH):
            last = min(first + FILL_BATCH, arguments.keys)
            for reply in connection.pipeline([("SET", f"bench:{key:012d}", value) for key in range(first, last)]):
                if reply != "OK":
                    raise RuntimeError(f"SET was answered with {reply}")


class Watcher:
    """Calls look() every PERIOD_S on a thread of its own, while it is open."""

    def __init__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(self.PERIOD_S):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Memory(Watcher):
    """The largest resident size of each process while it is open."""

    PERIOD_S = 0.2

    def __init__(self, pids):
        super().__init__()
        self.pids = pids
        self.before = [resident(pid) for pid in pids]
        self.largest = list(self.before)

    def look(self):
        self.largest = [max(old, resident(pid)) for old, pid in zip(self.largest, self.pids)]

    def growth(self):
        return max(after / before for before, after in zip(self.before, self.largest))


def resident(pid):
    """With its children: Redis forks for a snapshot. What they share counts once (by shares, Pss)."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    if not children:
        return process_facts(pid)["rss"]
    total = 0
    for process in [pid, *children]:
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                total += int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024
        except (FileNotFoundError, ProcessLookupError, AttributeError):
            pass  # the child has ended meanwhile
    return total


class DiskWitness(Watcher):
    """The longest time in ms that a page of a file in this folder took to be written and synced, while it is open."""

    PERIOD_S = 0.02

    def __init__(self, folder):
        super().__init__()
        self.file = tempfile.TemporaryFile(dir=folder)
        self.write()  # a block of its own, before it counts
        self.longest = 0

    def write(self):
        os.pwrite(self.file.fileno(), b"w" * 4096, 0)
        os.fdatasync(self.file.fileno())

    def look(self):
        began = time.monotonic()
        self.write()
        self.longest = max(self.longest, time.monotonic() - began)

    def __exit__(self, *_):
        super().__exit__()
        self.file.close()

    def figures(self, before=""):
        return {before + "sync_ms": 1000 * self.longest}


class Standstill:
    """How long the machine let a thread of the highest priority wait for its core, while it is open: the longest
    time in ms, and all of them as a share, of the core that was worst. No figures if priorities are not for us."""

    PERIOD_S = 0.002
    USUAL_S = 0.001  # what timers and short pieces of the kernel may take

    def __init__(self):
        self.fork = multiprocessing.get_context("fork")
        self.over = self.fork.Event()
        self.watchers = []

    def watch(self, core, late):
        os.sched_setaffinity(0, {core})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
        while not self.over.is_set():
            due = time.monotonic() + self.PERIOD_S
            time.sleep(self.PERIOD_S)
            lateness = time.monotonic() - due
            late[0] = max(late[0], lateness)
            late[1] += lateness if lateness > self.USUAL_S else 0

    def __enter__(self):
        cores = sorted(os.sched_getaffinity(0)) if os.geteuid() == 0 else []
        self.late = [self.fork.Array("d", 2, lock=False) for _ in cores]
        for core, late in zip(cores, self.late):
            self.watchers.append(self.fork.Process(target=self.watch, args=(core, late), daemon=True))
            self.watchers[-1].start()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.over.set()
        for watcher in self.watchers:
            watcher.join()
        self.took = time.monotonic() - self.began

    def figures(self, before=""):
        if not self.late:
            return {}
        longest = max(late[0] for late in self.late)
        return {
            before + "still_ms": 1000 * longest,
            before + "still_share": max(late[1] for late in self.late) / self.took,
        }


def persistence(port):
    with Connection((HOST, port), timeout=10) as connection:
        text = connection.call("INFO", "persistence").decode()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def save(ports):
    """BGSAVE on each of these nodes at once; returns how long the longest took."""
    started = time.monotonic()
    for port in ports:
        with Connection((HOST, port), timeout=10) as connection:
            reply = connection.call("BGSAVE")
            if isinstance(reply, ErrorReply):
                raise RuntimeError(f"BGSAVE was answered with {reply}")
    for port in ports:
        until(lambda port=port: persistence(port)["rdb_bgsave_in_progress"] == "0", 300, "the snapshot is written")
        if persistence(port)["rdb_last_bgsave_status"] != "ok":
            raise RuntimeError("the snapshot failed")
    return time.monotonic() - started


def whose_snapshots(system):
    """Who takes a snapshot, by what stands in the table's row: nodes whose snapshots are due by the bytes of their
    log take them one after another, and BGSAVE can be sent to all of them."""
    if not isinstance(system, RaftkvSystem):
        return {"": [system.port]}
    nodes = system.cluster.nodes
    if len(nodes) == 1:
        return {"": [nodes[0].port]}
    return {", the leader's": [system.leader.port], ", all at once": [node.port for node in nodes]}


def measure_saving(system, ports, rate, arguments):
    took = []
    time.sleep(arguments.rest)
    disk = DiskWitness(arguments.dir)
    with Standstill() as standstill, disk, Memory(list(system.pids().values())) as memory:
        saver = threading.Timer(arguments.seconds / 5, lambda: took.append(save(ports)))
        saver.start()
        saving = raftkv_bench(
            system.target(), arguments, duration_s=arguments.seconds, warmup_s=WARMUP_S, rate=rate
        )
        saver.join()
    if not took:
        raise RuntimeError("the snapshot could not be taken")
    figures = {"p99_ms": saving["p99_ms"], "max_ms": saving["max_ms"], "snapshot_s": took[0]}
    return figures | {"memory": memory.growth()} | standstill.figures() | disk.figures()


def measure(system, arguments):
    """The figures by the names of the rows."""
    port = system.target()
    fill(port, arguments)
    most = raftkv_bench(port, arguments, duration_s=MOST_S)["throughput_ops_per_s"]
    rate = int(most / 2)
    time.sleep(arguments.rest)
    with Standstill() as standstill, DiskWitness(arguments.dir) as disk:
        calm = raftkv_bench(port, arguments, duration_s=arguments.seconds, warmup_s=WARMUP_S, rate=rate)
    without = {"rate": rate, "calm_p99_ms": calm["p99_ms"], "calm_max_ms": calm["max_ms"]}
    without |= standstill.figures("calm_") | disk.figures("calm_")
    rows = {
        system.name + whose: without | measure_saving(system, ports, rate, arguments)
        for whose, ports in whose_snapshots(system).items()
    }
    system.target()
    return rows


class SnapshotRedis(RedisSystem):
    """Without rewrites of its append-only file, which would take the place of the snapshot."""

    def __init__(self, folder):
        super().__init__(folder)
        with Connection((HOST, self.port), timeout=10) as connection:
            connection.call("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")


def serves(port):
    try:
        with Connection((HOST, port), timeout=5) as connection:
            return not isinstance(connection.call("GET", "bench:000000000000"), ErrorReply)
    except (OSError, ConnectionLost):
        return False


def load_redis(system):
    """A stock Redis on the file that BGSAVE wrote, without its append-only file."""
    system.process.kill()
    system.process.wait()
    started = time.monotonic()
    system.start(["--appendonly", "no"])
    until(lambda: serves(system.port), 120, "Redis serves", pause=0.005)
    return time.monotonic() - started


def load_raftkv(system):
    """The only node of a cluster, killed and started again: it loads its snapshot, and the log behind it."""
    node = system.leader
    node.kill()
    started = time.monotonic()
    node.start()
    until(lambda: serves(node.port), 120, "the node serves", pause=0.005)
    return time.monotonic() - started


def run(open_system, load, arguments):
    system = open_system()
    try:
        rows = measure(system, arguments)
        if load:
            # Everything into the file: a second snapshot, without writes meanwhile.
            save(next(iter(whose_snapshots(system).values())))
            for figures in rows.values():
                figures["load_s"] = load(system)
        for name, figures in rows.items():
            print(f"{name}: {figures}", file=sys.stderr, flush=True)
        return rows
    finally:
        system.close()


def median(rounds, name, form="{:.2f}"):
    values = [figures[name] for figures in rounds if name in figures]
    if not values:
        return ""
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} - {form.format(max(values))})"


def main():
    parser = argparse.ArgumentParser(
        prog="bench_snapshot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", default="1,3", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--keys", default=1_000_000, type=int)
    parser.add_argument("--value-size", default=100, type=int)
    parser.add_argument("--seconds", default=10, type=int)
    parser.add_argument("--clients", default=50, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--rest", default=45, type=int, help="seconds of idleness before each measurement")
    parser.add_argument("--dir", default=None, help="where the data goes: on a real disk")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # the servers end with it
    folder = arguments.dir or tempfile.gettempdir()
    results = {}
    systems = [(lambda: SnapshotRedis(folder), load_redis)]
    for nodes in arguments.nodes:
        systems.append(
            (lambda nodes=nodes: RaftkvSystem(folder, nodes, QUIET_FLAGS), load_raftkv if nodes == 1 else None)
        )
    for _ in range(arguments.rounds):
        for open_system, load in systems:
            for name, figures in run(open_system, load, arguments).items():
                results.setdefault(name, []).append(figures)
    if arguments.json:
        print(json.dumps({"machine": machine(), "results": results}, indent=1))
        return
    print(f"{machine()}; {arguments.rounds} rounds, median (least - most); {arguments.keys:,} keys.\n")
    names = ["rate", "calm_p99_ms", "p99_ms", "calm_max_ms", "max_ms", "calm_still_ms", "still_ms"]
    names += ["calm_still_share", "still_share", "calm_sync_ms", "sync_ms", "snapshot_s", "memory", "load_s"]
    titles = ["", "writes/s", "p99 ms without", "p99 ms with", "longest ms without", "longest ms with"]
    titles += ["stood still ms without", "stood still ms with", "stood still, share without", "share with"]
    titles += ["longest sync ms without", "longest sync ms with", "snapshot s", "memory, times", "load s"]
    print(row_of(titles))
    print(row_of(["---"] * len(titles)))
    for system, rounds in results.items():
        print(row_of([system, *(median(rounds, name, "{:,.0f}" if name == "rate" else "{:.2f}") for name in names)]))


if __name__ == "__main__":
    main()
