"""The same requests to our coordinator and to a real ZooKeeper get the same answers.

Both start on empty directories. Answers are compared field by field: error, zxid,
body, and the watch events before them; only times, session ids and the order of
children may differ.
"""

import harness
import pytest
from zookeeper_wire import *  # noqa: F403 (opcodes and encoders are the vocabulary here)


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
    yield from found_by_the_generator()


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


def found_by_the_generator():
    """What `differential.py` has found once."""
    for op, body in [(SET, set_data(None)), (SET_ACL, text(None) + acl(OPEN) + i32(-1))]:
        yield f"operation {op} on a null path", op, body
    for op, body in [(CREATE, create(None)), (DELETE, at_version(None)), (GET, watching(None))]:
        yield f"operation {op} on a null path", op, body
    yield "auth with a null identity", CREATE, create("/null-id", b"", [(31, "auth", None)])
    yield "a null scheme", CREATE, create("/null-scheme", b"", [(31, None, "x")])
    yield "a path that is no UTF-8", DELETE, at_version(b"/\xff\xfe")
    yield "create where it is no UTF-8", CREATE, create(b"/\xff\xfe")
    yield "a negative count", SET_WATCHES, i64(0) + i32(-7) * 3, -8
    for flags in range(-1, 8):
        for op in (CREATE, CREATE2, CREATE_CONTAINER):
            parts = (SET, set_data("/a")), (op, create(f"/flags-{op}-", b"", OPEN, flags))
            yield f"flags {flags} of {op} in a multi", MULTI, multi(*parts)
        ttl = create(f"/flags-ttl-{flags}-", b"", OPEN, flags) + i64(1000)
        yield f"flags {flags} with a TTL in a multi", MULTI, multi((CREATE_TTL, ttl))
    yield "a node", CREATE, create("/unwatched")
    reads = (GET, watching("/unwatched", True)), (CHILDREN, watching("/unwatched", True))
    yield "reads of a multi leave no watch", MULTI_READ, multi(*reads)
    yield "nobody hears of it", CREATE, create("/unwatched/child")
    yield "nor of this", SET, set_data("/unwatched")
    yield "watch the root by its other name", GET, watching("", True)
    yield "watch its children", CHILDREN, watching("", True)
    yield "nobody hears of the root", SET, set_data("/")
    yield "nor of its children", CREATE, create("/heard-by-nobody")
    yield "number below the root's other name", CHILDREN_NUMBER, text("")
    # It ends the connection.
    yield "an unknown operation", 77, b""


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
