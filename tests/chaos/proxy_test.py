"""The proxy breaks what it is told to break, and nothing else. Run by chaos_test.py."""

import socket
import struct
import time
import unittest

from chaos_cluster import HOST, Proxy


class Peer:
    """What the proxy knows a node by."""

    def __init__(self, node_id):
        self.id = node_id


def hello(source):
    """The beginning of the frame with which `source` introduces itself, as far as the proxy reads it."""
    return bytes(16) + b"RAFTKVP\n" + struct.pack("<IQ", 1, source.id)


def received(connection, count, seconds=5.0):
    """`count` bytes, or as many as came in time."""
    data = b""
    end = time.monotonic() + seconds
    while len(data) < count:
        connection.settimeout(max(0.001, end - time.monotonic()))
        try:
            more = connection.recv(count - len(data))
        except socket.timeout:
            break
        if not more:
            break
        data += more
    return data


class ProxyRules(unittest.TestCase):
    QUIET_S = 0.15

    def setUp(self):
        self.one, self.two = Peer(1), Peer(2)
        self.proxy = Proxy(1)
        self.addCleanup(self.proxy.close)
        self.listener = socket.create_server((HOST, 0))
        self.addCleanup(self.listener.close)
        self.port = self.proxy.listen(2, self.listener.getsockname()[1])

    def link(self):
        """Both ends of a connection that node 1 has made to node 2."""
        dialler = socket.create_connection((HOST, self.port), timeout=5)
        self.addCleanup(dialler.close)
        acceptor, _ = self.listener.accept()
        self.addCleanup(acceptor.close)
        dialler.sendall(hello(self.one))
        self.assertEqual(received(acceptor, 36), hello(self.one))
        return dialler, acceptor

    def assert_silent(self, connection):
        self.assertEqual(received(connection, 1, self.QUIET_S), b"")

    def test_it_carries_both_directions(self):
        dialler, acceptor = self.link()
        data = bytes(range(256)) * 4096
        dialler.sendall(data)
        self.assertEqual(received(acceptor, len(data)), data)
        acceptor.sendall(data)
        self.assertEqual(received(dialler, len(data)), data)

    def test_a_blocked_direction_holds_back_and_the_other_goes_on(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, blocked=1)
        dialler.sendall(b"held")
        acceptor.sendall(b"back")
        self.assertEqual(received(dialler, 4), b"back")
        self.assert_silent(acceptor)
        self.proxy.set(self.one, self.two)
        self.assertEqual(received(acceptor, 4), b"held")

    def test_a_blocked_link_does_not_tell_of_a_close_until_it_opens(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, blocked=1)
        dialler.close()
        acceptor.settimeout(self.QUIET_S)
        with self.assertRaises(socket.timeout):
            acceptor.recv(1)
        self.proxy.set(self.one, self.two)
        acceptor.settimeout(5)
        self.assertEqual(acceptor.recv(1), b"")

    def test_a_new_connection_of_a_blocked_link_is_not_heard_of(self):
        self.proxy.set(self.one, self.two, blocked=1)
        dialler = socket.create_connection((HOST, self.port), timeout=5)
        self.addCleanup(dialler.close)
        dialler.sendall(hello(self.one))
        acceptor, _ = self.listener.accept()
        self.addCleanup(acceptor.close)
        self.assert_silent(acceptor)

    def test_rules_of_one_link_leave_others_alone(self):
        dialler, acceptor = self.link()
        self.proxy.set(Peer(3), self.two, blocked=1)
        dialler.sendall(b"free")
        self.assertEqual(received(acceptor, 4), b"free")

    def test_a_delay_is_kept(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, delay_ms=100)
        begin = time.monotonic()
        dialler.sendall(b"late")
        self.assertEqual(received(acceptor, 4), b"late")
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)

    def test_a_narrow_link_takes_its_time(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, bytes_s=1_000_000)
        begin = time.monotonic()
        for _ in range(4):
            dialler.sendall(bytes(50_000))
            time.sleep(0.001)
        self.assertEqual(len(received(acceptor, 200_000)), 200_000)
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)

    def test_resets_end_connections(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, reset_ms=10)
        acceptor.settimeout(5)
        with self.assertRaises(ConnectionResetError):
            acceptor.recv(1)
        dialler.settimeout(5)
        with self.assertRaises(ConnectionResetError):
            dialler.recv(1)

    def test_clear_forgets_all_rules(self):
        dialler, acceptor = self.link()
        self.proxy.set(self.one, self.two, blocked=1)
        self.proxy.clear()
        dialler.sendall(b"free")
        self.assertEqual(received(acceptor, 4), b"free")

    def test_a_node_that_does_not_run_is_not_reached(self):
        self.listener.close()
        dialler = socket.create_connection((HOST, self.port), timeout=5)
        self.addCleanup(dialler.close)
        dialler.settimeout(5)
        try:
            self.assertEqual(dialler.recv(1), b"")
        except ConnectionResetError:
            pass
