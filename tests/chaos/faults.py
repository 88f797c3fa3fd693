"""The faults. Each draws its parameters before the run (schedule.py), naming nodes by their part in the
cluster ("the leader", "the third follower"), and finds out who that is when it begins."""

import time

from chaos_cluster import CLOCK, TIME_FACTOR, ConnectionLost, ErrorReply, can_mount, until


class Arena:
    """What faults act on."""

    def __init__(self, cluster, monitor, log):
        self.cluster = cluster
        self.monitor = monitor
        self.log = log  # log(text): one line in the report, with the time

    def resolve(self, targets):
        """Nodes for ["leader", 0, 2]: numbers count the followers. None twice."""
        leader = self.monitor.wait_leader()
        followers = [node for node in self.cluster.serving if node is not leader]
        chosen = []
        for target in targets:
            node = leader if target == "leader" else followers[target % len(followers)]
            if node not in chosen:
                chosen.append(node)
        return chosen

    def title(self, node):
        role = "leader" if node is self.monitor.leader() else "follower"
        return f"{role} n{node.id}"

    def titles(self, nodes):
        return ", ".join(self.title(node) for node in nodes)

    def bring_up(self, nodes):
        for node in nodes:
            if not node.alive():
                node.start()
        for node in nodes:
            if node.disk_is_full():
                continue  # it may refuse to start; who filled the disk starts it again
            until(lambda node=node: node.answers() or not node.alive(), 30, f"{node} answers after its restart")
            if not node.alive():
                raise AssertionError(f"{node} ended at its restart:\n{node.log_tail()}")


class Fault:
    HOLD_S = (1.0, 3.0)
    # The order of healing: links, clocks and stopped processes, then disks, then what has to be started.
    HEALED = 0

    def __init__(self, arena, parameters):
        self.arena = arena
        self.cluster = arena.cluster
        self.network = arena.cluster.network
        self.parameters = parameters
        # What is broken, to be put right.
        self.nodes, self.tolerated = [], []
        self.links, self.blocked = set(), set()

    @classmethod
    def unavailable(cls, arena):
        """Why this fault can't be had here, or None."""
        return None

    @classmethod
    def draw(cls, source):
        return {}

    def begin(self):
        raise NotImplementedError

    def tick(self):
        """Called every few milliseconds while the fault lasts."""

    def heal(self):
        """Puts everything right. May be called after a begin() that failed half way."""


def draw_targets(source, most=2):
    """Mostly the leader, sometimes others, sometimes several."""
    targets = ["leader"] if source.random() < 0.6 else [source.randrange(4)]
    while len(targets) < most and source.random() < 0.3:
        targets.append(source.randrange(4))
    return targets


class Kill(Fault):
    HOLD_S = (0.2, 3.0)
    HEALED = 2

    @classmethod
    def draw(cls, source):
        return {"all": source.random() < 0.08, "targets": draw_targets(source)}

    def begin(self):
        targets = self.parameters["targets"]
        self.nodes = self.cluster.serving if self.parameters["all"] else self.arena.resolve(targets)
        self.nodes = [node for node in self.nodes if node.alive()]
        self.arena.log(f"killing {self.arena.titles(self.nodes)}")
        for node in self.nodes:
            node.expected_to_end = True
            node.process.kill()  # all before the first is waited for
        for node in self.nodes:
            node.process.wait(timeout=20)

    def heal(self):
        self.arena.bring_up(self.nodes)


class Pause(Fault):
    """Some nodes stand still, and go on as if nothing had been. Some of them are cut off meanwhile and a
    moment longer, as a suspended machine whose peers' packets were lost: the first that they hear is what
    clients have asked, not that there is another leader."""

    HOLD_S = (0.3, 4.0)
    ALONE_S = 0.3

    @classmethod
    def draw(cls, source):
        return {"targets": draw_targets(source), "cut_off": source.random() < 0.5}

    def begin(self):
        self.nodes = [node for node in self.arena.resolve(self.parameters["targets"]) if node.alive()]
        cut_off = self.parameters["cut_off"]
        self.arena.log(f"pausing {self.arena.titles(self.nodes)}{', cut off' if cut_off else ''}")
        others = [node for node in self.cluster.serving if node not in self.nodes]
        self.links = between(self.nodes, others) if cut_off else set()
        for source, target in self.links:
            self.network.set(source, target, blocked=1)
        for node in self.nodes:
            node.pause()

    def heal(self):
        for node in self.nodes:
            if node.paused:
                node.resume()
        if self.links:
            time.sleep(self.ALONE_S)
        for source, target in self.links:
            self.network.set(source, target)


class Partition(Fault):
    HOLD_S = (0.8, 4.0)
    FORMS = ("isolate", "halves", "one-way", "bridge", "partial", "flapping", "following")

    @classmethod
    def draw(cls, source):
        return {
            "form": source.choice(cls.FORMS),
            "target": "leader" if source.random() < 0.7 else source.randrange(4),
            "mute": source.random() < 0.5,  # one-way: the target is not heard, else it does not hear
            "order": source.sample(range(16), 16),  # of the others
            "flap_s": source.uniform(0.1, 0.6),
        }

    def begin(self):
        self.form = self.parameters["form"]
        self.node = self.arena.resolve([self.parameters["target"]])[0]
        others = [node for node in self.cluster.serving if node is not self.node]
        order = self.parameters["order"]
        self.others = sorted(others, key=lambda node: order[node.id % len(order)])
        self.flapped_at = time.monotonic()
        how = "one-way, " + ("mute" if self.parameters["mute"] else "deaf") if self.form == "one-way" else self.form
        self.arena.log(f"partition ({how}) around {self.arena.title(self.node)}")
        self.apply(self.wanted_links())

    def wanted_links(self):
        """The directed links to block."""
        node, others = self.node, self.others
        if self.form == "one-way":
            if self.parameters["mute"]:
                return {(node, other) for other in others}
            return {(other, node) for other in others}
        if self.form == "halves":
            near = len(others) // 2 - 1
            return between([node, *others[:near]], others[near:])
        if self.form == "bridge":
            # Two halves that only others[0] reaches both of.
            rest = others[1:]
            near = len(rest) // 2
            return between([node, *rest[:near]], rest[near:])
        if self.form == "partial":
            return between([node], others[: len(others) // 2])
        return between([node], others)

    def apply(self, wanted):
        for source, target in self.blocked - wanted:
            self.network.set(source, target)
        for source, target in wanted - self.blocked:
            self.network.set(source, target, blocked=1)
        self.blocked = set(wanted)

    def tick(self):
        if self.form == "flapping" and time.monotonic() - self.flapped_at > self.parameters["flap_s"]:
            self.flapped_at = time.monotonic()
            self.apply(set() if self.blocked else self.wanted_links())
        elif self.form == "following":
            leader = self.arena.monitor.leader()
            if leader is not None and leader is not self.node and time.monotonic() - self.flapped_at > 0.3:
                self.flapped_at = time.monotonic()
                self.node = leader
                self.others = [node for node in self.cluster.serving if node is not leader]
                self.arena.log(f"  the partition follows to {self.arena.title(leader)}")
                self.apply(self.wanted_links())

    def heal(self):
        self.apply(set())


def between(left, right):
    return {link for a in left for b in right for link in ((a, b), (b, a))}


class Slow(Fault):
    HOLD_S = (1.0, 4.0)
    FORMS = ("delay", "throttle", "resets", "one slow node")
    # A network of packets knows no connections to reset.
    FORMS_OF_PACKETS = {"resets": "loss"}
    RULES = {
        "delay": ("delay_ms", "jitter_ms"),
        "throttle": ("bytes_s",),
        "resets": ("reset_ms",),
        "loss": ("loss_percent", "duplicate_percent"),
        "one slow node": ("delay_ms", "jitter_ms", "bytes_s"),
    }

    @classmethod
    def draw(cls, source):
        return {
            "form": source.choice(cls.FORMS),
            "targets": draw_targets(source, 1),
            "delay_ms": source.randint(3, 60),
            "jitter_ms": source.randint(0, 40),
            "bytes_s": source.choice([20_000, 100_000, 500_000]),
            "reset_ms": source.randint(50, 500),
            "loss_percent": source.choice([1, 5, 10, 20]),
            "duplicate_percent": source.randint(0, 10),
        }

    def begin(self):
        form = self.parameters["form"]
        if self.network.PACKETS:
            form = self.FORMS_OF_PACKETS.get(form, form)
        node = self.arena.resolve(self.parameters["targets"])[0]
        members = self.cluster.serving
        everywhere = form in ("delay", "resets", "loss")
        if everywhere:
            self.links = {(a, b) for a in members for b in members if a is not b}
        else:
            self.links = between([node], [other for other in members if other is not node])
        chosen = {name: self.parameters[name] for name in self.RULES[form]}
        where = "all links" if everywhere else f"the links of {self.arena.title(node)}"
        text = ", ".join(f"{name} {value}" for name, value in chosen.items())
        self.arena.log(f"slow network ({form}) on {where}: {text}")
        for source, target in self.links:
            self.network.set(source, target, **chosen)

    def heal(self):
        for source, target in self.links:
            self.network.set(source, target)


class Disk(Fault):
    """No space left, on one node or two, while large values are written: small ones may find room for
    long in files whose space was taken in advance."""

    HOLD_S = (1.0, 3.0)
    HEALED = 1
    VALUE = bytes(128 << 10)
    VALUES = 20  # keys, written over and over

    @classmethod
    def unavailable(cls, arena):
        return can_mount(arena.cluster.home)

    @classmethod
    def draw(cls, source):
        return {"targets": draw_targets(source)}

    def begin(self):
        self.nodes = self.arena.resolve(self.parameters["targets"])
        self.written, self.told = 0, set()
        self.arena.log(f"no space on the disk of {self.arena.titles(self.nodes)}")
        self.tolerated = [node for node in self.nodes if not node.expected_to_end]
        for node in self.nodes:
            # A process may end rather than go on with a disk that does not keep what it wrote.
            node.expected_to_end = True
            node.fill_disk()

    def tick(self):
        for node in self.nodes:
            node.fill_disk()  # also what it has freed itself
        leader = self.arena.monitor.leader()
        if leader is None or not leader.alive() or leader.paused:
            return
        try:
            # Whether these succeed is not judged: all members have to agree about them, that is all.
            reply = leader.call("SET", f"large:{self.written % self.VALUES}", self.VALUE, timeout=0.3)
        except (OSError, ConnectionLost) as error:
            reply = ErrorReply(f"none, {type(error).__name__}")
        self.written += 1
        if isinstance(reply, ErrorReply) and reply.code not in self.told:
            self.told.add(reply.code)
            self.arena.log(f"  a large write was answered: {reply}")

    def heal(self):
        ended = [node for node in self.nodes if not node.alive()]
        for node in self.nodes:
            node.empty_disk()
        for node in self.tolerated:
            node.expected_to_end = False
        if ended:
            self.arena.log(f"  {', '.join(f'n{node.id}' for node in ended)} ended with its disk full, and is started again")
        self.arena.bring_up(self.nodes)


class Clock(Fault):
    """The wall clock of some nodes jumps, and jumps back."""

    HOLD_S = (1.0, 4.0)

    @classmethod
    def unavailable(cls, arena):
        if TIME_FACTOR > 1:
            return "a sanitized server does not bear the preloaded library that shifts its clock"
        return None if arena.cluster.shifts_clocks else f"{CLOCK} is not built"

    @classmethod
    def draw(cls, source):
        size = source.choice([0.05, 0.5, 5.0, 60.0, 3600.0])
        offset = source.uniform(0.5, 1.0) * size * source.choice([-1, 1])
        return {"targets": draw_targets(source), "offset_s": round(offset, 3)}

    def begin(self):
        self.nodes = self.arena.resolve(self.parameters["targets"])
        offset = self.parameters["offset_s"]
        self.arena.log(f"clock of {self.arena.titles(self.nodes)} jumps by {offset:+g} s")
        for node in self.nodes:
            node.shift_clock(int(offset * 1e6))

    def heal(self):
        for node in self.nodes:
            node.shift_clock(0)


class Transfer(Fault):
    """The leader hands over, or is told to go."""

    HOLD_S = (0.2, 1.0)
    HEALED = 2

    @classmethod
    def unavailable(cls, arena):
        arena.cluster.hands_over = arena.cluster.knows_command("RAFT.TRANSFER")
        return None

    @classmethod
    def draw(cls, source):
        return {"to": source.randrange(4), "rounds": source.randint(1, 3)}

    def begin(self):
        self.stopped = []
        for _ in range(self.parameters["rounds"]):
            leader, target = self.arena.resolve(["leader", self.parameters["to"]])
            if self.cluster.hands_over:
                reply = self.cluster.transfer(leader, target)
                self.arena.log(f"leadership goes from n{leader.id} to n{target.id}: {reply}")
            else:
                self.arena.log(f"SIGTERM to {self.arena.title(leader)}")
                leader.terminate()
                self.stopped.append(leader)
                self.arena.bring_up([leader])

    def heal(self):
        self.arena.bring_up(self.stopped)


class Rolling(Fault):
    """Every node is stopped in order and started again, as for an upgrade."""

    HOLD_S = (0.1, 0.2)
    HEALED = 2

    @classmethod
    def draw(cls, source):
        return {"order": source.sample(range(16), 16), "rest_s": source.uniform(0.1, 0.8)}

    def begin(self):
        order = self.parameters["order"]
        self.nodes = sorted(self.cluster.serving, key=lambda node: order[node.id % len(order)])
        self.arena.log("rolling restart: " + ", ".join(f"n{node.id}" for node in self.nodes))
        for node in self.nodes:
            if not node.alive() or node.paused:
                continue
            code = node.terminate()
            if code != 0:
                raise AssertionError(f"{node} ended with {code} on SIGTERM:\n{node.log_tail()}")
            self.arena.bring_up([node])
            time.sleep(self.parameters["rest_s"])

    def heal(self):
        self.arena.bring_up(self.nodes)
