"""The same requests to our coordinator and to a real ZooKeeper get the same answers.

Both start on empty directories. Answers are compared field by field: error, zxid,
body, and the watch events before them; only times, session ids and the order of
children may differ.
"""

import socket
import struct

import harness
import pytest

OPEN = [(31, "world", "anyone")]
CREATE, DELETE, EXISTS, GET, SET, GET_ACL, SET_ACL, CHILDREN, SYNC = range(1, 10)
PING, CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = range(11, 19)
CREATE_TTL, MULTI_READ, AUTH, SET_WATCHES = 21, 22, 100, 101
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
        return [(self.take(">i"), self.text(), self.text()) for _ in range(count)]

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


def cases():
    yield "create", CREATE, create("/a")
    yield "create2", CREATE2, create("/a/b")
    yield "create again", CREATE, create("/a")
    bad = ["/", "", "foo", "//q", "/.", "/q/", "/a\x01", "/a/..", "/a//b", "/a/", "/no/x"]
    for path in [*bad, "/a\0b", "/\U0001F600"]:
        yield f"create {path!r}", CREATE, create(path)
        yield f"delete {path!r}", DELETE, at_version(path)
        yield f"set {path!r}", SET, set_data(path)
        yield f"exists {path!r}", EXISTS, watching(path)
        yield f"get {path!r}", GET, watching(path)
        yield f"children {path!r}", CHILDREN2, watching(path)
        yield f"set acl {path!r}", SET_ACL, text(path) + acl(OPEN) + i32(-1)
    yield "create without data", CREATE, create("/null", None)
    yield "get without data", GET, watching("/null")
    entries = [("world", "x"), ("auth", ""), ("digest", "a"), ("digest", "a:b"), ("sasl", "k")]
    entries += [("ip", "1.2.3.4/33"), ("ip", "1.2.3.0/24")]
    for acls in [None, [], OPEN + OPEN, *([(31, *entry)] for entry in entries)]:
        yield f"create with {acls}", CREATE2, create("/acl-", b"", acls, 2)
    for flags in range(-1, 8):
        yield f"create with flags {flags}", CREATE2, create(f"/f{flags}-", b"", OPEN, flags)
    yield "child of an ephemeral", CREATE, create("/f1-/x")
    yield "sequence after a slash", CREATE, create("/a/", b"", OPEN, 2)
    yield "sequence", CREATE, create("/a/s-", b"", OPEN, 2)
    yield "stat", EXISTS, watching("/a")
    yield "delete with children", DELETE, at_version("/a")
    yield "delete another version", DELETE, at_version("/a/b", 5)
    yield "delete what is special", DELETE, at_version("/zookeeper/quota")
    yield "delete", DELETE, at_version("/a/b", 0)
    yield "stat after deletion", EXISTS, watching("/a")
    yield "set", SET, set_data("/a", b"yy", 0)
    yield "set another version", SET, set_data("/a", b"yy", 0)
    yield "set no data", SET, set_data("/a", None)
    local = (1, "ip", "127.0.0.1")
    yield "set acl", SET_ACL, text("/a") + acl([*OPEN, local]) + i32(-1)
    yield "set acl of another version", SET_ACL, text("/a") + acl(OPEN) + i32(0)
    yield "get acl", GET_ACL, text("/a")
    yield "get acl of nothing", GET_ACL, text("/none")
    yield "children", CHILDREN, watching("/a")
    yield "sync", SYNC, text("/whatever")
    yield "ping", PING, b"", -2
    yield "ephemerals", EPHEMERALS, text("")
    yield "some ephemerals", EPHEMERALS, text("/f3")
    for path in ["/", "/a", "/none"]:
        yield f"number below {path}", CHILDREN_NUMBER, text(path)
    yield "who am I", WHO_AM_I, b""
    yield from multis()
    yield from watches()
    yield from identities()
    yield "reconfig", RECONFIG, text(None) * 3 + i64(-1)


def multis():
    ok = [(CREATE, create("/m")), (CREATE2, create("/m/c")), (SET, set_data("/m", b"2", 0))]
    ok += [(CHECK, at_version("/m", 1)), (DELETE, at_version("/m/c"))]
    yield "multi", MULTI, multi(*ok)
    bad = [(CREATE, create("/m2")), (CHECK, at_version("/m", 9)), (DELETE, at_version("/m"))]
    yield "multi that fails", MULTI, multi(*bad)
    yield "nothing of it", EXISTS, watching("/m2")
    yield "empty multi", MULTI, multi()
    yield "multi with exists", MULTI, multi((EXISTS, watching("/m")))
    yield "multi with a read", MULTI, multi((GET, watching("/m")))
    ttl = create("/ttl", b"", OPEN, 5) + i64(1000)
    yield "multi with a TTL", MULTI, multi((CREATE_TTL, ttl))
    reads = [(GET, watching("/m")), (CHILDREN, watching("/")), (GET, watching("/none"))]
    yield "multi of reads", MULTI_READ, multi(*reads)
    yield "TTL", CREATE_TTL, ttl


def watches():
    yield "watch data", GET, watching("/m", True)
    yield "watch children", CHILDREN, watching("/m", True)
    yield "watch what is missing", EXISTS, watching("/w", True)
    for kind in [2, 1, 4, 9]:
        yield f"check watch {kind}", CHECK_WATCHES, at_version("/m", kind)
    yield "fires", CREATE, create("/w")
    yield "fires once for both", DELETE, at_version("/m")
    for mode in [7, 0, 1]:
        yield f"add watch {mode}", ADD_WATCH, at_version("/p", mode)
    yield "create watched", CREATE, create("/p")
    yield "create below", CREATE, create("/p/x")
    yield "set watched", SET, set_data("/p")
    yield "set below", SET, set_data("/p/x")
    yield "delete below", DELETE, at_version("/p/x")
    yield "remove persistent", REMOVE_WATCHES, at_version("/p", 4)
    yield "delete watched", DELETE, at_version("/p")
    yield "remove nothing", REMOVE_WATCHES, at_version("/p", 2)
    yield "remove recursive", REMOVE_WATCHES, at_version("/p", 5)
    away = i64(0) + texts("/a", "/gone") + texts("/a", "/future") + texts("/a", "/gone")
    yield "set watches", SET_WATCHES, away, -8
    yield "fires later", CREATE, create("/future")
    later = i64(1 << 40) + texts("/a") + texts() + texts("/a") + texts("/a") + texts("/")
    yield "set watches 2", SET_WATCHES2, later, -8
    yield "fires one by one", CREATE, create("/a/z")
    yield "half a create", CREATE, text("/x")
    yield "set without body", SET, b""


def identities():
    yield "authenticate", AUTH, i32(0) + text("digest") + text("u:p"), -4
    yield "create for me", CREATE, create("/auth", b"", [(31, "auth", "")])
    yield "its acl", GET_ACL, text("/auth")
    yield "who am I now", WHO_AM_I, b""
    other = [(1, "digest", "z:zz")]
    yield "give it away", SET_ACL, text("/auth") + acl(other) + i32(-1)
    yield "get", GET, watching("/auth")
    yield "exists", EXISTS, watching("/auth", True)
    yield "get acl", GET_ACL, text("/auth")
    yield "set", SET, set_data("/auth")
    yield "delete it nevertheless", DELETE, at_version("/auth")


@pytest.fixture
def servers_to_compare(tmp_path):
    """Addresses of a coordinator and of a ZooKeeper, both new."""
    ports = [harness.Ports.take() for _ in range(3)]
    ours = harness.odradek_coordinator(tmp_path, ports[0], ports[2])
    oracle = harness.apache_zookeeper(tmp_path, ports[1])
    try:
        ours.start()
        oracle.start()
        yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
    finally:
        ours.kill()
        oracle.kill()


def test_answers_are_the_same(servers_to_compare):
    ours, oracle = map(Client, servers_to_compare)
    different = []
    for name, op, body, *xid in cases():
        expected, answered = oracle.call(op, body, *xid), ours.call(op, body, *xid)
        if expected != answered:
            different.append((name, expected, answered))
    assert not different
