"""Watches who leads, from outside: one thread a node, as a client would ask."""

import threading
import time

from chaos_cluster import ConnectionLost


class Monitor:
    PAUSE_S = 0.03

    def __init__(self, cluster):
        self.cluster = cluster
        self.lock = threading.Lock()
        self.leaders = {}  # term: port of its leader
        self.last_seen = None  # (term, port)
        self.stopping = threading.Event()
        self.threads = []
        for node in cluster.nodes:
            self.watch(node)

    def watch(self, node):
        thread = threading.Thread(target=self._watch, args=(node,), daemon=True)
        thread.start()
        self.threads.append(thread)

    def _watch(self, node):
        connection = None
        while not self.stopping.wait(self.PAUSE_S):
            try:
                if connection is None:
                    connection = node.connect(timeout=0.5)
                reply = connection.call("CLUSTER", "LEADER")
            except (OSError, ConnectionLost):
                if connection is not None:
                    connection.close()
                connection = None
                continue
            if isinstance(reply, list):
                self._seen(int(reply[-1]), int(reply[1]))
        if connection is not None:
            connection.close()

    def _seen(self, term, port):
        with self.lock:
            self.leaders[term] = port
            if self.last_seen is None or term >= self.last_seen[0]:
                self.last_seen = (term, port)

    def leader(self):
        """The node that led the latest term anybody has told of, or None."""
        with self.lock:
            seen = self.last_seen
        if seen is None:
            return None
        return next((node for node in self.cluster.serving if node.port == seen[1]), None)

    def term(self):
        with self.lock:
            return self.last_seen[0] if self.last_seen else 0

    def changes(self):
        with self.lock:
            return max(0, len(self.leaders) - 1)

    def wait_leader(self, seconds=5.0):
        """As leader(), but one that runs; any node when none is found in time, one that runs if there is one."""
        end = time.monotonic() + seconds
        while True:
            node = self.leader()
            if node is not None and node.alive() and not node.paused:
                return node
            if time.monotonic() > end:
                members = self.cluster.serving
                return next((n for n in members if n.alive() and not n.paused), members[0])
            time.sleep(0.01)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=5)
