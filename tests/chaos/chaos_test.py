#!/usr/bin/python3
"""The chaos run itself, short, and that its quick checks find what they are there for."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from chaos_cluster import BUILD_DIR, CLOCK, TIME_FACTOR, ChaosCluster, Proxy, Router
from chaos import KINDS
from checks import FINAL_CLIENT, ClockShifts, check_all
from cluster import main
from proxy_test import ProxyRules  # noqa: F401  (its tests belong to this run)
from router_test import RouterRules  # noqa: F401  (and these)
import schedule

SHORT_RUN = ("--minutes", "0.6", "--faults", "kill,pause,partition,transfer")
SHORT_RUN_OF_PACKETS = ("--netns", "--minutes", "0.4", "--faults", "kill,partition,slow")
MS = 1_000_000


class Story:
    """A history in milliseconds, told in order: story.set("a").get("a")."""

    def __init__(self, key):
        self.key = key
        self.operations = []
        self.now = 0

    def add(self, op, ok=True, client=1, lasts=1, **fields):
        self.now += 1
        ended = self.now + lasts
        line = {"client": client, "op": op, "key": self.key, **fields, "ok": ok}
        self.operations.append({**line, "call": self.now * MS, "return": ended * MS})
        self.now = ended
        return self

    def set(self, value, **more):
        return self.add("set", value=value, **more)

    def get(self, value, **more):
        return self.add("get", value=value, **more)

    def incr(self, result, **more):
        return self.add("incr", value=1, result=result, **more)

    def append(self, value, result, **more):
        return self.add("append", value=value, result=result, **more)

    def lock(self, at, released, ttl_ms=600):
        self.operations.append(
            {
                **{"client": 1, "op": "lock", "key": self.key, "ttl_ms": ttl_ms, "ok": True},
                **{"call": at * MS, "held_from": (at + 1) * MS, "return": (at + 2) * MS},
                "released": None if released is None else released * MS,
            }
        )
        return self


class QuickChecks(unittest.TestCase):
    def found(self, story, shifts=ClockShifts()):
        problems, _ = check_all(story.operations, shifts)
        return set(problems.counts)

    def test_registers_that_behave_pass(self):
        story = Story("reg:0:0").get(None).set("a").get("a").set("b", ok="unknown").get("a").get("b")
        story.add("del", result=1).get(None).set("c", ok=False).get(None)
        self.assertEqual(self.found(story), set())

    def test_a_value_that_was_overwritten_is_stale(self):
        self.assertEqual(self.found(Story("reg:0:0").set("a").set("b").get("a")), {"stale read"})

    def test_an_unknown_write_that_was_seen_overwrites_too(self):
        story = Story("reg:0:0").set("a").set("b", ok="unknown").get("b").get("a")
        self.assertEqual(self.found(story), {"stale read"})

    def test_nothing_read_after_a_write_is_a_loss_at_the_end_and_stale_before(self):
        self.assertEqual(self.found(Story("reg:0:0").set("a").get(None)), {"stale read"})
        self.assertEqual(self.found(Story("reg:0:0").set("a").get(None, client=FINAL_CLIENT)), {"lost write"})

    def test_a_deleted_value_does_not_come_back(self):
        story = Story("reg:0:0").set("a").add("del", result=1).get("a")
        self.assertEqual(self.found(story), {"stale read"})

    def test_a_refused_or_unheard_of_value_is_invented(self):
        self.assertEqual(self.found(Story("reg:0:0").set("a", ok=False).get("a")), {"invented value"})

    def test_concurrent_operations_may_take_either_order(self):
        story = Story("reg:0:0").set("a").set("b", lasts=10)
        story.now = 4
        self.assertEqual(self.found(story.get("a").get("b")), set())
        self.assertEqual(self.found(story.get("a")), {"stale read"})

    def test_counters(self):
        story = Story("ctr:0:0").incr(1).incr(None, ok="unknown").get("2").incr(3).get("3")
        self.assertEqual(self.found(story), set())
        self.assertEqual(self.found(Story("ctr:0:0").incr(1).incr(1)), {"lost write"})
        self.assertEqual(self.found(Story("ctr:0:0").incr(1).incr(2).get("1")), {"stale read"})
        self.assertEqual(self.found(Story("ctr:0:0").incr(1).get("2")), {"invented value"})
        self.assertEqual(self.found(Story("ctr:0:0").incr(1).get(None, client=FINAL_CLIENT)), {"lost write"})

    def test_appends(self):
        story = Story("app:0:0").append("a;", 2).get("a;").append("b;", None, ok="unknown").append("c;", 4)
        self.assertEqual(self.found(story.get("a;c;")), set())
        story = Story("app:0:0").append("a;", 2).append("b;", 4)
        self.assertEqual(self.found(story.get("a;b;").get("a;")), {"stale read"})
        story = Story("app:0:0").append("a;", 2).append("b;", 4).get("b;a;")
        self.assertIn("moved", self.found(story))
        story = Story("app:0:0").append("a;", 2).append("b;", 4).get("a;b;a;")
        self.assertEqual(self.found(story), {"twice"})
        story = Story("app:0:0").append("a;", None, ok=False).get("a;")
        self.assertEqual(self.found(story), {"refused and done"})
        story = Story("app:0:0").append("a;", 2).append("b;", 2).get("b;").get("a;")
        self.assertIn("rewritten", self.found(story))

    def test_errors_that_no_fault_explains(self):
        def found(error):
            return self.found(Story("reg:0:0").set("a", ok=False, error=error))

        for error in ("ERR syntax error", "ResponseError: syntax error", "ReplyError: ERR syntax error"):
            self.assertEqual(found(error), {"unexpected error"})
        for error in ("ResponseError: MOVED 1 127.0.0.1:1", "ReplyError: CLUSTERDOWN no leader", "timed out"):
            self.assertEqual(found(error), set())

    def test_locks(self):
        self.assertEqual(self.found(Story("lock:0:0").lock(0, 100).lock(101, None).lock(750, None)), set())
        self.assertEqual(self.found(Story("lock:0:0").lock(0, None).lock(300, None)), {"two holders"})
        self.assertEqual(self.found(Story("lock:0:0").lock(0, 400).lock(300, None)), {"two holders"})
        # A clock that was set by 300 ms for 4 s may cost a lock as much of its time.
        story = Story("lock:0:0").lock(0, None).lock(300, None)
        self.assertEqual(self.found(story, ClockShifts([(0, 4000 * MS, 300 * MS)])), set())

    def test_sums(self):
        def audit(*values):
            steps = [{"op": "get", "key": str(i), "value": value} for i, value in enumerate(values)]
            line = {"client": 1, "op": "txn", "ops": steps, "ok": True, "call": 0, "return": 1}
            return check_all([line])[0].counts

        self.assertEqual(audit(None, "90", "110", None, "100"), {})
        self.assertEqual(audit(None, "90", "100", None, "100"), {"wrong sum": 1})


class Schedule(unittest.TestCase):
    def described(self, seed):
        return [step.described() for step in schedule.draw(seed, 120, KINDS)]

    def test_the_same_seed_draws_the_same_faults(self):
        self.assertEqual(self.described(7), self.described(7))
        self.assertNotEqual(self.described(7), self.described(8))

    def test_every_kind_comes_up(self):
        kinds = {fault["kind"] for step in self.described(7) for fault in step["faults"]}
        self.assertEqual(kinds, set(KINDS))


@unittest.skipIf(TIME_FACTOR > 1 or not os.path.exists(CLOCK), "a sanitized server does not bear a preloaded library")
class Clocks(unittest.TestCase):
    def test_the_wall_clock_of_a_node_jumps_alone_and_back(self):
        with tempfile.TemporaryDirectory(dir=BUILD_DIR) as folder:
            with ChaosCluster(3, ["--cluster_id=" + "c" * 40], folder, Proxy(1), shifts_clocks=True) as cluster:
                shifted, other = cluster.nodes[:2]

                def difference():
                    return int(shifted.call("TIME")[0]) - int(other.call("TIME")[0])

                self.assertAlmostEqual(difference(), 0, delta=5)
                shifted.shift_clock(3_600_000_000)
                self.assertAlmostEqual(difference(), 3600, delta=5)
                shifted.shift_clock(-3_600_000_000)
                self.assertAlmostEqual(difference(), -3600, delta=5)
                shifted.shift_clock(0)
                self.assertAlmostEqual(difference(), 0, delta=5)


class ShortRun(unittest.TestCase):
    def test_a_cluster_bears_kills_pauses_partitions_and_transfers(self):
        self.run_chaos(SHORT_RUN)

    @unittest.skipIf(Router.unavailable() is not None, Router.unavailable())
    def test_a_cluster_bears_a_network_that_loses_packets(self):
        self.run_chaos(SHORT_RUN_OF_PACKETS)

    def run_chaos(self, arguments):
        root = os.path.join(BUILD_DIR, "integration")
        os.makedirs(root, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="chaos-", dir=root)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chaos.py")
        result = subprocess.run(
            [sys.executable, "-B", script, *arguments, "--dir", folder],
            capture_output=True,
            text=True,
            timeout=250 * TIME_FACTOR,
        )
        print(result.stdout)
        self.assertEqual(result.returncode, 0, f"{result.stdout}{result.stderr}\nall about it is in {folder}")
        self.assertIn("PASS: checked", result.stdout)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
