"""ZooKeeper's wire, spoken by hand: requests as bytes, and answers taken apart.

What may differ between two servers (times, session ids, the order of children)
is left out of the answers, so that two of them can be compared.
"""

import socket
import struct

OPEN = [(31, "world", "anyone")]
CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC = range(1, 10)
PING, CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_CONTAINER, CREATE_TTL, MULTI_READ = 19, 21, 22
AUTH, SET_WATCHES, SASL = 100, 101, 102
EPHEMERALS, CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I = range(103, 108)


def i32(number):
    return struct.pack(">i", number)


def i64(number):
    return struct.pack(">q", number)


def flag(value):
    return b"\1" if value else b"\0"


def text(value):
    if value is None:
        return i32(-1)
    data = value.encode() if isinstance(value, str) else value
    return i32(len(data)) + data


def texts(*values):
    return i32(len(values)) + b"".join(map(text, values))


def acl(entries):
    if entries is None:
        return i32(-1)
    parts = (i32(perms) + text(scheme) + text(who) for perms, scheme, who in entries)
    return i32(len(entries)) + b"".join(parts)


def create(path, data=b"x", entries=OPEN, flags=0):
    return text(path) + text(data) + acl(entries) + i32(flags)


def create_ttl(path, ttl, data=b"x", flags=5):
    return create(path, data, OPEN, flags) + i64(ttl)


def at_version(path, version=-1):
    return text(path) + i32(version)


def set_data(path, data=b"", version=-1):
    return text(path) + text(data) + i32(version)


def watching(path, watch=False):
    return text(path) + flag(watch)


def multi(*operations):
    def header(op, done):
        return struct.pack(">i?i", op, done, -1)

    parts = (header(op, False) + body for op, body in operations)
    return b"".join(parts) + header(-1, True)


class Body:
    """Takes an answer apart and forgets what may differ."""

    def __init__(self, data, session):
        self.data, self.session = data, session

    def take(self, form):
        size = struct.calcsize(form)
        value = struct.unpack(form, self.data[:size])[0]
        self.data = self.data[size:]
        return value

    def text(self):
        length = self.take(">i")
        if length < 0:
            return None
        value, self.data = self.data[:length], self.data[length:]
        return value

    def texts(self):
        return sorted(self.text() for _ in range(self.take(">i")))

    def pairs(self):
        return sorted((self.text(), self.text()) for _ in range(self.take(">i")))

    def stat(self):
        names = "czxid mzxid ctime mtime version cversion aversion owner length children pzxid"
        forms = dict(version=">i", cversion=">i", aversion=">i", length=">i", children=">i")
        stat = {name: self.take(forms.get(name, ">q")) for name in names.split()}
        stat["ctime"] = stat["ctime"] != 0
        stat["mtime"] = stat["mtime"] != 0
        stat["owner"] = "mine" if stat["owner"] == self.session else stat["owner"]
        return stat

    def acl(self):
        count = self.take(">i")
        # Several identities that "auth" stands for come in any order.
        return sorted((self.take(">i"), self.text(), self.text()) for _ in range(count))

    def multi(self):
        results = []
        while True:
            op, done, error = self.take(">i"), self.take("?"), self.take(">i")
            if done:
                return results
            results.append((op, error, self.of(op)))

    def of(self, op):
        forms = {
            -1: [lambda: self.take(">i")],
            CREATE: [self.text],
            SYNC: [self.text],
            CREATE2: [self.text, self.stat],
            CREATE_CONTAINER: [self.text, self.stat],
            CREATE_TTL: [self.text, self.stat],
            EXISTS: [self.stat],
            SET: [self.stat],
            SET_ACL: [self.stat],
            GET: [self.text, self.stat],
            GET_ACL: [self.acl, self.stat],
            CHILDREN: [self.texts],
            EPHEMERALS: [self.texts],
            CHILDREN2: [self.texts, self.stat],
            MULTI: [self.multi],
            MULTI_READ: [self.multi],
            SASL: [self.text],
            WHO_AM_I: [self.pairs],
        }
        return [part() for part in forms.get(op, [])]


class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.xid = 0
        hello = struct.pack(">iqiq", 0, 0, 10000, 0) + text(b"\0" * 16) + flag(False)
        self.send(hello)
        welcome = self.receive()
        self.session = struct.unpack(">q", welcome[8:16])[0]

    def send(self, payload):
        self.socket.sendall(i32(len(payload)) + payload)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def ended(self):
        """Whether the server ends the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def call(self, op, body, xid=None):
        """Everything up to the answer: events, then error, zxid and body."""
        self.xid += 1
        xid = xid or self.xid
        self.send(i32(xid) + i32(op) + body)
        seen = []
        while True:
            answer = self.receive()
            answered, zxid, error = struct.unpack(">iqi", answer[:16])
            if answered == -1:
                seen.append(("event", zxid, answer[16:]))
                continue
            assert answered == xid
            parts = Body(answer[16:], self.session)
            fields = parts.of(op) if error == 0 else []
            return seen + [(error, zxid, fields, parts.data)]
