#!/usr/bin/python3
"""The same commands, at a stock Redis and at a cluster: the replies are the same, byte for byte."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from cluster import HOST, TIME_FACTOR, ClusterTestCase, die_with_parent, free_port_base, main, until
from wire import Connection

HERE = os.path.dirname(os.path.abspath(__file__))


class BesideRedis(ClusterTestCase):
    NODES = 3

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.redis_port = free_port_base(1)
        # Debian's redis-check-rdb is the server itself under another name, and comes without a service.
        redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", HOST, "--save", "", "--dir", folder.name],
            executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"),
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self.addCleanup(redis.wait)
        self.addCleanup(redis.kill)
        until(self.redis_answers, 20, "Redis answers")

    def redis_answers(self):
        try:
            with Connection((HOST, self.redis_port), timeout=1) as connection:
                return connection.call("PING") == "PONG"
        except OSError:
            return False

    def test_replies_are_those_of_redis(self):
        leader = self.cluster.wait_leader(agreed=True)
        for seed in (1, int(time.time())):
            with self.subTest(seed=seed):
                result = subprocess.run(
                    [sys.executable, "-B", os.path.join(HERE, "diff_redis.py")]
                    + ["--redis-port", str(self.redis_port), "--node-port", str(leader.port)]
                    + ["--seed", str(seed), "--rounds", "100"],
                    capture_output=True,
                    text=True,
                    timeout=120 * TIME_FACTOR,
                )
                self.assertEqual(result.returncode, 0, result.stdout[-4000:] + result.stderr[-2000:])


if __name__ == "__main__":
    main()
