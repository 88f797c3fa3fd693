"""Conditions that a correct history never breaks, checked key by key in little time and told in words. They
are sound but not complete: the judgement is `raftkv-cli check`'s. These find most of what goes wrong, say
what it means, and know what a history of single keys does not hold: locks, and the sums of a bank."""

import bisect
import collections
import json

NEVER = float("inf")
FINAL_CLIENT = 0  # who reads every key at the end
ACCOUNTS = 5
OPENING_BALANCE = 100


class Problems:
    """What was found; not more of one kind than anybody reads."""

    EACH_MAX = 20

    def __init__(self):
        self.found = []
        self.counts = collections.Counter()

    def add(self, kind, text, *operations):
        self.counts[kind] += 1
        if self.counts[kind] <= self.EACH_MAX:
            self.found.append({"kind": kind, "what": text, "operations": list(operations)})

    def __len__(self):
        return sum(self.counts.values())


def read_history(path):
    """The operations of a file. A last line that was cut off is left out: its program was killed."""
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error


def took_effect(op):
    """Whether it surely did, within its interval."""
    return op["ok"] is True and not (op["op"] == "cas" and not op["result"])


def may_have(op):
    return op["ok"] == "unknown" or took_effect(op)


def by_key(operations):
    keys = collections.defaultdict(list)
    for op in operations:
        if "key" in op:
            keys[op["key"]].append(op)
    return keys


def behind(op):
    """What it is called when `op` does not know of what was done before it."""
    return "lost write" if op["client"] == FINAL_CLIENT or op["op"] != "get" else "stale read"


def check_registers(key, operations, problems):
    """reg and cas: each value is written once."""
    writes = [op for op in operations if op["op"] in ("set", "cas") and may_have(op)]
    deletions = [op for op in operations if op["op"] == "del" and may_have(op)]
    reads = [op for op in operations if op["op"] == "get" and op["ok"] is True]
    # A client that sends again by itself may write a value twice; then only its origin is checked.
    times = collections.Counter(op["value"] for op in writes)
    tried = {op["value"]: op for op in writes}
    surely = {}  # value: by when it was written
    for op in writes:
        if took_effect(op):
            surely[op["value"]] = min(surely.get(op["value"], NEVER), op["return"])
    for op in reads:
        if op["value"] is not None:
            surely[op["value"]] = min(surely.get(op["value"], NEVER), op["return"])
    # What was begun after a value was surely there, and surely done: from then on the value is gone.
    later = sorted((tried[value]["call"], by) for value, by in surely.items() if value in tried)
    later += [(op["call"], op["return"]) for op in deletions if took_effect(op) and op.get("result")]
    later.sort()
    gone_by = [NEVER] * (len(later) + 1)
    for i in range(len(later) - 1, -1, -1):
        gone_by[i] = min(gone_by[i + 1], later[i][1])
    for read in reads:
        value = read["value"]
        if value is None:
            for value, by in surely.items():
                if by < read["call"] and value in tried and not any(
                    op["call"] < read["return"] and op_end(op) > tried[value]["call"] for op in deletions
                ):
                    problems.add(behind(read), f"{key}: nothing was read though it had been written", tried[value], read)
                    break
            continue
        if value not in tried:
            problems.add("invented value", f"{key}: '{value}' was read, which nobody wrote", read)
        elif tried[value]["call"] > read["return"]:
            problems.add("early read", f"{key}: '{value}' was read before it was written", tried[value], read)
        elif times[value] == 1:
            gone = gone_by[bisect.bisect_right(later, (surely[value], NEVER))]
            if gone < read["call"]:
                problems.add(behind(read), f"{key}: '{value}' was read after it had been overwritten", tried[value], read)


def op_end(op):
    return NEVER if op["ok"] == "unknown" else op["return"]


def check_counters(key, operations, problems):
    """ctr and fence: only ever incremented by one."""
    increments = [op for op in operations if op["op"] == "incr" and may_have(op)]
    calls = sorted(op["call"] for op in increments)
    results = {}
    seen = []  # (op, number)
    for op in operations:
        if op["ok"] is not True:
            continue
        if op["op"] == "incr":
            if op["result"] in results:
                problems.add("lost write", f"{key}: two increments gave {op['result']}", results[op["result"]], op)
            results[op["result"]] = op
            seen.append((op, op["result"]))
        elif op["op"] == "get":
            seen.append((op, int(op["value"] or 0)))
    seen.sort(key=lambda pair: pair[0]["return"])
    returned = [op["return"] for op, _ in seen]
    highest, top = [], (None, 0)
    for op, number in seen:
        top = max(top, (op, number), key=lambda pair: pair[1])
        highest.append(top)
    acknowledged = sorted(op["return"] for op in increments if op["ok"] is True)
    for op, number in seen:
        begun = bisect.bisect_left(calls, op["return"])
        if number > begun:
            problems.add("invented value", f"{key}: {number}, after only {begun} increments had begun", op)
        before = bisect.bisect_left(returned, op["call"])
        if before and highest[before - 1][1] + (op["op"] == "incr") > number:
            other, other_number = highest[before - 1]
            problems.add(behind(op), f"{key}: {number}, after {other_number} had been seen", other, op)
        done = bisect.bisect_left(acknowledged, op["call"])
        if done > number:
            problems.add(behind(op), f"{key}: {number}, after {done} increments had been acknowledged", op)


def check_appends(key, operations, problems):
    """app: what was once read stays, and everything acknowledged is in it, once and at its place."""
    appends = {op["value"]: op for op in operations if op["op"] == "append"}
    times = collections.Counter(op["value"] for op in operations if op["op"] == "append" and may_have(op))
    reads = [op for op in operations if op["op"] == "get" and op["ok"] is True]
    longest = max(reads, key=lambda op: len(op["value"] or ""), default=None)
    whole = (longest["value"] or "") if longest else ""
    ends, at = {}, 0
    for token in whole.split(";")[:-1]:
        token += ";"
        at += len(token)
        if token not in appends:
            problems.add("invented value", f"{key}: '{token}' was read, which nobody appended", longest)
        elif token in ends and times[token] == 1:
            problems.add("twice", f"{key}: '{token}' is there twice", appends[token], longest)
        elif appends[token]["ok"] is False and times[token] == 0:
            problems.add("refused and done", f"{key}: '{token}' was refused and is there", appends[token], longest)
        ends.setdefault(token, at)
    for token, op in appends.items():
        if op["ok"] is True and times[token] == 1 and token in ends and ends[token] != op["result"]:
            problems.add("moved", f"{key}: '{token}' ends at {ends[token]}, not at {op['result']}", op, longest)
    needed = sorted((op["return"], token) for token, op in appends.items() if op["ok"] is True)
    reads.sort(key=lambda op: op["call"])
    at, required, by = 0, 0, None
    for read in reads:
        value = read["value"] or ""
        if not whole.startswith(value):
            problems.add("rewritten", f"{key}: a read is no beginning of a longer one", read, longest)
            continue
        while at < len(needed) and needed[at][0] < read["call"]:
            token = needed[at][1]
            if ends.get(token, NEVER) > required:
                required, by = ends.get(token, NEVER), appends[token]
            at += 1
        if len(value) < required:
            problems.add(behind(read), f"{key}: a read lacks what was acknowledged before it", by, read)


def check_bank(operations, problems):
    """The sum of the accounts never changes."""
    for op in operations:
        if op["op"] != "txn" or op["ok"] is not True or any(step["op"] != "get" for step in op["ops"]):
            continue
        total = sum(OPENING_BALANCE if step["value"] is None else int(step["value"]) for step in op["ops"])
        if len(op["ops"]) == ACCOUNTS and total != ACCOUNTS * OPENING_BALANCE:
            problems.add("wrong sum", f"the accounts hold {total}, not {ACCOUNTS * OPENING_BALANCE}", op)


class ClockShifts:
    """How far the log's time may have been from the truth, by the clocks that were shifted: it is steered
    by a tenth of the time that passes, and back as slowly."""

    STEER = 0.1

    def __init__(self, shifts=()):
        self.shifts = list(shifts)  # (begin ns, end ns, offset ns)

    def deviation_ns(self, begin, end):
        most = 0
        for since, until, offset in self.shifts:
            length = until - since
            if since < end and begin < until + length:
                most += min(abs(offset), self.STEER * length)
        return most


def check_locks(operations, problems, shifts):
    """Nobody gets a lock while another still must have it. The time limit is counted from before it was
    asked for, short of what the log's clock may be fast by."""
    margin_ns = 20e6
    locks = collections.defaultdict(list)
    for op in operations:
        if op["op"] != "lock" or op["ok"] is not True:
            continue
        ttl = op["ttl_ms"] * 1e6
        end = op["call"] + 0.9 * ttl - margin_ns - shifts.deviation_ns(op["call"], op["call"] + ttl)
        if op["released"] is not None:
            end = min(end, op["released"])
        if end > op["held_from"]:
            locks[op["key"]].append((op["held_from"], end, op))
    for key, holdings in locks.items():
        holdings.sort(key=lambda holding: holding[0])
        last = None
        for begin, end, op in holdings:
            if last is not None and begin < last[1]:
                problems.add("two holders", f"{key} is held by two clients at once", last[2], op)
            if last is None or end > last[1]:
                last = (begin, end, op)
    return sum(len(holdings) for holdings in locks.values())


CHECKS = {
    "reg": check_registers,
    "cas": check_registers,
    "ctr": check_counters,
    "fence": check_counters,
    "app": check_appends,
}


# Error codes by which a server says that it refuses a command itself, not that it is the wrong moment.
NOT_THE_CLUSTER = ("ERR", "WRONGTYPE", "NOSCRIPT", "NOPERM", "NOPROTO", "NOAUTH", "OOM")


def check_errors(operations, problems):
    """No workload sends what a server would have to refuse as such."""
    for op in operations:
        source, _, text = op.get("error", "").rpartition("Error: ")
        code = text.split(" ")[0]
        # redis-py leaves out the code ERR.
        if code in NOT_THE_CLUSTER or (source == "Response" and not code.isupper()):
            problems.add("unexpected error", op["error"], op)


def kind_of(key):
    return key.split(":")[0]


def check_all(operations, shifts=ClockShifts(), full_disks=False):
    """(problems, number of holdings of locks). A full disk excuses errors."""
    problems = Problems()
    if not full_disks:
        check_errors(operations, problems)
    for key, of_key in by_key(op for op in operations if op["op"] != "lock").items():
        CHECKS[kind_of(key)](key, of_key, problems)
    check_bank(operations, problems)
    holdings = check_locks(operations, problems, shifts)
    return problems, holdings


def longest_write_gap(operations, begin, end):
    """(nanoseconds, when it began) of the longest time without an acknowledged write."""
    times = sorted(
        op["return"]
        for op in operations
        if op["op"] not in ("get", "lock") and op["ok"] is True and begin <= op["return"] <= end
    )
    edges = [begin, *times, end]
    return max((later - earlier, earlier) for earlier, later in zip(edges, edges[1:]))
