"""Runs redis-benchmark against RaftKV and Redis in turn; scripts/bench.sh --help tells the rest."""

import argparse
import csv
import io
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "integration"))
from cluster import BUILD_DIR, HOST, Cluster, die_with_parent, free_port_base, until  # noqa: E402
from wire import Connection, ConnectionLost  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
PROBE_REQUESTS = 3000


def process_facts(pid):
    """CPU seconds, bytes written to disk, resident bytes."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    facts = {"cpu_s": (int(fields[11]) + int(fields[12])) / TICKS, "written": 0, "rss": 0}
    try:
        with open(f"/proc/{pid}/io") as file:
            facts["written"] = int(re.search(r"^write_bytes: (\d+)", file.read(), re.MULTILINE).group(1))
    except PermissionError:
        pass
    with open(f"/proc/{pid}/status") as file:
        facts["rss"] = int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.MULTILINE).group(1)) * 1024
    return facts


class RedisSystem:
    """One stock Redis server that syncs each write."""

    name = "Redis"

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix="redis-", dir=folder)
        self.port = free_port_base(1)
        self.start(["--appendonly", "yes", "--appendfsync", "always"])

    def start(self, flags):
        # redis-server is the same program as redis-check-rdb, which comes without a service.
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", HOST, "--dir", self.folder, "--save", "", *flags],
            executable=program,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        until(self.answers, 20, "Redis answers")

    def answers(self):
        try:
            with Connection((HOST, self.port), timeout=1) as connection:
                return connection.call("PING") == "PONG"
        except (OSError, ConnectionLost):
            return False

    def target(self):
        return self.port

    def pids(self):
        return {"leader": self.process.pid}

    def counters(self):
        return {}

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.folder)


class RaftkvSystem:
    def __init__(self, folder, nodes, flags):
        self.name = f"RaftKV, {nodes} node" + ("s" if nodes > 1 else "")
        os.environ["RAFTKV_TEST_DIR"] = folder
        self.cluster = Cluster(nodes, flags)
        self.cluster.__enter__()
        self.leader = self.cluster.wait_leader(agreed=True)

    def target(self):
        if self.cluster.wait_leader() is not self.leader:
            raise RuntimeError(f"{self.name}: the leader changed during the measurement")
        return self.leader.port

    def pids(self):
        pids = {"leader": self.leader.process.pid}
        for node in self.cluster.nodes:
            if node is not self.leader:
                pids[f"follower {node.id}"] = node.process.pid
        return pids

    def counters(self):
        fields = self.leader.raft()
        return {
            name: int(fields["raft_" + name]) for name in ("syncs", "entries_applied", "commands_applied")
        }

    def close(self):
        self.cluster.__exit__(None)


def run_benchmark(port, test, point, requests):
    """One run of redis-benchmark: the row of its CSV, and how long it took."""
    clients, pipeline = point
    command = ["redis-benchmark", "-h", HOST, "-p", str(port), "-t", test, "-c", str(clients)]
    command += ["-P", str(pipeline), "-n", str(requests), "-d", "64", "-r", "1000000", "--csv"]
    started = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    seconds = time.monotonic() - started
    if result.returncode != 0 or "rror" in result.stdout + result.stderr:
        raise RuntimeError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
    return list(csv.DictReader(io.StringIO(result.stdout)))[-1], seconds


def measure(system, test, point, requests):
    """Figures of one run; per-command ones are divided by the number of requests."""
    port = system.target()
    pids = system.pids()
    before = {role: process_facts(pid) for role, pid in pids.items()}
    counted = system.counters()
    row, seconds = run_benchmark(port, test, point, requests)
    after = {role: process_facts(pid) for role, pid in pids.items()}
    counted = {name: value - counted[name] for name, value in system.counters().items()}
    system.target()  # still the same leader?
    followers = [role for role in pids if role != "leader"]

    def per_command(role, what, scale):
        return (after[role][what] - before[role][what]) * scale / requests

    figures = {
        "requests": requests,
        "seconds": seconds,
        "rps": float(row["rps"]),
        "p50_ms": float(row["p50_latency_ms"]),
        "p99_ms": float(row["p99_latency_ms"]),
        "leader_cpu_us": per_command("leader", "cpu_s", 1e6),
        "leader_written_bytes": per_command("leader", "written", 1),
        "leader_rss_mb": after["leader"]["rss"] / 1e6,
    }
    if followers:
        figures["follower_cpu_us"] = statistics.mean(per_command(r, "cpu_s", 1e6) for r in followers)
        figures["follower_rss_mb"] = statistics.mean(after[r]["rss"] / 1e6 for r in followers)
    if counted:
        figures["syncs_per_s"] = counted["syncs"] / seconds
        if counted["entries_applied"]:
            figures["commands_per_entry"] = counted["commands_applied"] / counted["entries_applied"]
    return figures


def requests_for(system, test, point, seconds):
    """How many requests keep this system busy for so long."""
    clients, pipeline = point
    probe = max(PROBE_REQUESTS, clients * pipeline * 10)
    while True:
        row, took = run_benchmark(system.target(), test, point, probe)
        if took > 0.5 or probe > 500_000:
            return max(probe, int(float(row["rps"]) * seconds * 1.1))
        probe *= 4


def parse_point(text):
    match = re.fullmatch(r"c(\d+)(?:P(\d+))?", text)
    if not match:
        raise SystemExit(f"bench.sh: '{text}' is no point; write c50 or c50P16")
    return int(match.group(1)), int(match.group(2) or 1)


def run_round(open_system, arguments, planned, results):
    """One system with fresh data through all points and tests. SETs first: they fill what GETs read."""
    system = open_system()
    try:
        for test in arguments.tests:
            for label in arguments.points:
                point = parse_point(label)
                key = (system.name, test, label)
                if key not in planned:
                    planned[key] = requests_for(system, test, point, arguments.seconds)
                figures = measure(system, test, point, planned[key])
                results.setdefault(key, []).append(figures)
                print(f"{system.name}: {test} {label}: {figures['rps']:,.0f}/s", file=sys.stderr, flush=True)
    finally:
        system.close()


def spread(values, form):
    """median (min - max)"""
    return f"{form(statistics.median(values))} ({form(min(values))} - {form(max(values))})"


def thousands(value):
    return f"{value:,.0f}"


def row_of(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def tables(nodes, arguments, results, ratios):
    ours = f"RaftKV, {nodes} node" + ("s" if nodes > 1 else "")
    with_redis = not arguments.no_redis
    yield f"### {nodes} node" + ("s" if nodes > 1 else "")
    yield ""
    header = ["", "RaftKV/s", "Redis/s", "ratio", "p50, p99 ms", "Redis' p50, p99"]
    if not with_redis:
        header = ["", "RaftKV/s", "p50, p99 ms"]
    yield row_of(header)
    yield row_of(["---"] * len(header))
    for test in arguments.tests:
        for label in arguments.points:
            runs = results[(ours, test, label)]
            cells = [f"{test.upper()} {label}", spread([r["rps"] for r in runs], thousands)]
            latency = [latency_cell(runs, label)]
            if with_redis:
                yard = results[("Redis", test, label, nodes)]
                cells.append(spread([r["rps"] for r in yard], thousands))
                cells.append(spread(ratios[(nodes, test, label)], lambda v: f"{v:.2f}"))
                latency.append(latency_cell(yard, label))
            yield row_of(cells + latency)
    yield ""
    names = ["leader_cpu_us", "follower_cpu_us", "leader_written_bytes", "syncs_per_s", "commands_per_entry"]
    names += ["leader_rss_mb", "follower_rss_mb"]
    titles = ["CPU us a command, leader", "a follower", "bytes written a command", "syncs/s", "commands an entry"]
    titles += ["RSS MB, leader", "a follower"]
    if with_redis:
        titles.append("Redis: CPU us, bytes, RSS MB")
    yield row_of([""] + titles)
    yield row_of(["---"] * (len(titles) + 1))
    for test in arguments.tests:
        for label in arguments.points:
            runs = results[(ours, test, label)]
            cells = [f"{test.upper()} {label}"] + [median_of(runs, name) for name in names]
            if with_redis:
                yard = results[("Redis", test, label, nodes)]
                cells.append(", ".join(median_of(yard, n) for n in ("leader_cpu_us", "leader_written_bytes", "leader_rss_mb")))
            yield row_of(cells)
    yield ""


def latency_cell(runs, label):
    """With a pipeline redis-benchmark stops its clock at the first reply of a batch: no figure then."""
    if parse_point(label)[1] != 1:
        return ""
    return ", ".join(f"{statistics.median(r[name] for r in runs):.2f}" for name in ("p50_ms", "p99_ms"))


def median_of(runs, name):
    values = [run[name] for run in runs if name in run]
    if not values:
        return ""
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.1f}"


def machine():
    with open("/proc/cpuinfo") as file:
        models = re.findall(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), Linux {platform.release()}"


def main():
    own, flags = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, flags = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(prog="bench.sh")
    parser.add_argument("--nodes", default="1,3,5", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--seconds", default=5.0, type=float)
    parser.add_argument("--points", default="c1,c50,c50P16,c256P32", type=lambda text: text.split(","))
    parser.add_argument("--tests", default="set,get", type=lambda text: text.split(","))
    parser.add_argument("--read-mode", default="read_index")
    parser.add_argument("--dir", default=os.path.join(BUILD_DIR, "bench"))
    parser.add_argument("--json")
    parser.add_argument("--no-redis", action="store_true")
    arguments = parser.parse_args(own)
    for label in arguments.points:
        parse_point(label)
    os.makedirs(arguments.dir, exist_ok=True)
    flags = [f"--read_mode={arguments.read_mode}", *flags]

    planned, results, ratios = {}, {}, {}
    for nodes in arguments.nodes:
        yard = {}
        for _ in range(arguments.rounds):
            if not arguments.no_redis:
                run_round(lambda: RedisSystem(arguments.dir), arguments, planned, yard)
            run_round(lambda: RaftkvSystem(arguments.dir, nodes, flags), arguments, planned, results)
        for (name, test, label), runs in yard.items():
            results[(name, test, label, nodes)] = runs
            ours = next(v for k, v in results.items() if k[1:] == (test, label) and k[0].startswith(f"RaftKV, {nodes} "))
            ratios[(nodes, test, label)] = [a["rps"] / b["rps"] for a, b in zip(ours, runs)]

    if arguments.json:
        rows = [{"system": k[0], "test": k[1], "point": k[2], "beside_nodes": k[3] if len(k) > 3 else None, "runs": v}
                for k, v in results.items()]
        text = json.dumps({"machine": machine(), "read_mode": arguments.read_mode, "results": rows}, indent=1)
        if arguments.json == "-":
            print(text)
            return
        with open(arguments.json, "w") as file:
            file.write(text + "\n")
    print(f"{machine()}; {arguments.rounds} rounds, median (min - max); reads: {arguments.read_mode}.\n")
    for nodes in arguments.nodes:
        print("\n".join(tables(nodes, arguments, results, ratios)))


if __name__ == "__main__":
    main()
