"""Writers that load a cluster from processes of their own and remember what became of each write."""

import multiprocessing
import os
import pickle
import signal
import time

from wire import Connection, ConnectionLost, ErrorReply, encode, moved_to


class WriterRecord:
    """What one writer knows at its end."""

    def __init__(self):
        self.acknowledged = []  # (key, value, sent at, acknowledged at)
        self.refused = []  # keys of writes answered by an error that promises "not done"
        self.unknown = {}  # key: value of writes whose outcome nobody told
        self.unexpected = []  # replies that are neither


class _Writer:
    def __init__(self, name, addresses, depth, stop, last_sent_of_acknowledged, slot):
        self.name = name
        self.addresses = addresses
        self.depth = depth
        self.stop = stop
        self.shared = last_sent_of_acknowledged
        self.slot = slot
        self.record = WriterRecord()
        self.serial = 0
        self.turn = slot
        self.connection = None

    def run(self):
        while not self.stop.is_set():
            if self.connection is None:
                self._connect(None)
                continue
            self._batch()
        if self.connection is not None:
            self.connection.close()
        return self.record

    def _connect(self, address):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if address is None:
            self.turn = (self.turn + 1) % len(self.addresses)
            address = self.addresses[self.turn]
        try:
            # Short: a paused node accepts connections too, and must not hold the writer for long.
            self.connection = Connection(address, timeout=1.0)
        except OSError:
            time.sleep(0.003)

    def _batch(self):
        writes = []
        for _ in range(self.depth):
            self.serial += 1
            writes.append((f"{self.name}:{self.serial}", f"{self.name}.{self.serial}.{os.urandom(4).hex()}"))
        sent = time.monotonic()
        target, lost, no_leader = None, False, False
        try:
            self.connection.send_raw(b"".join(encode("SET", key, value) for key, value in writes))
        except (ConnectionLost, OSError):
            lost = True
        for at, (key, value) in enumerate(writes):
            if lost:
                self.record.unknown[key] = value
                continue
            try:
                reply = self.connection.read()
            except (ConnectionLost, TimeoutError, OSError):
                lost = True
                self.record.unknown[key] = value
                continue
            if reply == "OK":
                now = time.monotonic()
                self.record.acknowledged.append((key, value, sent, now))
                self.shared[self.slot] = sent
            elif isinstance(reply, ErrorReply) and reply.definite:
                self.record.refused.append(key)
                target = moved_to(reply) or target
                no_leader = True
            elif isinstance(reply, ErrorReply) and reply.code == "UNKNOWN":
                self.record.unknown[key] = value
            else:
                self.record.unexpected.append((key, repr(reply)))
                self.record.unknown[key] = value
        if lost or target or no_leader:
            if target is None:
                time.sleep(0.003)
            self._connect(target)


def _writer_main(path, *args):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    record = _Writer(*args).run()
    with open(path, "wb") as out:
        pickle.dump(record, out)


class Load:
    """`writers` processes, each on one connection with `depth` writes on the way."""

    def __init__(self, cluster, writers=3, depth=8):
        context = multiprocessing.get_context("fork")
        self.cluster = cluster
        self.stop_flag = context.Event()
        self.last_sent = context.Array("d", writers, lock=False)
        self.paths = [os.path.join(cluster.home, f"writer-{i}") for i in range(writers)]
        self.processes = [
            context.Process(
                target=_writer_main,
                args=(
                    self.paths[i],
                    f"w{i}-{os.urandom(3).hex()}",
                    cluster.addresses,
                    depth,
                    self.stop_flag,
                    self.last_sent,
                    i,
                ),
                daemon=True,
            )
            for i in range(writers)
        ]
        self.records = None

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        self.stop_flag.set()
        for process in self.processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()

    def wait_acknowledged_after(self, moment, seconds):
        """Until some write that was sent after `moment` is acknowledged."""
        end = time.monotonic() + seconds
        while max(self.last_sent) <= moment:
            if time.monotonic() > end:
                raise TimeoutError(f"no write was acknowledged within {seconds:g} s")
            time.sleep(0.001)

    def finish(self):
        """Stops the writers and returns their records."""
        self.stop_flag.set()
        self.records = []
        for process, path in zip(self.processes, self.paths):
            process.join(timeout=15)
            if process.exitcode != 0:
                raise AssertionError(f"a writer ended with {process.exitcode}")
            with open(path, "rb") as file:
                self.records.append(pickle.load(file))
        return self.records


def first_acknowledged_after(records, moment):
    """When the first write that was sent after `moment` was acknowledged."""
    times = [
        acknowledged
        for record in records
        for (_, _, sent, acknowledged) in record.acknowledged
        if sent > moment
    ]
    return min(times) if times else None


def read_all(node, keys, batch=1000):
    """key -> value, by pipelined GETs."""
    found = {}
    with node.connect(timeout=30) as connection:
        for start in range(0, len(keys), batch):
            part = keys[start : start + batch]
            replies = connection.pipeline([("GET", key) for key in part])
            if len(replies) != len(part):
                raise AssertionError(f"{len(part)} reads, {len(replies)} replies")
            for key, reply in zip(part, replies):
                if isinstance(reply, ErrorReply):
                    raise AssertionError(f"GET {key}: {reply}")
                found[key] = None if reply is None else reply.decode()
    return found


def check_writes(test, cluster, records):
    """Every acknowledged write is there, every refused one is not, an unknown one is whole or absent."""
    node = cluster.wait_leader()
    acknowledged = {key: value for record in records for (key, value, _, _) in record.acknowledged}
    refused = [key for record in records for key in record.refused]
    unknown = {key: value for record in records for key, value in record.unknown.items()}
    unexpected = [what for record in records for what in record.unexpected]
    test.assertEqual(unexpected[:5], [], "replies that no client can make sense of")
    test.assertGreater(len(acknowledged), 0, "nothing was written at all")

    found = read_all(node, list(acknowledged))
    lost = [key for key, value in acknowledged.items() if found[key] != value]
    test.assertEqual(lost[:10], [], f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost or wrong")
    found = read_all(node, refused)
    done = [key for key in refused if found[key] is not None]
    test.assertEqual(done[:10], [], f"{len(done)} of {len(refused)} refused writes took effect")
    found = read_all(node, list(unknown))
    torn = [key for key, value in unknown.items() if found[key] not in (None, value)]
    test.assertEqual(torn[:10], [], "writes of unknown outcome left something else behind")
    return len(acknowledged), len(refused), len(unknown)
