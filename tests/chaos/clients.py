"""The load: programs with clients in them, each of which writes a history of its own."""

import json
import os
import shutil
import subprocess
import time

from chaos_cluster import CLIENT, die_with_parent
from checks import read_history
from node_clients import install_node_clients

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
EPOCH_MS = 3000
KEYS = 3
BUNDLED_CLIENTS = 10
PAUSE_US = 12000
SLOWER_PAUSE_US = 25000  # of the clients in other languages


class Load:
    def __init__(self, cluster, folder, seed, seconds):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.paths = []
        self.processes = []
        self.start_ns = time.monotonic_ns()
        self.seconds = seconds
        self.seed = seed
        self.nodes = cluster.node_list
        self.next_id = 1
        self._bundled(BUNDLED_CLIENTS)
        for _ in range(2):
            self._redis_py("plain")
        self._redis_py("cluster")
        self._ioredis(3)
        self._askers(len(cluster.nodes))

    def _common(self, name, count, pause_us):
        path = os.path.join(self.folder, f"{name}-{self.next_id}.jsonl")
        self.paths.append(path)
        settings = {
            "nodes": self.nodes,
            "history": path,
            "first_id": self.next_id,
            "seed": self.seed + self.next_id,
            "seconds": self.seconds,
            "start_ns": self.start_ns,
            "epoch_ms": EPOCH_MS,
            "keys": KEYS,
            "pause_us": pause_us,
        }
        self.next_id += count
        return settings

    def _run(self, name, command, **more):
        log = open(os.path.join(self.folder, f"{name}-{len(self.processes)}.log"), "wb")
        with log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent, **more
            )
        self.processes.append((name, process))

    def _bundled(self, count):
        settings = self._common("bundled", count, PAUSE_US)
        settings["clients"] = count
        self._run("bundled", [CLIENT, *(f"--{name}={value}" for name, value in settings.items())])

    def _redis_py(self, mode):
        settings = self._common(f"redis-py-{mode}", 1, SLOWER_PAUSE_US)
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        self._run("redis-py", [PYTHON, "-B", os.path.join(HERE, "load_redis_py.py"), f"--mode={mode}", *arguments])

    def _ioredis(self, count):
        home = install_node_clients()
        shutil.copy(os.path.join(HERE, "load_ioredis.js"), home)
        settings = self._common("ioredis", count, SLOWER_PAUSE_US)
        settings["clients"] = count
        self._run("ioredis", ["node", os.path.join(home, "load_ioredis.js"), json.dumps(settings)], cwd=home)

    def _askers(self, count):
        arguments = [f"--{name}={value}" for name, value in self._common("asker", count, PAUSE_US).items()]
        self._run("asker", [PYTHON, "-B", os.path.join(HERE, "load_asker.py"), *arguments])

    def fault(self):
        """The first program that ended wrongly, in words, or None."""
        for name, process in self.processes:
            if process.poll() not in (None, 0):
                return f"the load program {name} ended with {process.returncode}; see {self.folder}"
        return None

    def finish(self, seconds):
        """Waits for all, which end by themselves."""
        end = time.monotonic() + seconds
        try:
            for name, process in self.processes:
                try:
                    process.wait(timeout=max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"the load program {name} does not end") from None
            if self.fault():
                raise AssertionError(self.fault())
        finally:
            self.kill()

    def operations(self):
        """All that was written down, also by a program that was killed."""
        found = [op for path in self.paths if os.path.exists(path) for op in read_history(path)]
        found.sort(key=lambda op: op["call"])
        return found

    STOP_S = 8.0  # longer than any client waits for an answer

    def kill(self):
        """Ends early: each program still writes down what came of its last operations."""
        for _, process in self.processes:
            process.terminate()
        end = time.monotonic() + self.STOP_S
        for _, process in self.processes:
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
