"""ZooKeeper's protocol on a bare socket: requests as bytes, answers taken apart.

An answer is taken apart into what two servers with the same history must have in
common: times, session ids and orders that are nobody's promise are left out.
"""

import socket
import struct

OPEN = [(31, "world", "anyone")]
CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC = range(1, 10)
PING, CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = range(19, 23)
CLOSE, AUTH, SET_WATCHES, SASL = -11, 100, 101, 102
EPHEMERALS, CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I = range(103, 108)
NO_PASSWORD = b"\0" * 16
STAT = struct.Struct(">qqqqiiiqiiq")
REPLY = struct.Struct(">iqi")


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
    """Takes an answer apart and forgets what may differ.

    `owners` has the name of each session id that may be an ephemeral's owner.
    """

    def __init__(self, data, owners):
        self.data, self.at, self.owners = data, 0, owners

    @property
    def rest(self):
        """What nobody has taken."""
        return self.data[self.at :]

    def take(self, form):
        value = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def text(self):
        length = self.take(">i")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def texts(self):
        return sorted(self.text() for _ in range(self.take(">i")))

    def stat(self):
        fields = list(STAT.unpack_from(self.data, self.at))
        self.at += STAT.size
        # Times differ, but neither is missing, and no node changes before it is made.
        fields[2:4] = [fields[2] != 0, fields[2] <= fields[3]]
        fields[7] = self.owners.get(fields[7], fields[7])
        names = "czxid mzxid ctime mtime version cversion aversion owner length children pzxid"
        return dict(zip(names.split(), fields))

    def acl(self):
        count = self.take(">i")
        # ZooKeeper expands `auth` in no order.
        return sorted((self.take(">i"), self.text(), self.text()) for _ in range(count))

    def pairs(self):
        return sorted((self.text(), self.text()) for _ in range(self.take(">i")))

    def number(self):
        return self.take(">i")

    def multi(self):
        results = []
        while True:
            op, done, error = self.take(">i"), self.take("?"), self.take(">i")
            if done:
                return results
            results.append((op, error, self.of(op)))

    FORMS = {
        -1: [number],
        CREATE: [text],
        SYNC: [text],
        CREATE2: [text, stat],
        CREATE_CONTAINER: [text, stat],
        CREATE_TTL: [text, stat],
        EXISTS: [stat],
        SET: [stat],
        SET_ACL: [stat],
        GET: [text, stat],
        GET_ACL: [acl, stat],
        CHILDREN: [texts],
        EPHEMERALS: [texts],
        CHILDREN2: [texts, stat],
        CHILDREN_NUMBER: [number],
        ADD_WATCH: [number],
        WHO_AM_I: [pairs],
        RECONFIG: [text, stat],
        MULTI: [multi],
        MULTI_READ: [multi],
        SASL: [text],
    }

    def of(self, op):
        return [part(self) for part in self.FORMS.get(op, [])]


class Client:
    """One connection with a session: new, or `session` with its password."""

    def __init__(self, address, session=0, password=NO_PASSWORD, seen=0, timeout=10000):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.xid = 0
        hello = struct.pack(">iqiq", 0, seen, timeout, session) + text(password) + flag(False)
        self.send(hello)
        welcome = self.receive()
        _, self.timeout, self.session = struct.unpack(">iiq", welcome[:16])
        self.password = welcome[20:36]
        self.owners = {self.session: "mine"}

    def close(self):
        self.socket.close()

    def send(self, *payloads):
        self.socket.sendall(b"".join(i32(len(payload)) + payload for payload in payloads))

    def receive(self):
        """The next frame; EOFError if the server has closed the connection."""
        while True:
            if len(self.buffer) >= 4:
                end = 4 + struct.unpack_from(">i", self.buffer)[0]
                if len(self.buffer) >= end:
                    frame, self.buffer = self.buffer[4:end], self.buffer[end:]
                    return frame
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                raise EOFError
            self.buffer += more

    def ended(self):
        """Whether the server ends the connection."""
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def ask(self, *requests):
        """Sends (op, body) or (op, body, xid) together; returns what was sent, by xid."""
        frames, asked = [], []
        for op, body, *special in requests:
            self.xid += 1
            xid = special[0] if special else self.xid
            frames.append(i32(xid) + i32(op) + body)
            asked.append((xid, op))
        self.send(*frames)
        return asked

    def call(self, op, body, xid=None):
        """Everything up to the answer: events, then error, zxid and body."""
        [(asked, _)] = self.ask((op, body, *([xid] if xid else [])))
        seen = []
        while True:
            answer = self.receive()
            answered, zxid, error = REPLY.unpack_from(answer)
            if answered == -1:
                seen.append(("event", zxid, answer[16:]))
                continue
            assert answered == asked
            parts = Body(answer[16:], self.owners)
            fields = parts.of(op) if error == 0 else []
            return seen + [(error, zxid, fields, parts.rest)]
