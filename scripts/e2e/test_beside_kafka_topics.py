"""Topics, records, elections and reassignments: refused as Kafka 3.9 refuses them."""

import uuid

import pytest
from beside_kafka import Beside, normal
from harness import wait_until
from wire import records

CREATE, DELETE, RECORDS, PARTITIONS, ELECT, REASSIGN, REASSIGNMENTS = 19, 20, 21, 37, 43, 45, 46


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside")) as both:
        for name, count in (("t", 2), ("other", 1), ("with.dot", 1)):
            wait_until(lambda: exists(both, name, count), 60, f"both have {name}")
        yield both


def new(name, count=1, replicas=1, assignments=(), configs=()):
    return {
        "name": name, "num_partitions": count, "replication_factor": replicas,
        "assignments": [{"partition_index": i, "broker_ids": ids} for i, ids in assignments],
        "configs": [{"name": key, "value": value} for key, value in configs],
    }  # fmt: skip


def exists(both, name, count):
    answers = both.both(CREATE, 5, topics=[new(name, count)], timeout_ms=5000)
    return all(answer["topics"][0]["error_code"] in (0, 36) for answer in answers)


def same(beside, cases):
    """Topic ids are random."""
    found = []
    for name, key, version, fields in cases:
        ours, kafka = (without_ids(each) for each in beside.both(key, version, **fields))
        if ours != kafka:
            found.append(f"{name} version {version}\n  ours  {ours}\n  kafka {kafka}")
    assert not found, "\n".join(found)


def without_ids(answer):
    if answer is None:
        return None
    for topic in answer.get("topics", []):
        topic.pop("topic_id", None)
    return normal(answer)


# Not among them: a partition without replicas, which Kafka creates and nobody can use, and a
# negative number of a partition, at which Kafka fails.
CREATIONS = [
    [],
    [new("t")],
    [new("", 1)],
    [new(".", 1)],
    [new("..", 1)],
    [new("a b", 1)],
    [new("ä", 1)],
    [new("x" * 249)],
    [new("x" * 250)],
    [new("with_dot")],
    [new("zero", 0)],
    [new("negative", -1)],
    [new("less", -2)],
    [new("many", 1, 2)],
    [new("none", 1, 0)],
    [new("default", -1, -1)],
    [new("odd", 1, -3)],
    [new("twice"), new("twice"), new("once")],
    [new("assigned", -1, -1, [(0, [0]), (1, [0])])],
    [new("both", 1, -1, [(0, [0])])],
    [new("both", -1, 1, [(0, [0])])],
    [new("gap", -1, -1, [(0, [0]), (2, [0])])],
    [new("unknown", -1, -1, [(0, [7])])],
    [new("double", -1, -1, [(0, [0, 0])])],
    [new("uneven", -1, -1, [(0, [0]), (1, [0, 7])])],
    [new("again", -1, -1, [(0, [0]), (0, [0])])],
    [new("config", 1, 1, (), [("retention.ms", "x")])],
    [new("config", 1, 1, (), [("nonsense", "1")])],
    [new("config", 1, 1, (), [("retention.ms", None)])],
    [new("config", 1, 1, (), [("cleanup.policy", "compact,delete")])],
    [new("config", 1, 1, (), [("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "5")])],
    [new("__consumer_offsets_")],
    [new("large", 20_000)],
]


def test_create_topics(beside):
    def cases():
        for topics in CREATIONS:
            for version in (1, 4, 5, 7):
                if version < 4 and any(-1 in (t["num_partitions"], t["replication_factor"]) for t in topics):
                    continue
                for only in (True, False) if topics != [new("large", 20_000)] else (True,):
                    fields = {"topics": topics, "timeout_ms": 10_000, "validate_only": only}
                    yield f"{topics} {only}", CREATE, version, fields

    same(beside, cases())


def test_create_partitions(beside):
    asked = [
        ("t", 3, None), ("t", 3, None), ("t", 2, None), ("t", 0, None), ("t", -1, None),
        ("none", 3, None), ("", 3, None), ("a b", 3, None), ("t", 5, [[0], [0]]), ("t", 6, [[0], [0]]),
        ("t", 6, []), ("t", 6, [[]]), ("t", 6, [[7]]), ("t", 6, [[0, 0]]), ("t", 6, [[0, 7]]),
        ("t", 7, [[0], [0, 0]]), ("t", 6, [[-1]]),
    ]  # fmt: skip

    def cases():
        for name, count, assignments in asked:
            assignments = assignments and [{"broker_ids": ids} for ids in assignments]
            topic = {"name": name, "count": count, "assignments": assignments}
            for only in (True, False):
                for version in (0, 2, 3):
                    fields = {"topics": [topic], "timeout_ms": 10_000, "validate_only": only}
                    yield f"{topic} {only}", PARTITIONS, version, fields
        topics = [{"name": name, "count": 9, "assignments": None} for name in ("t", "t", "none")]
        yield "twice", PARTITIONS, 3, {"topics": topics, "timeout_ms": 10_000, "validate_only": True}

    same(beside, cases())


def test_delete_records(beside):
    data = [{"index": 0, "records": records()}]
    topic = [{"name": "other", "partition_data": data}]
    for answer in beside.both(0, 7, transactional_id=None, acks=-1, timeout_ms=5000, topic_data=topic):
        assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0
    offsets = [0, -1, -2, 1, 1, 0, 3, 4, 100]
    asked = [("other", 0, offset) for offset in offsets]
    asked += [("other", 1, 0), ("none", 0, 0), ("a b", 0, 0), ("", 0, 0), ("t", 0, 0)]

    def cases():
        for name, partition, offset in asked:
            partitions = [{"partition_index": partition, "offset": offset}]
            topics = [{"name": name, "partitions": partitions}]
            for version in (0, 1, 2):
                yield f"{topics}", RECORDS, version, {"topics": topics, "timeout_ms": 5000}
        yield "nothing", RECORDS, 2, {"topics": [], "timeout_ms": 5000}

    same(beside, cases())


def test_elect_leaders(beside):
    asked = [None, [], [("t", [0])], [("t", [0, 99])], [("none", [0])], [("a b", [0])], [("", [0])]]

    def cases():
        for partitions in asked:
            topics = partitions and [{"topic": name, "partitions": ids} for name, ids in partitions]
            for version, kind in ((0, 0), (1, 0), (2, 0), (1, 1), (2, 1)):
                fields = {"election_type": kind, "topic_partitions": topics, "timeout_ms": 5000}
                yield f"{topics} {kind}", ELECT, version, fields

    same(beside, cases())


def test_reassignments(beside):
    asked = [
        [], [("t", 0, [0])], [("t", 0, None)], [("t", 0, [])], [("t", 0, [0, 0])], [("t", 0, [7])],
        [("t", 0, [0, 7])], [("t", 0, [-1])], [("t", 99, [0])], [("t", 99, None)], [("none", 0, [0])],
        [("none", 0, None)], [("a b", 0, [0])], [("t", 0, [0]), ("t", 1, None), ("none", 3, [1])],
    ]  # fmt: skip

    def cases():
        for moves in asked:
            topics = {}
            for name, partition, ids in moves:
                topics.setdefault(name, []).append({"partition_index": partition, "replicas": ids})
            topics = [{"name": name, "partitions": partitions} for name, partitions in topics.items()]
            yield f"{moves}", REASSIGN, 0, {"topics": topics, "timeout_ms": 5000}
        for topics in (None, [], [{"name": "t", "partition_indexes": [0, 9]}], [{"name": "none", "partition_indexes": [0]}]):
            yield f"list {topics}", REASSIGNMENTS, 0, {"topics": topics, "timeout_ms": 5000}

    same(beside, cases())


def test_delete_topics(beside):
    names = ["none", "", "a b", "t", "t", "__consumer_offsets"]

    def cases():
        for version in (0, 1, 3, 4, 5):
            for name in names[:3]:
                yield name, DELETE, version, {"topic_names": [name], "timeout_ms": 5000}
        yield "twice", DELETE, 5, {"topic_names": ["with.dot", "with.dot"], "timeout_ms": 10_000}
        yield "gone", DELETE, 5, {"topic_names": ["with.dot"], "timeout_ms": 5000}
        yield "nothing", DELETE, 5, {"topic_names": [], "timeout_ms": 5000}
        for name in ("none", "", "a b"):
            topics = [{"name": name, "topic_id": uuid.UUID(int=0)}]
            yield name, DELETE, 6, {"topics": topics, "timeout_ms": 5000}

    same(beside, cases())
