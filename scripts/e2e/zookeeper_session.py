"""One session of ZooKeeper's protocol on a bare socket.

For tests that leave a session without closing it, take one over by its id and
password, or want to see whether a single request is answered.
"""

import socket
import struct

EPHEMERAL, CONTAINER, TTL = 1, 4, 5
_CREATE, _EXISTS, _CREATE_CONTAINER, _CREATE_TTL = 1, 3, 19, 21


def _text(value):
    return struct.pack(">i", len(value)) + value


class Session:
    """Connects at once; its `id` is 0 if it was refused."""

    def __init__(self, port, taken_over=None, timeout_ms=60_000):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.id, self.password = taken_over or (0, bytes(16))
        head = struct.pack(">iqiqi", 0, 0, timeout_ms, self.id, len(self.password))
        self._send(head + self.password + b"\0")
        answer = self._receive()
        _, self.timeout_ms, self.id, _ = struct.unpack_from(">iiqi", answer)
        self.password = answer[20:36]

    def _send(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def _receive(self):
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the server closed the connection"
            data += more
        return data

    def result(self):
        """The error of the next answer."""
        _, _, error = struct.unpack_from(">iqi", self._receive())
        return error

    def send_create(self, path, data=b"", flags=0, ttl=None):
        """Asks for a node of any kind that everybody may use."""
        opcode = {CONTAINER: _CREATE_CONTAINER, TTL: _CREATE_TTL}.get(flags, _CREATE)
        body = struct.pack(">ii", 1, opcode) + _text(path.encode()) + _text(data)
        body += struct.pack(">ii", 1, 31) + _text(b"world") + _text(b"anyone")
        self._send(body + struct.pack(">i", flags) + (struct.pack(">q", ttl) if ttl else b""))

    def create(self, path, data=b"", flags=0, ttl=None):
        self.send_create(path, data, flags, ttl)
        return self.result()

    def exists(self, path):
        self._send(struct.pack(">ii", 1, _EXISTS) + _text(path.encode()) + b"\0")
        error = self.result()
        assert error in (0, -101), error
        return error == 0

    def leave(self):
        """Goes away without closing the session; its id and password."""
        self.socket.close()
        return self.id, self.password
