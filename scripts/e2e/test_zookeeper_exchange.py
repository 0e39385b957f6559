"""Data of a real ZooKeeper is imported, and ours exported to one, without a difference.

A real server is filled under load with small snapshots, so that they are fuzzy, and
killed; every node with its data, ACL and stat, and every session, must be the same
in ours after `coordinator import`, and again in a real one after `export`.
"""

import socket
import struct
import threading

import harness
import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.security import make_digest_acl

TIMEOUT = 60
CREDENTIALS = "alice:secret"


class Session:
    """A session on a bare socket, so that it can be left without being closed."""

    def __init__(self, port, taken_over=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.id, self.password = taken_over or (0, bytes(16))
        self._send(struct.pack(">iqiqi", 0, 0, TIMEOUT * 1000, self.id, 16) + self.password + b"\0")
        _, self.timeout, self.id, _ = struct.unpack_from(">iiqi", answer := self._receive())
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

    def create(self, path, data=b"", flags=0, ttl=None):
        """Creates a node of any kind that everybody may use."""
        opcode = {4: 19, 5: 21}.get(flags, 1)
        text = lambda value: struct.pack(">i", len(value)) + value  # noqa: E731
        body = struct.pack(">ii", 1, opcode) + text(path.encode()) + text(data)
        body += struct.pack(">ii", 1, 31) + text(b"world") + text(b"anyone")
        body += struct.pack(">i", flags) + (struct.pack(">q", ttl) if ttl else b"")
        self._send(body)
        _, _, error = struct.unpack_from(">iqi", self._receive())
        assert error == 0, f"{path}: {error}"

    def leave(self):
        """Goes away without closing the session; its id and password."""
        self.socket.close()
        return self.id, self.password


EPHEMERAL, CONTAINER, TTL = 1, 4, 5


def zookeeper(directory, data, compression="", peer="zookeeper", snap_count=60):
    """A real ZooKeeper on a dataDir."""
    directory.mkdir(parents=True, exist_ok=True)
    port = harness.Ports.take()
    options = {
        "clientPort": port,
        "dataDir": data,
        "tickTime": 500,
        "maxSessionTimeout": TIMEOUT * 1000,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
        "extendedTypesEnabled": "true",
    }
    config = harness.write_properties(directory / "zoo.cfg", options)
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    java = f"-Dzookeeper.snapCount={snap_count} -Dzookeeper.snapshot.compression.method={compression}"
    daemon = harness.Daemon(
        "zookeeper",
        [harness.PEERS / peer / "run", main, config],
        directory / "zookeeper.log",
        lambda: "Mode:" in harness.four_letter(port, "srvr"),
        {"HEAP": "192m", "JAVA_OPTS": java},
    )
    daemon.port = port
    return daemon


def coordinator(directory, data):
    directory.mkdir(parents=True, exist_ok=True)
    port = harness.Ports.take()
    options = {
        "clientPort": port,
        "dataDir": data,
        "tickTime": 500,
        "maxSessionTimeout": TIMEOUT * 1000,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
    }
    config = harness.write_properties(directory / "coordinator.properties", options)
    daemon = harness.Daemon(
        "coordinator",
        [harness.TARGET / "coordinator", config],
        directory / "coordinator.log",
        lambda: harness.four_letter(port, "ruok") == "imok",
    )
    daemon.port = port
    return daemon


def command(*arguments):
    return harness.run([harness.TARGET / "coordinator", *arguments])


@pytest.fixture
def started():
    daemons = []

    def start(daemon):
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield start
    for daemon in daemons:
        daemon.kill()
    assert not [line for daemon in daemons for line in daemon.panics()]


def connect(daemon):
    client = KazooClient(f"127.0.0.1:{daemon.port}", timeout=TIMEOUT)
    client.start(timeout=20)
    client.add_auth("digest", CREDENTIALS)
    return client


def end(client):
    client.stop()
    client.close()


def dump(daemon):
    """Every node with its data, stat, ACL and children."""
    client = connect(daemon)
    nodes, waiting = {}, ["/"]
    while waiting:
        path = waiting.pop()
        data, stat = client.get(path)
        acl, _ = client.get_acls(path)
        children = sorted(client.get_children(path))
        nodes[path] = (data, tuple(stat), sorted(map(str, acl)), children)
        waiting += [f"{path.rstrip('/')}/{child}" for child in children]
    end(client)
    return nodes


def load(daemon, count, threads=4):
    """Writes of all kinds, several at a time, so that snapshots overlap with them."""

    def work(number):
        client = connect(daemon)
        base = f"/load{number}"
        client.create(base, b"")
        for step in range(count):
            path = client.create(f"{base}/n-", b"x" * (step % 50), sequence=True)
            if step % 3 == 0:
                client.set(path, b"changed")
            if step % 5 == 0:
                client.delete(path)
            if step % 7 == 0:
                transaction = client.transaction()
                transaction.create(f"{base}/t{step}", b"t")
                transaction.set_data(f"{base}/t{step}", b"u")
                transaction.check(base, -1)
                transaction.commit()
            if step % 11 == 0:
                client.set_acls(f"{base}/t0", [make_digest_acl("alice", "secret", all=True)])
            if step % 13 == 0:
                other = KazooClient(f"127.0.0.1:{daemon.port}", timeout=TIMEOUT)
                other.start(timeout=20)
                other.create(f"{base}/e{step}", b"", ephemeral=True)
                end(other)
        end(client)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def fill(daemon, modern=True):
    """What `load` does not make; the session that shall live on."""
    session = Session(daemon.port)
    session.create("/mine", b"m", EPHEMERAL)
    session.create("/mine-too", b"", EPHEMERAL)
    if modern:
        session.create("/container", b"c", CONTAINER)
        session.create("/container/child")
        session.create("/ttl", b"t", TTL, 3_600_000)
    client = connect(daemon)
    client.create("/empty", b"")
    client.create("/deep/er/down", b"deep", makepath=True)
    client.create("/ä/ö", "ü".encode(), makepath=True)
    client.create("/secret", b"s", acl=[make_digest_acl("alice", "secret", read=True, admin=True)])
    client.create("/zookeeper/quota/deep", b"")
    client.create("/zookeeper/quota/deep/zookeeper_limits", b"count=100,bytes=-1")
    client.create("/zookeeper/quota/deep/zookeeper_stats", b"count=0,bytes=0")
    client.create("/deep/more", b"12345")
    with pytest.raises(NoNodeError):
        client.delete("/not-there")
    end(client)
    return session


def differences(before, after):
    return [
        (path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def reattach(daemon, taken_over):
    session = Session(daemon.port, taken_over)
    assert (session.id, session.password) == taken_over
    assert session.timeout == TIMEOUT * 1000
    return session


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_there_and_back(tmp_path, started, compression):
    theirs = started(zookeeper(tmp_path / "a", tmp_path / "a/data", compression))
    load(theirs, 60 if compression else 150)
    session = fill(theirs)
    before = dump(theirs)
    theirs.kill()
    session = session.leave()
    said = command("import", tmp_path / "a/data", tmp_path / "b/data")
    assert "Note" not in said, said
    names = [path.name for path in (tmp_path / "a/data/version-2").iterdir()]
    assert any(name.startswith("snapshot") and name.endswith(compression) for name in names)

    ours = started(coordinator(tmp_path / "b", tmp_path / "b/data"))
    assert differences(before, dump(ours)) == []
    again = reattach(ours, session)
    again.create("/after", b"import")
    again.create("/mine-now", b"", EPHEMERAL)
    new = Session(ours.port)
    between = dump(ours)
    again.leave(), new.leave()
    assert ours.stop() == 0
    said = command("export", tmp_path / "b/data", tmp_path / "c/data")
    assert "2 sessions" in said and "clients of 1 sessions" in said, said

    back = started(zookeeper(tmp_path / "c", tmp_path / "c/data"))
    assert differences(between, dump(back)) == []
    home = reattach(back, session)
    home.create("/after/all")
    assert Session(back.port, (new.id, new.password)).id == 0
    assert "igests are not matching" not in back.log.read_text()
    assert "zk_digest_mismatches_count\t0" in harness.four_letter(back.port, "mntr")
