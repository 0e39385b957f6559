"""The same requests to our coordinator and to a real ZooKeeper get the same answers.

Both start on empty directories. Answers are compared field by field: error, zxid,
body, and the watch events before them; only times, session ids and the order of
children may differ.
"""

import harness
from zookeeper_pair import Pair
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
    ttl = create_ttl("/ttl", 1000)
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
    # go-zookeeper numbers it like any other request, and waits for that number.
    yield "authenticate under another number", AUTH, i32(0) + text("digest") + text("g:o")
    # It ends the connection.
    yield "an unknown operation", 77, b""


def containers():
    yield "container", CREATE_CONTAINER, create("/c", b"x", OPEN, 4)
    yield "its stat", EXISTS, watching("/c")
    yield "container by its flag alone", CREATE2, create("/c-plain", b"x", OPEN, 4)
    yield "container without its flag", CREATE_CONTAINER, create("/c-op", b"x", OPEN, 0)
    yield "container again", CREATE_CONTAINER, create("/c", b"x", OPEN, 4)
    yield "child of a container", CREATE2, create("/c/x", b"", OPEN, 1)
    yield "sequence in a container", CREATE2, create("/c/s-", b"", OPEN, 2)
    yield "container in a container", CREATE_CONTAINER, create("/c/c", b"", OPEN, 4)
    yield "delete it with children", DELETE, at_version("/c")
    yield "delete the inner one", DELETE, at_version("/c/c")
    parts = [(CREATE_CONTAINER, create("/cm", b"1", OPEN, 4)), (CREATE, create("/cm/x"))]
    yield "container in a multi", MULTI, multi(*parts, (DELETE, at_version("/cm/x")))
    again = (CREATE_CONTAINER, create("/cm", b"1", OPEN, 4))
    yield "container in a multi again", MULTI, multi((SET, set_data("/cm")), again)


def times_to_live():
    for flags in [5, 6]:
        for ttl in [-1, 0, 1 << 40, (1 << 40) - 1]:
            yield f"TTL {ttl}, flags {flags}", CREATE_TTL, create_ttl("/t-", ttl, flags=flags)
    for flags in [0, 1, 2, 4]:
        yield f"TTL with flags {flags}", CREATE_TTL, create_ttl("/u-", 1000, flags=flags)
    for op in [CREATE, CREATE2, CREATE_CONTAINER]:
        yield f"operation {op} with the flag of a TTL", op, create("/v-", b"", OPEN, 5)
    yield "TTL", CREATE_TTL, create_ttl("/ttl", 600_000)
    yield "its stat", EXISTS, watching("/ttl")
    yield "no ephemeral", EPHEMERALS, text("")
    yield "child of a TTL", CREATE_TTL, create_ttl("/ttl/x", 600_000)
    ok = [(CREATE_TTL, create_ttl("/tm", 600_000)), (SET, set_data("/tm"))]
    yield "TTL in a multi", MULTI, multi(*ok)
    yield "bad TTL in a multi", MULTI, multi(ok[1], (CREATE_TTL, create_ttl("/tm2", 0)))


def quotas():
    limits, stats = "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"
    yield "node", CREATE, create("/q", b"12")
    yield "below", CREATE, create("/q/a", b"345")
    yield "quota folder", CREATE, create("/zookeeper/quota/q", b"")
    yield "limits", CREATE, create(limits, b"count=3,bytes=-1=;countHardLimit=4;byteHardLimit=20")
    yield "no statistics yet", CREATE, create("/q/early", b"")
    yield "statistics", CREATE2, create(stats, b"count=0,bytes=0")
    steps = [
        ("beside it", CREATE, create("/qq", b"x")),
        ("one more", CREATE2, create("/q/b", b"6")),
        ("too many", CREATE2, create("/q/c", b"")),
        ("too many in a multi", MULTI, multi((SET, set_data("/qq")), (CREATE, create("/q/d")))),
        ("more bytes", SET, set_data("/q/b", b"1234567")),
        ("too many bytes", SET, set_data("/q/b", b"1234567890123456")),
        ("too many bytes of another version", SET, set_data("/q/b", b"1" * 99, 9)),
        ("fewer bytes", SET, set_data("/q/b", None)),
        ("deletion", DELETE, at_version("/q/b")),
        ("a container counts", CREATE_CONTAINER, create("/q/b", b"7", OPEN, 4)),
        ("deletion and creation", MULTI, multi((DELETE, at_version("/q/b")), (CREATE, create("/q/b")))),
    ]
    for name, op, body in steps:
        yield name, op, body
        yield f"statistics after: {name}", GET, watching(stats)
    yield "other limits", SET, set_data(limits, b"count=1,bytes=1")
    yield "soft limits", CREATE, create("/q/e", b"12345")
    yield "statistics after soft limits", GET, watching(stats)
    yield "no limits", DELETE, at_version(limits)
    yield "no limits any more", CREATE, create("/q/f", b"12345")
    yield "statistics rest", GET, watching(stats)
    yield "limits again", CREATE, create(limits, b"count=100,bytes=100")
    yield "one more again", CREATE, create("/q/g", b"12345")
    yield "statistics go on", GET, watching(stats)
    yield "statistics gone", DELETE, at_version(stats)
    yield "without statistics", CREATE, create("/q/h", b"1")
    yield "statistics anew", CREATE, create(stats, b"")
    yield "statistics are counted anew", GET, watching(stats)


def removal(client):
    """What becomes of nodes that the server removes, as seen by one who watches."""
    for path, op, body in [
        ("/empty", CREATE_CONTAINER, create("/empty", b"", OPEN, 4)),
        ("/used", CREATE_CONTAINER, create("/used", b"", OPEN, 4)),
        ("/short", CREATE_TTL, create_ttl("/short", 300)),
        ("/parent", CREATE_TTL, create_ttl("/parent", 300)),
        ("/long", CREATE_TTL, create_ttl("/long", 600_000)),
    ]:
        assert client.call(op, body)[0][0] == 0, path
    client.call(CREATE, create("/parent/x"))
    client.call(CREATE, create("/used/x"))
    client.call(EXISTS, watching("/used", True))
    client.call(EXISTS, watching("/short", True))
    client.call(DELETE, at_version("/used/x"))
    events = set()

    def both_gone():
        events.update(seen[2] for seen in client.call(PING, b"", -2) if seen[0] == "event")
        return len(events) == 2

    harness.wait_until(both_gone, 20, "both are removed")
    left = client.call(CHILDREN, watching("/"))[0][2]
    return events, left


def test_answers_are_the_same(tmp_path):
    with Pair(tmp_path) as pair:
        pair.compare([*cases(), *containers(), *found_by_the_generator()])


EXTENDED = {
    "extendedTypesEnabled": "true",
    "enforceQuota": "true",
    "reconfigEnabled": "true",
    "znode.container.checkIntervalMs": 1000,
}


def test_answers_are_the_same_with_everything_enabled(tmp_path):
    with Pair(tmp_path, EXTENDED) as pair:
        pair.compare([*times_to_live(), *quotas()])
        pair.compare([("reconfig", RECONFIG, text(None) * 3 + i64(-1))])
        ours, oracle = pair.clients()
        assert removal(ours) == removal(oracle)


def test_a_ping_keeps_its_place_among_the_requests(tmp_path):
    with Pair(tmp_path) as pair:
        for client in pair.clients():
            asked = client.ask((CREATE, create("/a")), (PING, b"", -2), (GET, watching("/a")))
            answered = [REPLY.unpack_from(client.receive())[0] for _ in asked]
            assert answered == [xid for xid, _ in asked]
