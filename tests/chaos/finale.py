"""What is looked at when all faults are over: the cluster goes on, every key is read once more, and all
replicas hold the same."""

import os
import subprocess
import time

from chaos_cluster import CLI, ConnectionLost, ErrorReply, until
from checks import ACCOUNTS, FINAL_CLIENT

PROGRESS_S = 30.0
READS_AT_ONCE = 500


def wait_progress(cluster):
    """A write succeeds and every member knows of it; returns the seconds that took."""
    begin = time.monotonic()
    cluster.wait_leader(PROGRESS_S, agreed=False)

    def written():
        try:
            return cluster.wait_leader(PROGRESS_S).call("SET", "progress", "made") == "OK"
        except (OSError, ConnectionLost):
            return False

    until(written, PROGRESS_S, "a write succeeds after all faults are healed")
    for node in cluster.serving:
        cluster.wait_caught_up(node, PROGRESS_S)
    return time.monotonic() - begin


def read_everything(cluster, history):
    """Reads of every key that the history names, by one more client, as operations of the history."""
    keys = sorted({op["key"] for op in history if op["op"] not in ("lock", "txn")})
    banks = sorted({tuple(bank_of(op["ops"][0]["key"])) for op in history if op["op"] == "txn"})
    with cluster.wait_leader().connect(timeout=20) as connection:
        return read_keys(connection, keys) + [read_bank(connection, bank) for bank in banks]


def bank_of(account):
    prefix = account.rsplit(":", 1)[0]
    return [f"{prefix}:{number}" for number in range(ACCOUNTS)]


def read_bank(connection, accounts):
    call = time.monotonic_ns()
    values = connection.call("MGET", *accounts)
    if isinstance(values, ErrorReply):
        raise AssertionError(f"the last read of {accounts}: {values}")
    steps = [
        {"op": "get", "key": key, "value": None if value is None else value.decode()}
        for key, value in zip(accounts, values)
    ]
    ended = time.monotonic_ns()
    return {"client": FINAL_CLIENT, "op": "txn", "ops": steps, "call": call, "return": ended, "ok": True}


def read_keys(connection, keys):
    operations = []
    for start in range(0, len(keys), READS_AT_ONCE):
        part = keys[start : start + READS_AT_ONCE]
        call = time.monotonic_ns()
        replies = connection.pipeline([("GET", key) for key in part])
        if len(replies) != len(part):
            raise AssertionError(f"{len(part)} last reads, {len(replies)} replies")
        ended = time.monotonic_ns()
        for key, reply in zip(part, replies):
            if isinstance(reply, ErrorReply):
                raise AssertionError(f"the last read of {key}: {reply}")
            value = None if reply is None else reply.decode()
            operations.append(
                {"client": FINAL_CLIENT, "op": "get", "key": key, "value": value, "call": call, "return": ended, "ok": True}
            )
    return operations


def dataset(node):
    """key -> value of what this very node holds."""
    with node.connect(timeout=20) as connection:
        if connection.call("READONLY") != "OK":
            raise AssertionError(f"{node} refuses READONLY")
        keys, cursor = [], b"0"
        while True:
            cursor, found = connection.call("SCAN", cursor, "COUNT", 1000)
            keys += found
            if cursor == b"0":
                break
        keys = sorted(set(keys))
        values = {}
        for start in range(0, len(keys), READS_AT_ONCE):
            part = keys[start : start + READS_AT_ONCE]
            values.update(zip(part, connection.pipeline([("GET", key) for key in part])))
        size = connection.call("DBSIZE")
    errors = [reply for reply in values.values() if isinstance(reply, ErrorReply)]
    if errors or len(values) != len(keys):
        raise AssertionError(f"{node} does not answer reads: {errors[:1]}")
    if size != len(keys):
        raise AssertionError(f"{node}: DBSIZE {size}, but SCAN finds {len(keys)} keys")
    return values


def same_index(cluster):
    """The index that all members have applied, once nothing moves."""

    def applied():
        return {int(node.raft()["raft_applied_index"]) for node in cluster.serving}

    def at_rest():
        first = applied()
        time.sleep(0.3)
        return first if len(first) == 1 and applied() == first else None

    return until(at_rest, PROGRESS_S, "all members have applied the same index, and rest").pop()


def compare_replicas(cluster, problems):
    """All members hold the same keys and values; returns (applied index, number of keys)."""
    index = same_index(cluster)
    held = {node: dataset(node) for node in cluster.serving}
    first, *others = cluster.serving
    for node in others:
        differing = [key for key in held[first].keys() | held[node].keys() if held[first].get(key) != held[node].get(key)]
        for key in sorted(differing)[:10]:
            problems.add(
                "replicas differ",
                f"at index {index}: {first} has {held[first].get(key)!r} in {key.decode()}, {node} has {held[node].get(key)!r}",
            )
    return index, len(held[first])


def compare_digests(cluster, problems):
    """What the members themselves say of their datasets: they compare digests all the time
    (DIGEST_INTERVAL), and once more now. Returns the index of that last comparison."""
    reply = cluster.call("SET", "digests", "compared")  # nothing is compared while nothing is written
    if reply != "OK":
        raise AssertionError(f"a write after all faults are healed: {reply}")
    begun = max(int(node.raft()["raft_applied_index"]) for node in cluster.serving)

    def compared():
        states = [node.raft() for node in cluster.serving]
        for node, state in zip(cluster.serving, states):
            if int(state["raft_digest_mismatches"]) > 0:
                problems.add("replicas differ", f"{node} says: {state['raft_digest_last_mismatch']}")
                return begun
        return min(int(state["raft_digest_last_ok_index"]) for state in states) > begun

    until(compared, PROGRESS_S, "all members have compared their digests once more")
    return begun


def checker_available():
    usage = subprocess.run([CLI, "check", "--help"], capture_output=True, text=True, timeout=20)
    return usage.returncode == 0


def run_checker(history, folder, seconds):
    """raftkv-cli check: (exit code, output). Its page goes into the folder."""
    command = [CLI, "check", history, "--html", os.path.join(folder, "checker.html")]
    command += ["--limit-seconds", str(int(seconds))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    output = result.stdout + result.stderr
    with open(os.path.join(folder, "checker.log"), "w") as log:
        log.write(output)
    return result.returncode, output
