"""Quotas, credentials, security, features, transactions: ours answers as Kafka 3.9 does."""

import json
import time

import pytest
from beside_kafka import Beside, differences
from harness import wait_until
from kafka.record import MemoryRecordsBuilder
from kazoo.client import KazooClient

EXACT, DEFAULT, ANY = 0, 1, 2
DESCRIBE_QUOTAS, ALTER_QUOTAS, DESCRIBE_SCRAM, ALTER_SCRAM = 48, 49, 50, 51


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside")) as both:
        wait_until(lambda: is_ready(both), 60, "both have a controller and a topic")
        yield both


def is_ready(both):
    new = {"name": "t", "num_partitions": 2, "replication_factor": 1, "assignments": [], "configs": []}
    answers = both.both(19, 5, topics=[new], timeout_ms=5000, validate_only=False)
    return all(answer["topics"][0]["error_code"] in (0, 36) for answer in answers)


def same(beside, cases):
    assert not differences(beside, cases)


# ------------------------------------------------------------------- quotas


def alteration(entity, ops, validate_only=False):
    entity = [{"entity_type": kind, "entity_name": name} for kind, name in entity]
    ops = [{"key": k, "value": 0.0 if v is None else v, "remove": v is None} for k, v in ops]
    return {"entries": [{"entity": entity, "ops": ops}], "validate_only": validate_only}


ALICE, DEFAULT_USER = ("user", "alice"), ("user", None)
CLIENT, DEFAULT_CLIENT = ("client-id", "c"), ("client-id", None)
RATE = ("producer_byte_rate", 1024.0)

ALTERATIONS = [
    ("a user", [ALICE], [RATE, ("request_percentage", 50.5)]),
    ("the default user", [DEFAULT_USER], [("consumer_byte_rate", 5e6), ("controller_mutation_rate", 1e7)]),
    ("a client", [CLIENT], [("request_percentage", 0.0005)]),
    ("the default client", [DEFAULT_CLIENT], [("request_percentage", 12345678.5)]),
    ("a user's client", [ALICE, CLIENT], [RATE]),
    ("a user's default client", [ALICE, DEFAULT_CLIENT], [RATE]),
    ("the default user's client", [DEFAULT_USER, CLIENT], [RATE]),
    ("both defaults", [DEFAULT_USER, DEFAULT_CLIENT], [RATE]),
    ("a strange name", [("user", "CN=a b,O=*/ä~<x>")], [RATE]),
    ("a name like the default", [("user", "<default>")], [RATE]),
    ("an address", [("ip", "10.1.2.3")], [("connection_creation_rate", 7.0)]),
    ("the default address", [("ip", None)], [("connection_creation_rate", 9.0)]),
    ("localhost", [("ip", "localhost")], [("connection_creation_rate", 8.0)]),
    ("an IPv6 address", [("ip", "::1")], [("connection_creation_rate", 7.0)]),
    ("no address", [("ip", "no such host")], [("connection_creation_rate", 7.0)]),
    ("nothing", [], [RATE]),
    ("an empty user", [("user", "")], [RATE]),
    ("an empty client", [("client-id", "")], [RATE]),
    ("a strange type", [("group", "g")], [RATE]),
    ("a type in capitals", [("User", "g")], [RATE]),
    ("user and address", [ALICE, ("ip", "10.1.2.3")], [("connection_creation_rate", 7.0)]),
    ("client and address", [CLIENT, ("ip", None)], [("connection_creation_rate", 7.0)]),
    ("a type twice", [("user", "x"), ALICE], [RATE]),
    ("an unknown key", [ALICE], [("nonsense", 1.0)]),
    ("a key of addresses", [ALICE], [("connection_creation_rate", 1.0)]),
    ("a key of users", [("ip", "10.1.2.3")], [RATE]),
    ("credentials", [ALICE], [("SCRAM-SHA-256", 1.0)]),
    ("credentials of a client", [CLIENT], [("SCRAM-SHA-256", 1.0)]),
    ("credentials of the default user", [DEFAULT_USER], [("SCRAM-SHA-512", 1.0)]),
    ("no whole number", [ALICE], [("producer_byte_rate", 1.5)]),
    ("almost a whole number", [ALICE], [("producer_byte_rate", 1.9999999)]),
    ("too large", [ALICE], [("producer_byte_rate", 1e30)]),
    ("too large an int", [("ip", "10.1.2.3")], [("connection_creation_rate", 3e9)]),
    ("negative", [ALICE], [("producer_byte_rate", -5.0)]),
    ("negative of an address", [("ip", "10.1.2.3")], [("connection_creation_rate", -5.0)]),
    ("no number", [ALICE], [("request_percentage", float("inf"))]),
    ("not a number", [ALICE], [("producer_byte_rate", float("nan"))]),
    ("removal of an unknown key", [ALICE], [("nonsense", None)]),
    ("removal of nothing", [("user", "nobody")], [("producer_byte_rate", None)]),
    ("set and removed", [("user", "brief")], [RATE, ("producer_byte_rate", None)]),
    ("a client only for a while", [("user", "brief"), CLIENT], [RATE]),
    ("no longer", [("user", "brief"), CLIENT], [("producer_byte_rate", None)]),
    ("half of a user", [ALICE], [("request_percentage", None)]),
]  # fmt: skip


def test_alter_client_quotas(beside):
    def cases():
        for name, entity, ops in ALTERATIONS:
            for version in (0, 1):
                for only in (True, False):
                    yield f"{name} {only}", ALTER_QUOTAS, version, alteration(entity, ops, only)
        several = [alteration([("user", name)], [RATE])["entries"][0] for name in "aab"]
        yield "several at once", ALTER_QUOTAS, 1, {"entries": several, "validate_only": False}

    same(beside, cases())
    assert nodes(beside.ours) == nodes(beside.kafka)
    assert nodes(beside.ours)["/config/users/alice"] == {"producer_byte_rate": "0"}


def nodes(cluster):
    """What stands below `/config` for users, clients and addresses."""
    client = KazooClient(cluster.zookeeper)
    client.start()
    found = {}

    def walk(path):
        data, _ = client.get(path)
        found[path] = json.loads(data)["config"] if data else None
        for child in client.get_children(path):
            walk(f"{path}/{child}")

    for kind in ("users", "clients", "ips"):
        walk(f"/config/{kind}")
    client.stop()
    client.close()
    return found


def test_describe_client_quotas(beside):
    kinds = ("user", "client-id", "ip", "", "group")
    matches = [(EXACT, "alice"), (EXACT, "c"), (EXACT, "10.1.2.3"), (EXACT, None), (DEFAULT, None)]
    matches += [(ANY, None), (ANY, "alice"), (DEFAULT, "alice"), (3, None), (EXACT, "")]
    single = [[(kind, *match)] for kind in kinds for match in matches]
    pairs = [[("user", *one), ("client-id", *other)] for one in matches for other in matches]
    wrong = [[("user", ANY, None)] * 2, [("client-id", ANY, None)] * 2, [("ip", ANY, None)] * 2]
    wrong += [[("ip", ANY, None), ("user", ANY, None)], [("client-id", ANY, None), ("ip", DEFAULT, None)]]

    def cases():
        for components in [[], *single, *pairs, *wrong]:
            asked = [dict(zip(("entity_type", "match_type", "match"), each)) for each in components]
            for strict in (False, True):
                fields = {"components": asked, "strict": strict}
                yield f"{components} {strict}", DESCRIBE_QUOTAS, 1, fields
            yield f"{components} 0", DESCRIBE_QUOTAS, 0, {"components": asked, "strict": False}

    same(beside, cases())


# -------------------------------------------------------------- credentials


def upsertion(name, mechanism=1, iterations=4096, salt=b"salt", password=b"salted"):
    return {
        "name": name, "mechanism": mechanism, "iterations": iterations,
        "salt": salt, "salted_password": password,
    }  # fmt: skip


def deletion(name, mechanism=1):
    return {"name": name, "mechanism": mechanism}


CREDENTIALS = [
    ("two users", [upsertion("bob"), upsertion("bob", 2, 16384), upsertion("carl ä", 2)], []),
    ("too few", [upsertion("dora", 1, 4095), upsertion("erik")], []),
    ("too many", [upsertion("dora", 1, 16385)], []),
    ("unknown mechanisms", [upsertion("dora", 0)], [deletion("emil", 9)]),
    ("nobody", [upsertion("")], []),
    ("nobody deleted", [], [deletion("")]),
    ("twice", [upsertion("dora"), upsertion("dora", 1, 5000)], []),
    ("set and deleted", [upsertion("dora")], [deletion("dora")]),
    ("deleted and the other set", [upsertion("bob", 2)], [deletion("bob", 1)]),
    ("deleted again", [], [deletion("bob", 1)]),
    ("deleted of nobody", [upsertion("erik", 2)], [deletion("nobody")]),
    ("deleted one of both", [upsertion("frida")], [deletion("frida", 2)]),
    ("no salt", [upsertion("gerd", salt=b"")], []),
    ("no password", [upsertion("hugo", password=b"")], []),
    ("beside quotas", [upsertion("alice")], []),
    ("wrong in two ways", [upsertion("ida", 1, 1), upsertion("ida", 0)], [deletion("ida", 7)]),
    ("nothing", [], []),
]


def test_user_scram_credentials(beside):
    def alterations():
        for name, upsertions, deletions in CREDENTIALS:
            yield name, ALTER_SCRAM, 0, {"upsertions": upsertions, "deletions": deletions}

    same(beside, alterations())
    assert nodes(beside.ours) == nodes(beside.kafka)
    assert "SCRAM-SHA-512" in nodes(beside.ours)["/config/users/bob"]
    asked = [None, [], ["bob"], ["bob", "nobody"], ["bob", "bob", "erik"], [""], ["", ""], ["alice"]]

    def descriptions():
        for users in asked:
            users = users and [{"name": name} for name in users]
            yield f"{users}", DESCRIBE_SCRAM, 0, {"users": users}

    same(beside, descriptions())


# ----------------------------------------------------------------- security


def test_sasl_on_a_plaintext_listener(beside):
    def cases():
        for version in (0, 1):
            yield "handshake", 17, version, {"mechanism": "PLAIN"}
        for version in (0, 1, 2):
            yield "authenticate", 36, version, {"auth_bytes": b"\0a\0b"}

    same(beside, cases())


def test_acls_without_an_authorizer(beside):
    acl = {
        "resource_type": 2, "resource_name": "t", "resource_pattern_type": 3,
        "principal": "User:a", "host": "*", "operation": 3, "permission_type": 3,
    }  # fmt: skip
    wanted = {
        "resource_type_filter": 1, "resource_name_filter": None, "pattern_type_filter": 1,
        "principal_filter": None, "host_filter": None, "operation": 1, "permission_type": 1,
    }  # fmt: skip

    def cases():
        for version in range(4):
            of_version = wanted | ({"pattern_type_filter": 3} if version == 0 else {})
            yield "describe", 29, version, of_version
            yield "create", 30, version, {"creations": [acl, acl]}
            yield "create nothing", 30, version, {"creations": []}
            yield "delete", 31, version, {"filters": [of_version] * 3}

    same(beside, cases())


def compact(text):
    return bytes([len(text) + 1]) + text


def test_delegation_tokens_of_nobody(beside):
    lifetime = (1000).to_bytes(8, "big")
    renewer = b"\0\4User\0\1r"
    different = []
    for version in range(4):
        flexible = version >= 2
        owner = b"\0\0" if version == 3 else b""
        created = (
            owner + b"\2" + compact(b"User") + compact(b"r") + b"\0" + lifetime + b"\0"
            if flexible
            else b"\0\0\0\1" + renewer + lifetime
        )
        bodies = [(38, version, created)]
        if version == 3:
            named = compact(b"User") + compact(b"owner") + b"\1" + lifetime + b"\0"
            bodies.append((38, 3, named))
        hmac = compact(b"h") + lifetime + b"\0" if flexible else b"\0\0\0\1h" + lifetime
        if version < 3:
            bodies += [(39, version, hmac), (40, version, hmac)]
        bodies.append((41, version, b"\0\0" if flexible else b"\xff\xff\xff\xff"))
        for key, version, body in bodies:
            ours, kafka = beside.raw(key, version, body, flexible)
            if ours != kafka or ours is None:
                different.append((key, version, ours, kafka))
    assert not different


# -------------------------------------------- features, transactions, producers


def test_update_features(beside):
    def update(feature, level, downgrade, kind):
        return {
            "feature": feature, "max_version_level": level,
            "allow_downgrade": downgrade, "upgrade_type": kind,
        }  # fmt: skip

    updates = [
        [], [update("metadata.version", 20, False, 1)], [update("metadata.version", 0, True, 2)],
        [update("kraft.version", 1, False, 3)], [update("", 1, False, 1)],
        [update("f", 0, False, 1)], [update("f", -1, True, 2)], [update("f", 1, True, 0)],
        [update("f", 1, True, 9)], [update("f", 1, True, 2), update("g", 0, True, 3)],
    ]  # fmt: skip

    def cases():
        for each in updates:
            for version in (0, 1):
                fields = {"timeout_ms": 1000, "feature_updates": each, "validate_only": False}
                yield f"{each}", 57, version, fields

    same(beside, cases())


def test_transactions_of_an_empty_broker(beside):
    def cases():
        for states in ([], ["Ongoing"], ["Ongoing", "nonsense", "Dead", "Empty"], ["ongoing", ""]):
            for producers in ([], [5]):
                fields = {"state_filters": states, "producer_id_filters": producers}
                for version in (0, 1):
                    yield f"list {fields}", 66, version, fields | {"duration_filter": 5}
        for ids in ([], ["x"], ["", "x", "x"]):
            yield f"describe {ids}", 65, 0, {"transactional_ids": ids}

    same(beside, cases())


def test_describe_producers(beside):
    topics = [{"name": "t", "partition_indexes": [0, 1, 7]}, {"name": "none", "partition_indexes": [0]}]
    topics += [{"name": "a b", "partition_indexes": [0]}, {"name": "", "partition_indexes": [1]}]
    same(beside, [("nobody produced", 61, 0, {"topics": topics})])
    now = int(time.time() * 1000)
    for producer, epoch, sequence in [(-1, -1, -1), (77, 3, 0), (77, 3, 2), (78, 0, 0)]:
        data = [{"index": 0, "records": records(now, producer, epoch, sequence)}]
        produced = {"transactional_id": None, "acks": -1, "timeout_ms": 5000}
        produced["topic_data"] = [{"name": "t", "partition_data": data}]
        for answer in beside.both(0, 7, **produced):
            assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
    same(beside, [("several produced", 61, 0, {"topics": topics})])


def records(now, producer, epoch, sequence):
    """A batch of two records."""
    builder = MemoryRecordsBuilder(
        magic=2, compression_type=0, batch_size=10_000,
        producer_id=producer, producer_epoch=epoch, base_sequence=sequence,
    )  # fmt: skip
    for _ in range(2):
        builder.append(timestamp=now, key=None, value=b"x", headers=[])
    builder.close()
    return bytes(builder.buffer())
