#!/usr/bin/python3
"""Bank transfers with WATCH, MULTI and EXEC by concurrent clients: the sum never changes."""

import random
import threading
import time

from cluster import ClusterTestCase, LeaderClient, main
from wire import ConnectionLost, ErrorReply

ACCOUNTS = [f"account:{i}" for i in range(6)]
START = 100


class Teller(threading.Thread):
    """Moves money until told to stop."""

    def __init__(self, addresses, seed, stop):
        super().__init__(daemon=True)
        self.client = LeaderClient(addresses, timeout=5.0)
        self.rng = random.Random(seed)
        self.stop = stop
        self.done = 0
        self.aborted = 0
        self.in_doubt = 0
        self.error = None

    def run(self):
        try:
            while not self.stop.is_set():
                try:
                    self.transfer()
                except (ConnectionLost, TimeoutError):
                    self.in_doubt += 1
        except Exception as error:  # reported by the test's thread
            self.error = error
        finally:
            self.client.close()

    def transfer(self):
        source, target = self.rng.sample(ACCOUNTS, 2)
        # WATCH finds the leader; from there on one connection, for all of it or nothing.
        reply = self.client.call("WATCH", source, target)
        if reply != "OK":
            raise AssertionError(f"WATCH: {reply!r}")
        connection = self.client.connection
        balances = connection.call("MGET", source, target)
        if isinstance(balances, ErrorReply):
            return self.start_again(balances)
        amount = self.rng.randrange(1, 20)
        commands = [
            ("MULTI",),
            ("SET", source, int(balances[0]) - amount),
            ("SET", target, int(balances[1]) + amount),
            ("EXEC",),
        ]
        replies = connection.pipeline(commands)
        if len(replies) < len(commands):
            self.client.close()
            raise ConnectionLost("in the middle of a transfer")
        result = replies[-1]
        if result is None:
            self.aborted += 1
        elif result == ["OK", "OK"]:
            self.done += 1
        elif isinstance(result, ErrorReply):
            self.start_again(result)
        else:
            raise AssertionError(f"EXEC: {result!r}")

    def start_again(self, error):
        if error.code == "UNKNOWN":
            self.in_doubt += 1
        elif not error.definite and error.code != "EXECABORT":
            raise AssertionError(f"no such error was expected: {error}")
        self.client.close()


class Bank(ClusterTestCase):
    NODES = 3

    def run_bank(self, seconds, disturb=None):
        leader = self.cluster.wait_leader(agreed=True)
        flat = [word for account in ACCOUNTS for word in (account, START)]
        self.assertEqual(leader.call("MSET", *flat), "OK")
        stop = threading.Event()
        tellers = [Teller(self.cluster.addresses, seed, stop) for seed in range(5)]
        auditor = LeaderClient(self.cluster.addresses, timeout=5.0)
        audits = 0
        for teller in tellers:
            teller.start()
        end = time.monotonic() + seconds
        disturb_at = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            if disturb is not None and time.monotonic() > disturb_at:
                disturb()
                disturb = None
            try:
                balances = auditor.call("MGET", *ACCOUNTS)
            except (ConnectionLost, TimeoutError):
                continue
            if isinstance(balances, list):
                audits += 1
                self.assertEqual(sum(map(int, balances)), START * len(ACCOUNTS), balances)
            time.sleep(0.002)
        stop.set()
        for teller in tellers:
            teller.join(timeout=30)
            self.assertFalse(teller.is_alive())
            if teller.error is not None:
                raise teller.error
        balances = self.cluster.call("MGET", *ACCOUNTS)
        self.assertEqual(sum(map(int, balances)), START * len(ACCOUNTS), balances)
        done = sum(teller.done for teller in tellers)
        aborted = sum(teller.aborted for teller in tellers)
        print(f"\n{done} transfers, {aborted} aborted, {audits} audits", flush=True)
        self.assertGreater(done, 50)
        self.assertGreater(aborted, 0, "nothing ever collided: the test shows nothing")
        self.assertGreater(audits, 20)
        auditor.close()

    def test_the_sum_never_changes(self):
        self.run_bank(4)

    def test_the_sum_never_changes_across_a_kill_of_the_leader(self):
        leader = self.cluster.wait_leader(agreed=True)
        self.run_bank(6, disturb=leader.kill)
        leader.start()
        self.cluster.wait_all()


if __name__ == "__main__":
    main()
