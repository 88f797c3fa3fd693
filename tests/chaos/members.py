"""Changes of the membership: a new node joins, an old one leaves for good."""

import time

from chaos_cluster import TIME_FACTOR, ConnectionLost, ErrorReply
from faults import Fault

# More than these would only add processes to a machine that is busy with the others.
NODES_MAX = 7
NODES_MIN = 3
ANSWER_S = 10.0


class Members(Fault):
    HOLD_S = (0.5, 2.0)
    HEALED = 2

    @classmethod
    def unavailable(cls, arena):
        return None if arena.cluster.knows_command("RAFT.MEMBERS") else "the server does not know RAFT.MEMBERS"

    @classmethod
    def draw(cls, source):
        return {
            "add": source.random() < 0.5,
            "target": "leader" if source.random() < 0.4 else source.randrange(4),
        }

    def begin(self):
        self.added = self.removed = None
        count = len(self.cluster.serving)
        if count <= NODES_MIN or (self.parameters["add"] and count < NODES_MAX):
            node = self.added = self.cluster.spare()
            self.arena.log(f"n{node.id} joins")
            node.start()
            client, peer = (f"{host}:{port}" for host, port in (node.address, node.peer_address))
            self.change("ADD", node.id, client, peer)
        else:
            node = self.removed = self.arena.resolve([self.parameters["target"]])[0]
            self.arena.log(f"{self.arena.title(node)} leaves for good")
            self.change("REMOVE", node.id)

    def change(self, *words):
        """Asked once: what came of it when nobody answers shows in the list of members."""
        try:
            reply = self.arena.monitor.wait_leader().call("RAFT.MEMBERS", *words, timeout=ANSWER_S)
        except (OSError, ConnectionLost) as error:
            reply = ErrorReply(f"no answer: {error}")
        if reply != "OK":
            self.arena.log(f"  RAFT.MEMBERS {' '.join(map(str, words))}: {reply}")

    def heal(self):
        """Takes the leader's list as the truth, as an administrator would."""
        members = self.cluster.member_ids(ANSWER_S)
        if self.added is not None and self.added.id in members:
            self.added.removed = False
            self.arena.monitor.watch(self.added)
        if self.removed is not None and self.removed.id not in members:
            node = self.removed
            node.removed = True
            if node.alive():
                if node.paused:
                    node.resume()
                node.terminate()
        time.sleep(0.1 * TIME_FACTOR)
