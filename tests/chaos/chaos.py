#!/usr/bin/python3
"""Real nodes, real clients, faults; then a judgement of what the clients saw. docs/testing.md tells more."""

import argparse
import json
import math
import os
import re
import shlex
import shutil
import signal
import sys
import time
import traceback

from chaos_cluster import CLI, CLIENT, CLOCK, SERVER, TIME_FACTOR, ChaosCluster, Proxy, Router, can_mount
from checks import ClockShifts, Problems, check_all, longest_write_gap
from clients import Load
from faults import Arena, Clock, Disk, Kill, Partition, Pause, Rolling, Slow, Transfer
from finale import checker_available, compare_digests, compare_replicas, read_everything, run_checker, wait_progress
from members import Members
from monitor import Monitor
import schedule

KINDS = {
    "kill": Kill,
    "pause": Pause,
    "partition": Partition,
    "slow": Slow,
    "disk": Disk,
    "members": Members,
    "clock": Clock,
    "transfer": Transfer,
    "rolling": Rolling,
}
TICK_S = 0.02
CHECKER_S = 300
WARM_UP_S = 1.5
LAST_S = 2.0  # load after the last fault
DIGEST_INTERVAL_S = 2


class Run:
    def __init__(self, options):
        self.options = options
        self.folder = options.dir
        self.problems = Problems()
        self.begin = time.monotonic()
        self.report_file = open(os.path.join(self.folder, "report.txt"), "w", buffering=1)
        self.fault_file = open(os.path.join(self.folder, "faults.jsonl"), "w", buffering=1)
        self.clock_shifts = []
        self.filled_disks = False
        self.operations = []

    def say(self, text):
        line = f"{time.monotonic() - self.begin:7.2f} s  {text}"
        print(line, flush=True)
        self.report_file.write(line + "\n")

    def note(self, **fields):
        """A line of faults.jsonl, with the time that histories count in."""
        self.fault_file.write(json.dumps({"ns": time.monotonic_ns(), **fields}) + "\n")

    def log_fault(self, text):
        self.say(text)
        self.note(event=text)

    def fail(self, kind, text):
        self.say(f"problem: {kind}: {text}")
        self.problems.add(kind, text)

    # --- the run

    def go(self):
        options = self.options
        disks = "disk" in options.faults and can_mount(self.folder) is None
        clocks = "clock" in options.faults and os.path.exists(CLOCK) and TIME_FACTOR == 1
        flags = [f"--cluster_id={options.seed % 16**40:040x}", f"--digest_interval={DIGEST_INTERVAL_S}"]
        flags += options.server_flags
        network = (Router if options.netns else Proxy)(options.seed)
        cluster = ChaosCluster(options.nodes, flags, os.path.join(self.folder, "nodes"), network, disks, clocks)
        with cluster:
            monitor = Monitor(cluster)
            arena = Arena(cluster, monitor, self.log_fault)
            try:
                kinds = self.available(arena)
                self.run_load(arena, kinds)
            except Exception as error:  # the run ends, what is known is kept and judged
                self.fail("the run ended early", f"{type(error).__name__}: {error}")
                self.report_file.write(traceback.format_exc())
            finally:
                monitor.stop()
            self.say(f"between the nodes: {cluster.network.stats()}")
            self.changes = monitor.changes()
            self.look_at_logs(cluster)

    def available(self, arena):
        kinds = {}
        for name in self.options.faults:
            reason = KINDS[name].unavailable(arena)
            if reason is None:
                kinds[name] = KINDS[name]
            else:
                self.say(f"no fault '{name}': {reason}")
        return kinds

    def run_load(self, arena, kinds):
        options = self.options
        seconds = math.ceil(options.minutes * 60)
        steps = schedule.draw(options.seed, max(1.0, seconds - WARM_UP_S - LAST_S), kinds) if kinds else []
        with open(os.path.join(self.folder, "schedule.json"), "w") as file:
            json.dump([step.described() for step in steps], file, indent=1)
        load = Load(arena.cluster, os.path.join(self.folder, "histories"), options.seed, seconds)
        begin_ns, end = time.monotonic_ns(), time.monotonic() + seconds
        try:
            time.sleep(WARM_UP_S)
            for step in steps:
                if time.monotonic() > end - LAST_S:
                    break
                self.run_step(arena, step, end - LAST_S, load)
            time.sleep(max(0.0, end - time.monotonic()))
            load.finish(30 * TIME_FACTOR)
        finally:
            load.kill()
            self.operations = load.operations()
        self.gap = longest_write_gap(self.operations, begin_ns, int(end * 1e9))
        arena.cluster.take_members()
        took = wait_progress(arena.cluster)
        self.say(f"all healed; the cluster went on within {took:.2f} s")
        time.sleep(1.0)  # the locks' time is over
        self.operations += read_everything(arena.cluster, self.operations)
        index, keys = compare_replicas(arena.cluster, self.problems)
        self.say(f"{len(arena.cluster.serving)} members compared: {keys} keys at index {index}")
        index = compare_digests(arena.cluster, self.problems)
        self.say(f"they have compared digests themselves, the last time behind index {index}")

    def run_step(self, arena, step, end, load):
        faults = [KINDS[kind](arena, parameters) for kind, parameters in step.faults]
        self.note(step=step.described())
        begun = []
        began_ns = time.monotonic_ns()
        try:
            for fault in faults:
                begun.append(fault)
                fault.begin()
            until = min(end, time.monotonic() + step.hold)
            while time.monotonic() < until:
                for fault in faults:
                    fault.tick()
                time.sleep(TICK_S)
        finally:
            self.heal(arena, begun, began_ns)
        self.look_at_processes(arena.cluster, load)
        time.sleep(max(0.0, min(step.rest, end - time.monotonic())))

    def heal(self, arena, faults, began_ns):
        for fault in sorted(faults, key=lambda fault: fault.HEALED):
            fault.heal()
            self.filled_disks |= isinstance(fault, Disk)
            if isinstance(fault, Clock):
                offset = abs(fault.parameters["offset_s"]) * 1e9
                self.clock_shifts.append((began_ns, time.monotonic_ns(), offset))
        self.note(event="healed")

    def look_at_processes(self, cluster, load):
        for node in cluster.serving:
            if not node.alive() and not node.expected_to_end:
                node.expected_to_end = True
                self.fail("a node ended", f"{node} by itself, exit code {node.process.returncode}; see {node.log_path}")
        if load.fault():
            raise AssertionError(load.fault())

    def look_at_logs(self, cluster):
        for node in cluster.nodes:
            if node.sanitizer_report():
                self.fail("a sanitizer reported", f"{node}; see {node.log_path}")

    # --- the judgement

    def judge(self):
        operations = self.operations
        history = os.path.join(self.folder, "history.jsonl")
        with open(history, "w") as file:
            for op in sorted(operations, key=lambda op: op["call"]):
                if op["op"] != "lock":
                    line = {name: value for name, value in op.items() if name != "error"}
                    file.write(json.dumps(line) + "\n")
        found, holdings = check_all(operations, ClockShifts(self.clock_shifts), self.filled_disks)
        self.problems.found += found.found
        self.problems.counts.update(found.counts)
        if not operations:
            self.problems.add("nothing was measured", "no history was written")
        elif not holdings:
            self.problems.add("nothing was measured", "no lock was ever held")
        self.judged = "checked"
        if not checker_available():
            self.say("raftkv-cli has no command 'check': only the quick checks are made")
        elif operations:
            code, output = run_checker(history, self.folder, CHECKER_S * TIME_FACTOR)
            self.judged = "linearizable"
            if code != 0:
                kind = "not linearizable" if code == 1 else "no verdict"
                self.fail(kind, f"raftkv-cli check ended with {code}: {output.strip()[:600]}")
        with open(os.path.join(self.folder, "problems.json"), "w") as file:
            json.dump({"counts": dict(self.problems.counts), "problems": self.problems.found}, file, indent=1)
        self.summary(operations, holdings)

    def summary(self, operations, holdings):
        outcomes = {True: 0, False: 0, "unknown": 0}
        for op in operations:
            outcomes[op["ok"]] += 1
        errors = {}
        for op in operations:
            if "error" in op:
                text = re.sub(r"[0-9]+", "N", op["error"])[:100]
                errors[text] = errors.get(text, 0) + 1
        self.say(f"{outcomes[True]} done, {outcomes[False]} refused, {outcomes['unknown']} unknown; {holdings} locks held")
        with open(os.path.join(self.folder, "errors.json"), "w") as file:
            json.dump(dict(sorted(errors.items(), key=lambda pair: -pair[1])), file, indent=1)
        if len(self.problems):
            for kind, count in self.problems.counts.most_common():
                example = next(p["what"] for p in self.problems.found if p["kind"] == kind)
                self.say(f"{kind} ({count}): {example}")
            verdict = f"FAIL: {len(self.problems)} problems in {len(operations)} events; all about it is in {self.folder}"
        else:
            gap_ms = self.gap[0] / 1e6
            verdict = (
                f"PASS: checked {len(operations)} events; {self.judged}; no stale reads; "
                f"{self.changes} leader changes; longest write gap {gap_ms:.0f} ms"
            )
        print(verdict, flush=True)
        self.report_file.write(verdict + "\n")


def parse(arguments):
    flags = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, flags = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(prog="scripts/chaos.sh", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of load, default 2")
    parser.add_argument("--nodes", type=int, default=5, help="3 to 9, default 5")
    parser.add_argument("--faults", default=",".join(KINDS), help="of these, separated by commas: %(default)s")
    parser.add_argument("--seed", type=int, help="of all draws; default: drawn anew")
    parser.add_argument("--dir", help="where everything goes; default: a new folder in the build folder")
    parser.add_argument("--netns", action="store_true", help="each node in a network namespace, real packets")
    parser.add_argument("--keep", action="store_true", help="keep the folder after a PASS, too")
    options = parser.parse_args(arguments)
    options.server_flags = flags
    options.faults = [name for name in options.faults.split(",") if name]
    unknown = [name for name in options.faults if name not in KINDS]
    if unknown:
        parser.error(f"no fault '{unknown[0]}': {', '.join(KINDS)}")
    if not 3 <= options.nodes <= 9:
        parser.error("--nodes takes a number from 3 to 9")
    if not 0.1 <= options.minutes <= 1440:
        parser.error("--minutes takes a number from 0.1 to 1440")
    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "little")
    if not 0 <= options.seed < 2**62:
        parser.error("--seed takes a number from 0 to 2^62")
    return options


def prepare_folder(options):
    """An empty one, so that nothing of another run is taken for this one's."""
    if options.dir is None:
        root = os.path.join(os.path.dirname(SERVER), "chaos")
        options.dir = os.path.join(root, time.strftime("%Y%m%d-%H%M%S-") + str(options.seed))
        options.keep_on_pass = options.keep
    else:
        options.keep_on_pass = True
    options.dir = os.path.abspath(options.dir)
    if os.path.exists(options.dir) and os.listdir(options.dir):
        sys.exit(f"{options.dir} is not empty: give another --dir, or remove it")
    os.makedirs(options.dir, exist_ok=True)


def command_line(options):
    words = ["scripts/chaos.sh", "--seed", str(options.seed), "--minutes", f"{options.minutes:g}"]
    words += ["--nodes", str(options.nodes), "--faults", ",".join(options.faults)]
    if options.netns:
        words.append("--netns")
    if options.server_flags:
        words += ["--", *options.server_flags]
    return shlex.join(words)


def main(arguments):
    options = parse(arguments)
    reason = Router.unavailable() if options.netns else None
    if reason is not None:
        sys.exit(f"--netns: {reason}")
    for binary in (SERVER, CLI, (Router if options.netns else Proxy).PROGRAM, CLIENT):
        if not os.access(binary, os.X_OK):
            sys.exit(f"{binary} is missing: build first, or set RAFTKV_BUILD_DIR")
    prepare_folder(options)
    # Nothing may outlive the run: an end by signal is an exception like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(options)
    command = command_line(options)
    with open(os.path.join(options.dir, "repeat.sh"), "w") as file:
        file.write(f"#!/bin/sh\n{command}\n")
    run.say(command)
    run.go()
    run.judge()
    if len(run.problems):
        return 1
    if not options.keep_on_pass:
        shutil.rmtree(options.dir, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
