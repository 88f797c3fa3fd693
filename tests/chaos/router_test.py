"""The network of packets breaks what it is told to break, and nothing else. Run by chaos_test.py."""

import socket
import threading
import time
import unittest

from chaos_cluster import Router, enter_namespace
from proxy_test import Peer, received

PORT = 7000


def socket_in(namespace, kind):
    """A socket belongs to the namespace of the thread that made it."""
    made = []

    def make():
        with open(namespace) as file:
            enter_namespace(file.fileno())
        made.append(socket.socket(socket.AF_INET, kind))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@unittest.skipIf(Router.unavailable() is not None, Router.unavailable())
class RouterRules(unittest.TestCase):
    QUIET_S = 0.15

    def setUp(self):
        self.one, self.two = Peer(1), Peer(2)
        self.network = Router(1)
        self.addCleanup(self.network.close)
        self.places = {peer: self.network.namespace(peer.id) for peer in (self.one, self.two)}

    def bound(self, peer, kind=socket.SOCK_DGRAM):
        namespace, address = self.places[peer]
        made = socket_in(namespace, kind)
        self.addCleanup(made.close)
        made.bind((address, PORT))
        return made

    def link(self):
        """Both ends of a connection that node 1 has made to node 2."""
        listener = self.bound(self.two, socket.SOCK_STREAM)
        listener.listen()
        listener.settimeout(5)
        dialler = self.bound(self.one, socket.SOCK_STREAM)
        dialler.settimeout(5)
        dialler.connect(listener.getsockname())
        acceptor, _ = listener.accept()
        self.addCleanup(acceptor.close)
        return dialler, acceptor

    def arrive(self, count):
        """The numbers of the packets that come of `count`, in the order of their coming."""
        sender, receiver = self.bound(self.one), self.bound(self.two)
        numbers = []
        for number in range(count):
            sender.sendto(b"%d" % number, receiver.getsockname())
            numbers += self.those_that_came(receiver, 0.0005)
        return numbers + self.those_that_came(receiver, 0.5)

    @staticmethod
    def those_that_came(receiver, seconds):
        receiver.settimeout(seconds)
        numbers = []
        try:
            while True:
                numbers.append(int(receiver.recv(100)))
        except socket.timeout:
            return numbers

    def test_it_carries_both_directions(self):
        dialler, acceptor = self.link()
        data = bytes(range(256)) * 1024
        for source, target in ((dialler, acceptor), (acceptor, dialler)):
            thread = threading.Thread(target=source.sendall, args=(data,))
            thread.start()
            self.assertEqual(received(target, len(data)), data)
            thread.join()

    def test_without_rules_nothing_is_lost(self):
        self.assertEqual(self.arrive(300), list(range(300)))

    def test_clients_outside_reach_a_node_whatever_the_rules(self):
        self.network.set(self.one, self.two, blocked=1)
        self.network.set(self.two, self.one, blocked=1)
        listener = self.bound(self.two, socket.SOCK_STREAM)
        listener.listen()
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            acceptor, _ = listener.accept()
            with acceptor:
                acceptor.sendall(b"here")
                self.assertEqual(received(client, 4), b"here")

    def test_a_blocked_direction_loses_all_and_the_other_goes_on(self):
        dialler, acceptor = self.link()
        self.network.set(self.one, self.two, blocked=1)
        dialler.sendall(b"lost")
        acceptor.sendall(b"back")
        self.assertEqual(received(acceptor, 4, self.QUIET_S), b"")
        self.network.set(self.one, self.two)
        self.assertEqual(received(acceptor, 4), b"lost")  # TCP has sent it again

    def test_packets_are_lost_as_often_as_was_said(self):
        self.network.set(self.one, self.two, loss_percent=30)
        came = self.arrive(1000)
        self.assertEqual(came, sorted(set(came)))
        self.assertTrue(600 < len(came) < 800, len(came))

    def test_packets_arrive_twice_as_often_as_was_said(self):
        self.network.set(self.one, self.two, duplicate_percent=30)
        came = self.arrive(1000)
        self.assertEqual(set(came), set(range(1000)))
        self.assertTrue(1200 < len(came) < 1400, len(came))

    def test_jitter_lets_packets_overtake(self):
        self.network.set(self.one, self.two, jitter_ms=20)
        came = self.arrive(100)
        self.assertEqual(sorted(came), list(range(100)))
        self.assertNotEqual(came, sorted(came))

    def test_a_delay_is_kept(self):
        dialler, acceptor = self.link()
        self.network.set(self.one, self.two, delay_ms=100)
        begin = time.monotonic()
        dialler.sendall(b"late")
        self.assertEqual(received(acceptor, 4), b"late")
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)

    def test_a_narrow_link_takes_its_time(self):
        dialler, acceptor = self.link()
        self.network.set(self.one, self.two, bytes_s=1_000_000)
        data = bytes(200_000)
        begin = time.monotonic()
        thread = threading.Thread(target=dialler.sendall, args=(data,))
        thread.start()
        self.assertEqual(len(received(acceptor, len(data))), len(data))
        thread.join()
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_rules_of_connections_are_refused(self):
        with self.assertRaisesRegex(RuntimeError, "packets know no connections"):
            self.network.set(self.one, self.two, reset_ms=100)
