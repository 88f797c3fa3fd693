#!/usr/bin/python3
"""Order and count of replies in deep pipelines, in peace and across changes of the leader."""

import random
import threading

from cluster import ClusterTestCase, main, until
from wire import ConnectionLost, ErrorReply, encode

DEPTH = 10000


def mixed_commands(seed, prefix, count=DEPTH):
    """(command, expected reply) pairs: a pipeline and what a single Redis server would say."""
    rng = random.Random(seed)
    values = {}
    counter = 0
    pairs = []
    unknown = "ERR unknown command 'NOSUCHCOMMAND', with args beginning with: 'a' "
    while len(pairs) < count:
        key = f"{prefix}:{rng.randrange(500)}"
        kind = rng.randrange(100)
        if kind < 30:
            value = str(rng.random())
            values[key] = value
            pairs.append((("SET", key, value), "OK"))
        elif kind < 60:
            expected = values.get(key)
            pairs.append((("GET", key), None if expected is None else expected.encode()))
        elif kind < 75:
            counter += 1
            pairs.append((("INCR", f"{prefix}:counter"), counter))
        elif kind < 80:
            pairs.append((("PING",), "PONG"))
        elif kind < 84:
            pairs.append((("NOSUCHCOMMAND", "a"), ErrorReply(unknown)))
        elif kind < 88:
            pairs.append((("GET",), ErrorReply("ERR wrong number of arguments for 'get' command")))
        elif kind < 90:
            pairs.append((("INCRBY", key + ":text", "abc"), ErrorReply("ERR value is not an integer or out of range")))
        elif kind < 93:
            present = 1 if values.pop(key, None) is not None else 0
            pairs.append((("DEL", key), present))
        elif kind < 96:
            pairs.append((("ECHO", key), key.encode()))
        elif len(pairs) + 4 <= count:
            value = str(rng.random())
            values[key] = value
            counter += 1
            pairs += [
                (("MULTI",), "OK"),
                (("SET", key, value), "QUEUED"),
                (("INCR", f"{prefix}:counter"), "QUEUED"),
                (("EXEC",), ["OK", counter]),
            ]
    return pairs


class Pipelines(ClusterTestCase):
    NODES = 3

    def check(self, pairs, replies):
        self.assertEqual(len(replies), len(pairs))
        for at, ((command, expected), reply) in enumerate(zip(pairs, replies)):
            if reply != expected or isinstance(reply, ErrorReply) != isinstance(expected, ErrorReply):
                self.fail(f"reply {at} to {command}: {reply!r} instead of {expected!r}")

    def test_ten_thousand_mixed_commands_are_answered_exactly_and_in_order(self):
        leader = self.cluster.wait_leader()
        for seed in range(3):
            with leader.connect(30) as connection:
                pairs = mixed_commands(seed, f"exact{seed}")
                self.check(pairs, connection.pipeline([command for command, _ in pairs]))
                self.assertEqual(connection.call("PING"), "PONG", "nothing is left over")

    def test_pipelines_of_many_connections_do_not_mix(self):
        leader = self.cluster.wait_leader()
        results = {}

        def run(number):
            with leader.connect(60) as connection:
                pairs = mixed_commands(number, f"side{number}", 3000)
                results[number] = (pairs, connection.pipeline([command for command, _ in pairs]))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=90)
        self.assertEqual(len(results), 8)
        for pairs, replies in results.values():
            self.check(pairs, replies)

    def test_a_pipeline_cut_into_single_bytes_is_answered_exactly(self):
        leader = self.cluster.wait_leader()
        pairs = mixed_commands(99, "bytes", 60)
        data = b"".join(encode(*command) for command, _ in pairs)
        with leader.connect(30) as connection:
            for at in range(len(data)):
                connection.send_raw(data[at : at + 1])
            self.check(pairs, [connection.read() for _ in pairs])

    def test_a_follower_answers_each_command_of_a_pipeline_too(self):
        follower = self.cluster.followers()[0]
        leader = self.cluster.wait_leader()
        pairs = mixed_commands(5, "follower", 2000)
        with follower.connect(30) as connection:
            replies = connection.pipeline([command for command, _ in pairs])
        self.assertEqual(len(replies), len(pairs))
        for (command, expected), reply in zip(pairs, replies):
            if command[0] in ("PING", "ECHO", "MULTI"):
                self.assertEqual(reply, expected)
            elif isinstance(expected, ErrorReply) and command[0] in ("NOSUCHCOMMAND", "GET"):
                self.assertEqual(reply, expected)
            elif command[0] == "EXEC":
                self.assertTrue(isinstance(reply, ErrorReply), reply)
            elif not (isinstance(reply, ErrorReply) and reply.code == "MOVED"):
                self.fail(f"{command} on a follower: {reply!r}")
            else:
                self.assertTrue(reply.endswith(f":{leader.port}"), reply)


class PipelinesAcrossLeaderChanges(ClusterTestCase):
    """Each reply is a result, or an error that tells the truth."""

    NODES = 3

    def commands(self, prefix):
        """Unique keys, so that each write can be checked by itself afterwards."""
        rng = random.Random(prefix)
        commands = []
        at = 0
        while len(commands) < DEPTH:
            at += 1
            kind = rng.randrange(10)
            if kind < 5:
                commands.append(("SET", f"{prefix}:{at}", f"v{at}"))
            elif kind < 6:
                commands.append(("GET", f"{prefix}:{rng.randrange(1, at + 1)}"))
            elif kind < 8:
                commands.append(("INCR", f"{prefix}:counter"))
            elif kind < 9:
                commands.append(("PING",))
            else:
                commands.append(("NOSUCHCOMMAND",))
        return commands

    def check_truth(self, prefix, commands, replies):
        """Replies may be fewer than commands: then the connection was lost after the last one."""
        unknown = "an outcome that nobody knows"
        outcomes = list(replies) + [ErrorReply("UNKNOWN " + unknown)] * (len(commands) - len(replies))
        leader = self.cluster.wait_leader(20)
        sets = [(c, r) for c, r in zip(commands, outcomes) if c[0] == "SET"]
        with leader.connect(30) as connection:
            kept = connection.pipeline([("GET", command[1]) for command, _ in sets])
            final = int(connection.call("GET", f"{prefix}:counter") or 0)
        self.assertEqual(len(kept), len(sets))
        tally = {"done": 0, "refused": 0, "unknown": 0}
        for (command, reply), value in zip(sets, kept):
            if reply == "OK":
                tally["done"] += 1
                self.assertEqual(value, command[2].encode(), f"{command} was acknowledged")
            elif isinstance(reply, ErrorReply) and reply.definite:
                tally["refused"] += 1
                self.assertIsNone(value, f"{command} was refused: {reply}")
            elif isinstance(reply, ErrorReply) and reply.code == "UNKNOWN":
                tally["unknown"] += 1
                self.assertIn(value, (None, command[2].encode()))
            else:
                self.fail(f"{command}: {reply!r}")
        increments = [r for c, r in zip(commands, outcomes) if c[0] == "INCR"]
        acknowledged = [r for r in increments if isinstance(r, int)]
        in_doubt = [r for r in increments if isinstance(r, ErrorReply) and r.code == "UNKNOWN"]
        self.assertEqual(acknowledged, sorted(set(acknowledged)), "counts grow by each INCR")
        self.assertGreaterEqual(final, len(acknowledged))
        self.assertLessEqual(final, len(acknowledged) + len(in_doubt))
        self.check_the_rest(commands, replies)
        return tally

    def check_the_rest(self, commands, replies):
        """PING and unknown commands need no leader; a read returns what was written before it."""
        written = {}
        for command, reply in zip(commands, replies):
            name = command[0]
            if name == "PING":
                self.assertEqual(reply, "PONG")
            elif name == "NOSUCHCOMMAND":
                self.assertTrue(isinstance(reply, ErrorReply) and reply.startswith("ERR unknown command"), reply)
            elif name == "SET" and reply == "OK":
                written[command[1]] = command[2].encode()
            elif name == "GET" and not isinstance(reply, ErrorReply) and command[1] in written:
                self.assertEqual(reply, written[command[1]], f"{command} does not see the write before it")

    def run_pipeline(self, node, prefix, disturb):
        """Sends the pipeline to `node`; calls `disturb` when some of it is answered and more is on its
        way, and sends the rest afterwards."""
        commands = self.commands(prefix)
        data = b"".join(encode(*command) for command in commands)
        first, second = len(data) * 3 // 10, len(data) * 6 // 10
        replies = []
        disturbed = threading.Event()
        with node.connect(30) as connection:

            def send():
                try:
                    connection.socket.sendall(data[:first])
                    until(lambda: len(replies) >= 1000, 20, "the first replies come", pause=0.001)
                    connection.socket.sendall(data[first:second])
                    disturb()
                    disturbed.set()
                    connection.socket.sendall(data[second:])
                except OSError:
                    pass  # the reader meets the same loss

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            try:
                for _ in commands:
                    replies.append(connection.read())
            except ConnectionLost:
                pass  # the replies that came are judged
            sender.join(timeout=30)
            self.assertTrue(disturbed.is_set())
        return commands, replies

    def test_a_kill_in_the_middle_leaves_replies_that_tell_the_truth(self):
        leader = self.cluster.wait_leader(agreed=True)
        commands, replies = self.run_pipeline(leader, "kill", leader.kill)
        self.assertLess(len(replies), len(commands))
        self.check_truth("kill", commands, replies)
        leader.start()
        self.cluster.wait_all()

    def test_a_clean_end_in_the_middle_leaves_replies_that_tell_the_truth(self):
        leader = self.cluster.wait_leader(agreed=True)
        commands, replies = self.run_pipeline(leader, "end", leader.terminate)
        self.assertEqual(leader.process.returncode, 0)
        self.check_truth("end", commands, replies)
        leader.start()
        self.cluster.wait_all()

    def test_a_pause_in_the_middle_gives_one_true_reply_a_command(self):
        leader = self.cluster.wait_leader(agreed=True)

        def pause_until_replaced():
            leader.pause()
            try:
                self.cluster.wait_leader(10, besides=leader)
            finally:
                leader.resume()

        commands, replies = self.run_pipeline(leader, "pause", pause_until_replaced)
        self.assertEqual(len(replies), len(commands))
        tally = self.check_truth("pause", commands, replies)
        self.assertGreater(tally["done"], 0)
        self.assertGreater(tally["refused"], 0, "the deposed leader refuses the rest")

    def test_a_leader_cut_from_its_majority_gives_one_true_reply_a_command(self):
        leader = self.cluster.wait_leader(agreed=True)
        others = [node for node in self.cluster.nodes if node is not leader]

        def pause_the_others():
            for node in others:
                node.pause()
            timer = threading.Timer(3.0, lambda: [node.resume() for node in others])
            timer.start()

        commands, replies = self.run_pipeline(leader, "alone", pause_the_others)
        self.assertEqual(len(replies), len(commands))
        until(lambda: not any(node.paused for node in others), 10, "the others go on")
        self.check_truth("alone", commands, replies)


if __name__ == "__main__":
    main()
