"""kazoo, the Python client of ZooKeeper, against the coordinator."""

import queue
import threading
import uuid

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.recipe.watchers import ChildrenWatch, DataWatch
from kazoo.security import make_digest_acl

WAIT = 15
# Filled in by the fixture `hosts`, which every test uses.
HOSTS = None


@pytest.fixture(scope="module", autouse=True)
def hosts(cluster):
    global HOSTS
    HOSTS = cluster.zookeeper


def connect(**options):
    client = KazooClient(hosts=HOSTS, timeout=options.pop("timeout", 10), **options)
    client.start(timeout=WAIT)
    return client


@pytest.fixture
def zk():
    client = connect()
    yield client
    client.stop()
    client.close()


@pytest.fixture
def root(zk):
    path = f"/kazoo-{uuid.uuid4().hex}"
    zk.create(path)
    yield path
    zk.delete(path, recursive=True)


def test_create_read_write_delete(zk, root):
    path, stat = zk.create(f"{root}/a", b"one", include_data=True)
    assert path == f"{root}/a"
    assert (stat.version, stat.dataLength) == (0, 3)
    data, stat = zk.get(path)
    assert data == b"one"
    assert stat.czxid == stat.mzxid == stat.pzxid
    changed = zk.set(path, b"two", version=0)
    assert changed.version == 1
    with pytest.raises(BadVersionError):
        zk.set(path, b"three", version=0)
    with pytest.raises(NodeExistsError):
        zk.create(path)
    with pytest.raises(NoNodeError):
        zk.create(f"{root}/missing/child")
    zk.create(f"{path}/child")
    with pytest.raises(NotEmptyError):
        zk.delete(path)
    children, stat = zk.get_children(path, include_data=True)
    assert children == ["child"]
    assert (stat.cversion, stat.numChildren) == (1, 1)
    zk.delete(path, recursive=True)
    assert zk.exists(path) is None


def test_makepath_and_sync(zk, root):
    zk.ensure_path(f"{root}/x/y/z")
    assert zk.sync(f"{root}/x") == f"{root}/x"
    assert zk.exists(f"{root}/x/y/z")


def test_sequence_numbers_are_shared_and_never_reused(zk, root):
    first = zk.create(f"{root}/s-", sequence=True)
    zk.create(f"{root}/plain")
    third = zk.create(f"{root}/s-", sequence=True)
    zk.delete(third)
    fourth = zk.create(f"{root}/t-", sequence=True)
    names = [path.rsplit("/", 1)[1] for path in (first, third, fourth)]
    assert names == ["s-0000000000", "s-0000000002", "t-0000000003"]


def test_ephemeral_nodes_end_with_their_session(zk, root):
    other = connect()
    other.create(f"{root}/e", b"", ephemeral=True)
    assert zk.exists(f"{root}/e").ephemeralOwner == other.client_id[0]
    gone = threading.Event()
    zk.exists(f"{root}/e", watch=lambda event: gone.set())
    other.stop()
    other.close()
    assert gone.wait(WAIT)
    assert zk.exists(f"{root}/e") is None


def test_data_watch(zk, root):
    seen = queue.Queue()
    DataWatch(zk, f"{root}/d", lambda data, stat: seen.put(data))
    assert seen.get(timeout=WAIT) is None
    zk.create(f"{root}/d", b"1")
    assert seen.get(timeout=WAIT) == b"1"
    zk.set(f"{root}/d", b"2")
    assert seen.get(timeout=WAIT) == b"2"
    zk.delete(f"{root}/d")
    assert seen.get(timeout=WAIT) is None


def test_children_watch(zk, root):
    seen = queue.Queue()
    ChildrenWatch(zk, root, lambda children: seen.put(sorted(children)))
    assert seen.get(timeout=WAIT) == []
    zk.create(f"{root}/a")
    assert seen.get(timeout=WAIT) == ["a"]
    zk.create(f"{root}/b")
    assert seen.get(timeout=WAIT) == ["a", "b"]
    zk.delete(f"{root}/a")
    assert seen.get(timeout=WAIT) == ["b"]


def test_transaction(zk, root):
    zk.create(f"{root}/t", b"")
    good = zk.transaction()
    good.check(f"{root}/t", version=0)
    good.create(f"{root}/t/a", b"1")
    good.set_data(f"{root}/t", b"x")
    good.delete(f"{root}/t/a")
    results = good.commit()
    assert results[0] is True
    assert results[1] == f"{root}/t/a"
    assert results[2].version == 1
    assert results[3] is True

    bad = zk.transaction()
    bad.create(f"{root}/t/b")
    bad.check(f"{root}/t", version=77)
    bad.create(f"{root}/t/c")
    results = bad.commit()
    kinds = [type(result) for result in results]
    assert kinds == [RolledBackError, BadVersionError, RuntimeInconsistency]
    assert zk.exists(f"{root}/t/b") is None


def test_lock_is_held_by_one_at_a_time(zk, root):
    inside, most, order = [], [], []

    def work(number):
        client = connect()
        with client.Lock(f"{root}/lock", str(number)):
            inside.append(number)
            most.append(len(inside))
            order.append(number)
            inside.remove(number)
        client.stop()
        client.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert sorted(order) == list(range(6))
    assert max(most) == 1


def test_election_and_counter(zk, root):
    counter = zk.Counter(f"{root}/counter")
    counter += 2
    counter -= 1
    assert counter.value == 1
    led = threading.Event()
    election = zk.Election(f"{root}/election", "me")
    election.run(led.set)
    assert led.is_set()


def test_acls_are_enforced(zk, root):
    acl = make_digest_acl("alice", "secret", all=True)
    owner = connect(auth_data=[("digest", "alice:secret")])
    owner.create(f"{root}/private", b"x", acl=[acl])
    with pytest.raises(NoAuthError):
        zk.get(f"{root}/private")
    assert owner.get(f"{root}/private")[0] == b"x"
    owner.stop()
    owner.close()
    zk.delete(f"{root}/private")


def test_a_session_moves_to_a_new_connection(zk, root):
    first = connect()
    first.create(f"{root}/e", ephemeral=True)
    session = first.client_id
    second = connect(client_id=session)
    assert second.client_id == session
    assert zk.exists(f"{root}/e").ephemeralOwner == session[0]
    second.delete(f"{root}/e")
    second.stop()
    second.close()
    first.stop()
    first.close()


def test_four_letter_words():
    client = connect()
    assert client.command(b"ruok") == "imok"
    assert "Mode: standalone" in client.command(b"stat")
    assert "zk_znode_count\t" in client.command(b"mntr")
    client.stop()
    client.close()
