#!/usr/bin/python3 -B
"""Shows that the disk use of a node stays bounded under endless overwrites.

   scripts/disk_curve.py [--nodes 3] [--writes 20000000] [--keys 100000] [--value-size 64]
                         [--rows 25] [--dir FOLDER] [--json] [-- server flags]

Starts a cluster with fresh data, overwrites so many keys again and again (redis-benchmark, 64 clients,
pipeline 32), and looks at the leader's and a follower's data directory each second. Writes a Markdown
table of the run, with its greatest figures; exit code 1 if the second half of the run needed more disk
than the first half by more than a tenth. Build first (scripts/build.sh).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import RaftkvSystem, machine, row_of  # noqa: E402
from cluster import HOST  # noqa: E402

MIB = 1 << 20


def allocated(folder):
    """Bytes of disk under a folder; files that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def sample(system, started):
    leader = system.leader
    follower = next((node for node in system.cluster.nodes if node is not leader), None)
    fields = leader.raft()
    return {
        "seconds": time.monotonic() - started,
        "writes": int(fields["raft_commands_applied"]),
        "snapshot_index": int(fields["raft_snapshot_index"]),
        "leader_mib": allocated(leader.data_dir) / MIB,
        "follower_mib": allocated(follower.data_dir) / MIB if follower else 0.0,
    }


def run(arguments, flags):
    system = RaftkvSystem(arguments.dir or tempfile.gettempdir(), arguments.nodes, flags)
    try:
        command = ["redis-benchmark", "-h", HOST, "-p", str(system.target()), "-t", "set", "-c", "64", "-P", "32"]
        command += ["-n", str(arguments.writes), "-r", str(arguments.keys), "-d", str(arguments.value_size), "-q"]
        started = time.monotonic()
        load = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        samples = [sample(system, started)]
        while load.poll() is None:
            time.sleep(1)
            samples.append(sample(system, started))
        samples.append(sample(system, started))
        if load.returncode != 0:
            raise RuntimeError(f"redis-benchmark ended with {load.returncode}")
        return samples
    finally:
        system.close()


def main():
    own, flags = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, flags = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="disk_curve.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", default=3, type=int)
    parser.add_argument("--writes", default=20_000_000, type=int)
    parser.add_argument("--keys", default=100_000, type=int)
    parser.add_argument("--value-size", default=64, type=int)
    parser.add_argument("--rows", default=25, type=int)
    parser.add_argument("--dir", default=None, help="where the data goes: on a real disk")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(own)
    samples = run(arguments, flags)
    if samples[-1]["writes"] < arguments.writes:
        raise SystemExit(f"disk_curve.py: only {samples[-1]['writes']:,} of {arguments.writes:,} writes were done")
    half = len(samples) // 2
    first, second = (max(one["leader_mib"] for one in part) for part in (samples[:half], samples[half:]))
    if arguments.json:
        print(json.dumps({"machine": machine(), "flags": flags, "samples": samples}, indent=1))
    else:
        print(f"{machine()}; {arguments.nodes} nodes {' '.join(flags)}\n")
        print(row_of(["seconds", "writes", "snapshot index", "leader MiB", "follower MiB"]))
        print(row_of(["---"] * 5))
        step = max(1, len(samples) // arguments.rows)
        for one in [*samples[:-1:step], samples[-1]]:
            cells = [f"{one['seconds']:.0f}", f"{one['writes']:,}", f"{one['snapshot_index']:,}"]
            print(row_of([*cells, f"{one['leader_mib']:.0f}", f"{one['follower_mib']:.0f}"]))
        print(f"\nAt most {first:.0f} MiB in the first half of the run, {second:.0f} MiB in the second (leader).")
    sys.exit(0 if second <= 1.1 * first else 1)


if __name__ == "__main__":
    main()
