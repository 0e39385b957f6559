"""Requests to ZooKeeper by chance: what clients send, and what none would."""

import base64
import collections
import hashlib
import random

from zookeeper_wire import *  # noqa: F403

NAMES = ["a", "b", "c", "d"]
BAD_PATHS = ["", "/", "a", "//a", "/a//b", "/a/", "/.", "/a/..", "/a/./b", "/a\0b", "/a\x01"]
BAD_PATHS += ["/\x7f", "/\ud7ff\u9fff", "/\ue000", "/\uffff", None, b"/\xff\xfe"]
BAD_PATHS += ["/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/x", "/none/x"]
USERS = ["u:1", "v:2", "w:3"]
# check is none outside a multi.
UNKNOWN = [0, 10, 13, 77, 999, -1, 205]


def digest_of(user):
    hashed = base64.b64encode(hashlib.sha1(user.encode()).digest()).decode()
    return f"{user.split(':')[0]}:{hashed}"


def printable(value):
    """A path as UTF-8, lone surrogates and all."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


class Generator:
    """Makes requests. It learns from answers which paths and versions there are."""

    def __init__(self, seed, without=()):
        self.random = random.Random(seed)
        self.versions = {}
        self.paths = collections.deque(maxlen=60)
        self.without = set(without)
        self.within_multi = False
        self.kinds = [
            (14, self.create),
            (6, self.delete),
            (9, self.set),
            (4, self.exists),
            (5, self.get),
            (5, self.children),
            (2, self.get_acl),
            (2, self.set_acl),
            (7, self.multi),
            (3, self.multi_read),
            (2, self.add_watch),
            (2, self.about_watches),
            (2, self.set_watches),
            (1, self.rare),
        ]
        self.weights = [weight for weight, _ in self.kinds]
        self.makers = [maker for _, maker in self.kinds]

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, *values):
        return self.random.choice(values)

    def burst(self):
        """Some requests to be sent together: (op, body[, xid])."""
        count = self.pick(1, 1, 2, 3, 5, 8, 13)
        requests = []
        # ZooKeeper prepares what comes right behind a setACL with the old ACL, or not.
        while len(requests) < count and not (requests and requests[-1][0] == SET_ACL):
            requests.append(self.random.choices(self.makers, self.weights)[0]())
        if self.chance(0.04):
            requests[-1] = self.garbage(requests[-1])
        elif self.chance(0.01):
            # ZooKeeper answers these two without waiting for what came before them.
            return [(self.pick(*UNKNOWN), requests[0][1])] if self.chance(0.3) else [self.failing_authentication()]
        return requests

    # What requests are about

    def path(self):
        dice = self.random.random()
        if dice < 0.04:
            path = printable(self.random.choice(BAD_PATHS))
            # Neither does it look for null paths within a multi.
            return b"" if path is None and self.within_multi else path
        if dice < 0.30 and self.paths:
            return self.random.choice(self.paths)
        depth = self.pick(1, 1, 2, 2, 3)
        return "".join("/" + self.random.choice(NAMES) for _ in range(depth)).encode()

    def version(self, path):
        dice = self.random.random()
        if dice < 0.55:
            return -1
        if dice < 0.90:
            return self.versions.get(path, 0)
        return self.pick(0, 1, 2, 7, -2, 2**31 - 1, -(2**31))

    def data(self):
        dice = self.random.random()
        if dice < 0.08:
            return None
        if dice < 0.97:
            return b"d" * self.random.randrange(12)
        return b"D" * self.random.randrange(20000)

    def acls(self):
        if self.chance(0.86):
            return OPEN
        entries = []
        for _ in range(self.pick(1, 1, 1, 2, 3)):
            perms = self.pick(31, 31, 1, 15, 3, 16, 17, 0, 12, -1, 64)
            user = self.random.choice(USERS)
            who = self.pick(
                ("world", "anyone"), ("world", "anyone"), ("auth", ""), ("auth", None),
                ("digest", digest_of(user)), ("digest", digest_of(user)),
                ("ip", "127.0.0.1"), ("ip", "127.0.0.0/8"), ("ip", "10.0.0.0/8"),
            )  # fmt: skip
            if self.chance(0.08):
                who = self.pick(
                    ("digest", "nobody"), ("digest", ""), ("digest", ":"), ("digest", "a:b:c"),
                    ("ip", "1.2.3"), ("ip", "1.2.3.4/33"), ("ip", "1.2.3.4/"), ("ip", ":1"),
                    ("ip", "1.2.3.4/-1"), ("ip", ""), ("ip", "256.1.1.1"), ("ip", "/8"),
                    ("world", "x"), ("world", ""), ("nothing", "x"), ("", ""), ("x509", "CN=a"),
                    ("super", ""), ("auth", "x"),
                )  # fmt: skip
            entries.append((perms, *who))
        if self.chance(0.05):
            # A null list within a multi is a null pointer to ZooKeeper's decoder.
            return [] if self.within_multi else self.pick(None, [])
        if self.chance(0.1):
            entries.append(entries[0])
        if len(entries) > 1:
            # ZooKeeper cannot compare identities that are null.
            entries = [(perms, scheme, who or "") for perms, scheme, who in entries]
        return entries

    def flags(self):
        return self.pick(0, 0, 0, 0, 1, 1, 2, 2, 3, 3) if self.chance(0.98) else self.pick(4, 5, 6, 7, -1)

    # Requests

    def create(self):
        path, flags = self.path(), self.flags()
        if path is None:
            return CREATE, create(path)
        if flags in (2, 3) and self.chance(0.5):
            path += self.pick(b"", b"/", b"-", b"/s-")
        body = create(path, self.data(), self.acls(), flags)
        kinds = [CREATE] * 5 + [CREATE2] * 4
        kinds += [] if "container" in self.without else [CREATE_CONTAINER]
        kinds += [] if "ttl" in self.without else [CREATE_TTL]
        op = self.random.choice(kinds)
        if op == CREATE_CONTAINER:
            flags = 4 if self.chance(0.9) else flags
            body = create(path, self.data(), self.acls(), flags)
        if op == CREATE_TTL:
            flags = self.pick(5, 6) if self.chance(0.9) else flags
            ttl = self.pick(10**9, 10**9, 10**9, 1099511627775, 1099511627776, 0, -1, -(2**63))
            # A mode without TTL and no TTL passes ZooKeeper's checks and ends the server.
            ttl = ttl if flags in (5, 6) else 10**9
            body = create(path, self.data(), self.acls(), flags) + i64(ttl)
        return op, body

    def delete(self):
        path = self.path()
        return DELETE, at_version(path, self.version(path))

    def set(self):
        path = self.path()
        return SET, set_data(path, self.data(), self.version(path))

    def exists(self):
        return EXISTS, watching(self.path(), self.chance(0.6))

    def get(self):
        return GET, watching(self.path(), self.chance(0.5))

    def children(self):
        return self.pick(CHILDREN, CHILDREN2), watching(self.path(), self.chance(0.5))

    def get_acl(self):
        return GET_ACL, text(self.path())

    def set_acl(self):
        version = -1 if self.chance(0.7) else self.pick(0, 1, 2, 3)
        return SET_ACL, text(self.path()) + acl(self.acls()) + i32(version)

    def check(self):
        path = self.path()
        return CHECK, at_version(path, self.version(path))

    def multi(self):
        makers = [self.create] * 4 + [self.delete] * 2 + [self.set] * 3 + [self.check] * 3
        count = self.pick(0, 1, 2, 2, 3, 4, 6)
        self.within_multi = True
        parts = [self.random.choice(makers)() for _ in range(count)]
        self.within_multi = False
        if self.chance(0.03):
            parts.append(self.pick(self.get(), self.exists(), self.get_acl(), (99, b"")))
        return MULTI, multi(*parts)

    def multi_read(self):
        def part():
            if self.chance(0.6):
                return self.get()
            return CHILDREN, watching(self.path(), self.chance(0.5))

        self.within_multi = True
        parts = [part() for _ in range(self.pick(0, 1, 2, 3))]
        self.within_multi = False
        if self.chance(0.03) and parts:
            parts.append(self.pick(self.set(), self.exists()))
        return MULTI_READ, multi(*parts)

    def add_watch(self):
        mode = self.pick(0, 1) if self.chance(0.95) else self.pick(-1, 2, 3)
        return ADD_WATCH, at_version(self.path() or b"", mode)

    def about_watches(self):
        kind = self.pick(1, 2, 3, 4, 5) if self.chance(0.95) else self.pick(0, 6, -1)
        return self.pick(CHECK_WATCHES, REMOVE_WATCHES), at_version(self.path() or b"", kind)

    def set_watches(self, seen=None):
        def some():
            return texts(*(self.path() or b"" for _ in range(self.pick(0, 0, 1, 2, 3))))

        if seen is None or self.chance(0.3):
            seen = self.pick(0, 1 << 40)
        body = i64(seen) + some() + some() + some()
        if self.chance(0.5):
            return SET_WATCHES, body, -8
        return SET_WATCHES2, body + some() + some(), -8

    def rare(self):
        return self.pick(
            (SYNC, text(self.path() or b"")),
            (PING, b"", -2),
            (EPHEMERALS, text(self.pick("", "/", "/a", "/b/", "x"))),
            (CHILDREN_NUMBER, text(self.path())),
            (WHO_AM_I, b""),
            (WHO_AM_I, b""),
            (RECONFIG, text(None) + text(None) + text("x") + i64(-1)),
        )

    def garbage(self, request):
        """The last request of a burst as no client would write it."""
        op, body, *special = request
        kind = self.pick("cut", "more", "flip")
        if body.startswith(text(None)):
            return request
        if kind == "cut":
            return op, body[: self.random.randrange(len(body) + 1)], *special
        if kind == "more":
            return op, body + b"more", *special
        if kind == "flip" and body:
            at = self.random.randrange(len(body))
            return op, body[:at] + bytes([self.random.randrange(256)]) + body[at + 1 :], *special
        return request

    def authenticate(self, credentials):
        scheme = "digest" if self.chance(0.9) else self.pick("ip", "world", "none", "", None)
        return AUTH, i32(0) + text(scheme) + text(credentials), -4

    def failing_authentication(self):
        return self.authenticate(self.pick(*USERS, "nobody", ":", "", None))

    def clean(self):
        """What an administrator does so that paths do not stay taken for ever."""
        top = "/" + self.random.choice(NAMES)
        requests = []
        known = {path for path in [*self.paths, *self.versions] if path.startswith(top.encode())}
        below = [f"{top}/{x}/{y}".encode() for x in NAMES for y in NAMES]
        below += [f"{top}/{x}".encode() for x in NAMES] + [top.encode()]
        for path in sorted(known | set(below), key=lambda path: (-path.count(b"/"), path)):
            requests.append((DELETE, at_version(path, -1)))
        return requests

    def learn(self, op, fields):
        """What an answer says about paths and versions."""
        if op in (CREATE, CREATE2, CREATE_CONTAINER, CREATE_TTL) and fields:
            self.paths.append(fields[0])
            self.versions[fields[0]] = 0
        if len(self.versions) > 400:
            self.versions.clear()
