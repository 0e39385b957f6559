"""Data of a real ZooKeeper is imported, and ours exported to one, without a difference.

A real server is filled under load with small snapshots, so that they are fuzzy, and
killed; every node with its data, ACL and stat, and every session, must be the same
in ours after `coordinator import`, and again in a real one after `export`.
"""

import shutil
import threading

import harness
import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.security import make_digest_acl
from zookeeper_session import CONTAINER, EPHEMERAL, TTL, Session

TIMEOUT = 60
CREDENTIALS = "alice:secret"
# From so many of the older snapshots an import is tried.
OLDER_SNAPSHOTS = 8


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
    java = " ".join(
        f"-Dzookeeper.{key}={value}"
        for key, value in {
            "snapCount": snap_count,
            "preAllocSize": 64,
            "snapshot.compression.method": compression,
        }.items()
    )
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
    assert session.create("/mine", b"m", EPHEMERAL) == 0
    assert session.create("/mine-too", b"", EPHEMERAL) == 0
    if modern:
        assert session.create("/container", b"c", CONTAINER) == 0
        assert session.create("/container/child") == 0
        assert session.create("/ttl", b"t", TTL, 3_600_000) == 0
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
    assert session.timeout_ms == TIMEOUT * 1000
    return session


def check_older_snapshots(data):
    """Whichever snapshot the import begins with, the digests in the logs are met.

    They are the proof that a fuzzy snapshot is replayed as ZooKeeper does it.
    """
    copy = data.with_name("copy")
    shutil.copytree(data, copy)
    zxid = lambda path: int(path.name.split(".")[1], 16)  # noqa: E731
    snapshots = sorted((copy / "version-2").glob("snapshot.*"), key=zxid)
    said = set()
    for number, newest in reversed(list(enumerate(snapshots))[1:]):
        newest.unlink()
        if number > OLDER_SNAPSHOTS:
            continue
        text = command("import", copy, data.with_name(f"from-{number - 1}"))
        assert "Note" not in text, text
        said.add(text.split("transaction ")[1].split(":")[0])
    assert len(said) == 1, said


@pytest.mark.parametrize("compression", ["", "gz", "snappy"])
def test_there_and_back(tmp_path, started, compression):
    theirs = started(zookeeper(tmp_path / "a", tmp_path / "a/data", compression))
    load(theirs, 50 if compression else 100)
    session = fill(theirs)
    before = dump(theirs)
    theirs.kill()
    session = session.leave()
    said = command("import", tmp_path / "a/data", tmp_path / "b/data")
    assert "Note" not in said, said
    names = [path.name for path in (tmp_path / "a/data/version-2").iterdir()]
    assert any(name.startswith("snapshot") and name.endswith(compression) for name in names)
    check_older_snapshots(tmp_path / "a/data")

    ours = started(coordinator(tmp_path / "b", tmp_path / "b/data"))
    assert differences(before, dump(ours)) == []
    again = reattach(ours, session)
    assert again.create("/after", b"import") == 0
    assert again.create("/mine-now", b"", EPHEMERAL) == 0
    new = Session(ours.port)
    between = dump(ours)
    again.leave(), new.leave()
    assert ours.stop() == 0
    said = command("export", tmp_path / "b/data", tmp_path / "c/data")
    assert "2 sessions" in said and "clients of 1 sessions" in said, said

    back = started(zookeeper(tmp_path / "c", tmp_path / "c/data"))
    assert differences(between, dump(back)) == []
    home = reattach(back, session)
    assert home.create("/after/all") == 0
    assert Session(back.port, (new.id, new.password)).id == 0
    assert "igests are not matching" not in back.log.read_text()
    assert "zk_digest_mismatches_count\t0" in harness.four_letter(back.port, "mntr")


def test_the_data_of_an_old_server(tmp_path, started):
    """3.4 writes no digests, no /zookeeper/config, and less into its log."""
    try:
        harness.run([harness.TOP / "scripts/peers/install.sh", "zookeeper34"], timeout=300)
    except harness.Failed as failed:
        pytest.skip(f"ZooKeeper 3.4 cannot be installed: {failed}")
    theirs = started(zookeeper(tmp_path / "a", tmp_path / "a/data", peer="zookeeper34"))
    load(theirs, 60)
    session = fill(theirs, modern=False)
    before = dump(theirs)
    theirs.kill()
    session = session.leave()
    said = command("import", tmp_path / "a/data", tmp_path / "b/data")
    assert "Note" not in said, said
    ours = started(coordinator(tmp_path / "b", tmp_path / "b/data"))
    after = dump(ours)
    # The node that 3.5 added, and what it does to its parent.
    del after["/zookeeper/config"]
    assert [path for path, _, _ in differences(before, after)] == ["/zookeeper"]
    reattach(ours, session)
