"""The Redis protocol as the tests speak it: raw, so that nothing is retried or hidden."""

import socket
import threading
import time

CRLF = b"\r\n"

# Errors that promise that the command did not and will not take effect.
DEFINITE = ("MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS")


class ErrorReply(str):
    """An error as a value: "MOVED 7 127.0.0.1:7002"."""

    @property
    def code(self):
        return self.split(" ", 1)[0]

    @property
    def definite(self):
        return self.code in DEFINITE


class ConnectionLost(Exception):
    pass


def encode(*args):
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        if not isinstance(arg, bytes):
            arg = str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def moved_to(reply):
    """The address in a MOVED error, or None."""
    if isinstance(reply, ErrorReply) and reply.code == "MOVED":
        host, port = reply.split()[2].rsplit(":", 1)
        return host, int(port)
    return None


class Connection:
    """One connection, RESP2 and RESP3. A read that takes longer than `timeout` raises."""

    def __init__(self, address, timeout=10.0):
        self.address = address
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.at = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, BrokenPipeError) as error:
            raise ConnectionLost(str(error)) from error

    def send(self, *args):
        self.send_raw(encode(*args))

    def call(self, *args):
        self.send(*args)
        return self.read()

    def pipeline(self, commands):
        """Sends all commands, reading at the same time; returns the replies that came. Fewer replies
        than commands mean that the connection was lost."""
        data = b"".join(encode(*command) for command in commands)
        return self.pipeline_raw(data, len(commands))

    def pipeline_raw(self, data, count):
        def send():
            try:
                self.socket.sendall(data)
            except OSError:
                pass  # the reader meets the same loss

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        replies = []
        try:
            while len(replies) < count:
                replies.append(self.read())
        except ConnectionLost:
            pass
        sender.join(timeout=10)
        return replies

    def _more(self):
        if self.at > 65536:
            self.buffer = self.buffer[self.at :]
            self.at = 0
        try:
            data = self.socket.recv(262144)
        except socket.timeout:
            raise TimeoutError(f"no reply from {self.address} within {self.socket.gettimeout()} s")
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from error
        if not data:
            raise ConnectionLost("closed by the server")
        self.buffer = self.buffer + data

    def _line(self):
        while True:
            end = self.buffer.find(CRLF, self.at)
            if end >= 0:
                line = self.buffer[self.at : end]
                self.at = end + 2
                return line
            self._more()

    def _exactly(self, count):
        while len(self.buffer) - self.at < count:
            if count > 1 << 20:
                return self._large(count)
            self._more()
        data = self.buffer[self.at : self.at + count]
        self.at += count
        return data

    def _large(self, count):
        """Large bulks in linear time."""
        parts = [self.buffer[self.at :]]
        have = len(parts[0])
        self.buffer, self.at = b"", 0
        while have < count:
            data = self.socket.recv(min(1 << 20, count - have))
            if not data:
                raise ConnectionLost("closed by the server")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ErrorReply(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind in (b"$", b"="):
            size = int(rest)
            if size < 0:
                return None
            data = self._exactly(size + 2)
            if data[-2:] != CRLF:
                raise AssertionError(f"a bulk of {size} bytes does not end with CRLF: {data[-20:]!r}")
            return data[:-2]
        if kind in (b"*", b"~", b">"):
            size = int(rest)
            return None if size < 0 else [self.read() for _ in range(size)]
        if kind == b"%":
            return [self.read() for _ in range(2 * int(rest))]
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise AssertionError(f"not a reply: {line[:100]!r}")

    def closed_within(self, seconds):
        """Whether the server closes this connection in time; what it still sends is dropped."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                if not self.socket.recv(65536):
                    return True
            except socket.timeout:
                return False
            except ConnectionError:
                return True
        return False
