"""Transactions in their partitions: ours answers each raw request as Kafka 3.9 does.

Producer ids begin at 0 in both clusters, so the same requests fit both.
"""

import pytest
from beside_kafka import Beside, first_difference, normal
from harness import wait_until
from kafka.record import MemoryRecordsBuilder

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_FETCH, COORDINATOR, INIT = 0, 1, 2, 9, 10, 22
ADD_PARTITIONS, ADD_OFFSETS, END, MARKERS, TXN_OFFSETS, PRODUCERS = 24, 25, 26, 27, 28, 61
CREATE = 19
# Of both, so that retention leaves it alone for a while.
NOW = 4_000_000_000_000


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    keys = {"transaction.state.log.num.partitions": 3, "offsets.topic.num.partitions": 3}
    with Beside(tmp_path_factory.mktemp("beside"), keys) as both:
        for kind in (0, 1):
            wait_until(lambda: coordinated(both, kind), 60, f"coordinators of kind {kind}")
        yield both


def coordinated(both, kind):
    found = both.both(COORDINATOR, 3, key="warm", key_type=kind)
    return all(answer["error_code"] == 0 for answer in found)


@pytest.fixture
def topic(beside, unique):
    name = unique("topic")
    new = {"name": name, "num_partitions": 2, "replication_factor": 1, "assignments": [], "configs": []}
    created = lambda: all(  # noqa: E731
        answer["topics"][0]["error_code"] in (0, 36)
        for answer in beside.both(CREATE, 4, topics=[new], timeout_ms=5000)
    )
    wait_until(created, 60, f"both have {name}")
    lead = lambda: all(  # noqa: E731
        partition["error_code"] == 0
        for answer in beside.both(LIST_OFFSETS, 5, **latest(name, 0))
        for topic in answer["topics"]
        for partition in topic["partitions"]
    )
    wait_until(lead, 60, f"both lead {name}")
    return name


def same(beside, cases):
    found = []
    for name, key, version, fields in cases:
        ours, kafka = beside.both(key, version, **fields)
        if ours != kafka:
            found.append(f"{name}, {key} v{version}: {first_difference(ours, kafka)}\n  {ours}\n  {kafka}")
    assert not found, "\n".join(found)


def agreed(beside, key, version, **fields):
    """The answer of both."""
    ours, kafka = beside.both(key, version, **fields)
    assert ours == kafka, (key, version, fields, first_difference(ours, kafka))
    return ours


def batch(producer, epoch, sequence, count=2, transactional=True):
    builder = MemoryRecordsBuilder(
        magic=2, compression_type=0, batch_size=100_000, transactional=transactional,
        producer_id=producer, producer_epoch=epoch, base_sequence=sequence,
    )  # fmt: skip
    for number in range(count):
        builder.append(timestamp=NOW + number, key=b"k", value=b"v%d" % number, headers=[])
    builder.close()
    return bytes(builder.buffer())


def produced(transactional_id, *parts, acks=-1):
    """A request; `parts` are of topic, partition and records."""
    topics = {}
    for topic, partition, records in parts:
        topics.setdefault(topic, []).append({"index": partition, "records": records})
    data = [{"name": name, "partition_data": each} for name, each in topics.items()]
    return {"transactional_id": transactional_id, "acks": acks, "timeout_ms": 5000, "topic_data": data}


def latest(topic, isolation, timestamp=-1):
    partitions = [
        {"partition_index": index, "current_leader_epoch": -1, "timestamp": timestamp}
        for index in (0, 1)
    ]
    topics = [{"name": topic, "partitions": partitions}]
    return {"replica_id": -1, "isolation_level": isolation, "topics": topics}


def marker(producer, epoch, coordinator_epoch, commit, *topics):
    named = [{"name": name, "partition_indexes": list(indexes)} for name, indexes in topics]
    return {
        "producer_id": producer, "producer_epoch": epoch, "transaction_result": commit,
        "topics": named, "coordinator_epoch": coordinator_epoch,
    }  # fmt: skip


def producers(beside, topic):
    """What both know of a partition's producers, but for the times of markers."""
    topics = [{"name": topic, "partition_indexes": [0, 1]}]
    found = []
    for answer in beside.both(PRODUCERS, 0, topics=topics):
        for partition in answer["topics"][0]["partitions"]:
            for producer in partition["active_producers"]:
                # Of a batch, or of a marker: a time of each broker's own.
                producer["last_timestamp"] = producer["last_timestamp"] >= NOW
        found.append(normal(answer))
    assert found[0] == found[1], first_difference(*found)
    return [
        producer
        for partition in found[0]["topics"][0]["partitions"]
        for producer in partition["active_producers"]
    ]


def fetched(beside, topic, isolation, versions=range(4, 13), offset=0):
    """The answers, with no more of the records than their number of bytes."""
    partition = {
        "partition": 0, "current_leader_epoch": -1, "fetch_offset": offset, "last_fetched_epoch": -1,
        "log_start_offset": -1, "partition_max_bytes": 1 << 20,
    }  # fmt: skip
    for version in versions:
        answers = beside.both(
            FETCH, version, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1 << 20,
            isolation_level=isolation, session_id=0, session_epoch=-1, forgotten_topics_data=[],
            topics=[{"topic": topic, "partitions": [partition]}], rack_id="",
        )  # fmt: skip
        for answer in answers:
            for part in answer["responses"][0]["partitions"]:
                part["records"] = part["records"] and len(part["records"])
        assert answers[0] == answers[1], (version, first_difference(*answers))
    return answers[0]["responses"][0]["partitions"][0]



class Producer:
    """A transactional producer by hand, of both brokers alike."""

    def __init__(self, beside, name):
        self.beside, self.name, self.sequence = beside, name, {}
        ours, kafka = (self.init(each) for each in beside.connections)
        assert ours == kafka
        self.id, self.epoch = ours

    def init(self, connection):
        """As often as it takes: until a broker has ids, and has loaded."""
        fields = {"transactional_id": self.name, "transaction_timeout_ms": 60_000}
        fields |= {"producer_id": -1, "producer_epoch": -1}

        def told():
            answer = self.beside.one(connection, INIT, 4, **fields)
            assert answer["error_code"] in (0, 14, 15, 16, 51), answer
            return answer["error_code"] == 0 and (answer["producer_id"], answer["producer_epoch"])

        return wait_until(told, 60, f"{self.name} has a producer id")

    @property
    def fields(self):
        return {
            "transactional_id": self.name, "producer_id": self.id, "producer_epoch": self.epoch,
        }  # fmt: skip

    def add(self, topic, *partitions):
        fields = {f"v3_and_below_{name}": value for name, value in self.fields.items()}
        fields["v3_and_below_topics"] = [{"name": topic, "partitions": list(partitions)}]
        self.until_done(ADD_PARTITIONS, 3, lambda a: [
            part["partition_error_code"]
            for each in a["results_by_topic_v3_and_below"]
            for part in each["results_by_partition"]
        ], **fields)  # fmt: skip

    def add_group(self, group):
        self.until_done(ADD_OFFSETS, 3, lambda a: [a["error_code"]], group_id=group, **self.fields)

    def until_done(self, key, version, codes, **fields):
        """51 says that the last transaction is not over yet."""

        def done():
            found = [codes(answer) for answer in self.beside.both(key, version, **fields)]
            assert all(code in (0, 51) for each in found for code in each), found
            return not any(code for each in found for code in each)

        wait_until(done, 60, f"{key} of {self.name}")

    def write(self, topic, partition=0, count=2, version=9):
        sequence = self.sequence.get((topic, partition), 0)
        records = batch(self.id, self.epoch, sequence, count)
        fields = produced(self.name, (topic, partition, records))
        answer = agreed(self.beside, PRODUCE, version, **fields)
        part = answer["responses"][0]["partition_responses"][0]
        assert part["error_code"] == 0, part
        self.sequence[topic, partition] = sequence + count
        return part["base_offset"]

    def end(self, topic, commit):
        self.until_done(END, 3, lambda a: [a["error_code"]], committed=commit, **self.fields)
        open_here = lambda: any(  # noqa: E731
            producer["producer_id"] == self.id and producer["current_txn_start_offset"] >= 0
            for producer in raw_producers(self.beside, topic)
        )
        wait_until(lambda: not open_here(), 60, "the markers")


def raw_producers(beside, topic):
    topics = [{"name": topic, "partition_indexes": [0, 1]}]
    for answer in beside.both(PRODUCERS, 0, topics=topics):
        for partition in answer["topics"][0]["partitions"]:
            yield from partition["active_producers"]


def test_markers_one_by_one(beside, topic):
    none = "nowhere"
    for version in (0, 1):
        producer = 5_000 + version
        sequence = [
            [],
            [marker(producer, 0, 0, True)],
            [marker(producer, 3, 5, True, (topic, [0, 1]))],
            [marker(producer, 2, 5, False, (topic, [0]))],
            [marker(producer, 3, 4, False, (topic, [0]))],
            [marker(producer, 3, 5, False, (topic, [0, 7]), (none, [0]), ("a b", [1]))],
            [marker(producer, 4, 6, False, (topic, [1]))],
            [marker(producer, 4, 6, True, (topic, [0])), marker(producer + 10, 0, 0, True, (topic, [0]))],
            [marker(producer, 4, 9, True, (topic, [0])), marker(producer, 4, 8, True, (topic, [0, 1]))],
            [marker(producer, -1, 6, True, (topic, [0]))],
            [marker(-1, 0, 0, True, (topic, [0, 1])), marker(-1, -1, 0, True, ("nowhere", [0]))],
            [marker(producer, 1, 6, True, ("__consumer_offsets", [0, 1, 9]))],
            [marker(producer, 0, 6, True, ("__consumer_offsets", [0, 1]))],
            [marker(producer, 1, 5, True, ("__consumer_offsets", [0, 1]))],
            [marker(producer, 1, 6, True, ("__transaction_state", [0, 9]))],
        ]
        for number, markers in enumerate(sequence):
            same(beside, [(f"markers {number}", MARKERS, version, {"markers": markers})])
            producers(beside, topic)
    assert fetched(beside, topic, 1)["aborted_transactions"] in (None, [])


def test_records_that_nobody_verified(beside, topic, unique):
    name = unique("id")
    producer = Producer(beside, name)
    # With an epoch that is not the first.
    producer = Producer(beside, name)
    other = batch(producer.id + 7, 0, 0)
    mine = lambda epoch=producer.epoch: batch(producer.id, epoch, 0)  # noqa: E731
    # A quick verification twice at once is answered by chance in Kafka, so one partition each.
    cases = {
        "no transactional id": produced(None, (topic, 0, mine())),
        "none, and another topic": produced(None, (topic, 0, mine()), ("nowhere", 3, b"")),
        "none, not transactional": produced(None, (topic, 0, batch(990, 0, 0, transactional=False))),
        "an id, not transactional": produced(name, (topic, 1, batch(991, 0, 0, transactional=False))),
        "two producers": produced(name, (topic, 0, mine()), (topic, 1, other)),
        "not in the transaction": produced(name, (topic, 0, mine())),
        "two partitions": produced(name, (topic, 0, mine()), (topic, 1, mine())),
        "unknown id": produced("unknown", (topic, 0, mine())),
        "another's id": produced(name, (topic, 0, other)),
        "old epoch": produced(name, (topic, 0, mine(0))),
        "epoch of nobody": produced(name, (topic, 0, mine(5))),
        "unknown partition": produced(name, (topic, 9, mine())),
        "unknown topic": produced(name, ("nowhere", 0, mine())),
        "internal topic": produced(name, ("__consumer_offsets", 0, mine())),
        "no acks": produced(None, (topic, 0, mine()), acks=0),
    }
    for version in range(3, 12):
        same(beside, [(case, PRODUCE, version, fields) for case, fields in cases.items()])
    producers(beside, topic)


def test_a_transaction_seen_from_all_sides(beside, topic, unique):
    first, second = Producer(beside, unique("id")), Producer(beside, unique("id"))
    first.add(topic, 0)
    assert first.write(topic) == 0
    second.add(topic, 0, 1)
    second.write(topic, version=11)
    second.write(topic, 1, version=10)
    first.write(topic, version=3)
    first.write(topic, version=7)
    known = producers(beside, topic)
    assert sorted(each["current_txn_start_offset"] for each in known) == [0, 0, 2]

    def looks():
        for isolation in (0, 1):
            fetched(beside, topic, isolation)
            fetched(beside, topic, isolation, offset=3, versions=[11])
            for timestamp in (-1, -2, -3, NOW, NOW + 1, NOW + 99):
                for version in range(2, 10):
                    if timestamp == -3 and version < 7:
                        continue
                    fields = latest(topic, isolation, timestamp)
                    same(beside, [(f"offset {isolation} {timestamp}", LIST_OFFSETS, version, fields)])

    looks()
    first.end(topic, commit=False)
    looks()
    second.end(topic, commit=True)
    looks()
    part = fetched(beside, topic, 1)
    assert [each["first_offset"] for each in part["aborted_transactions"]] == [0]
    assert part["last_stable_offset"] == part["high_watermark"] == 10
    # Without AddPartitionsToTxn nothing of the next transaction comes in.
    late = produced(first.name, (topic, 0, batch(first.id, first.epoch, 6)))
    for version, code in ((9, 48), (10, 48), (11, 120)):
        answer = agreed(beside, PRODUCE, version, **late)
        assert answer["responses"][0]["partition_responses"][0]["error_code"] == code
    # Records outside of any transaction while one is open.
    first.add(topic, 0)
    first.write(topic)
    outside = batch(first.id, first.epoch, first.sequence[topic, 0], transactional=False)
    answer = agreed(beside, PRODUCE, 9, **produced(None, (topic, 0, outside)))
    assert answer["responses"][0]["partition_responses"][0]["error_code"] == 48
    first.end(topic, commit=True)
    looks()
    # What is there already is asked about like the next transaction's first.
    again = produced(first.name, (topic, 0, batch(first.id, first.epoch, 0)))
    agreed(beside, PRODUCE, 9, **again)


def committed(group, *topics, **fields):
    partitions = lambda indexes: [  # noqa: E731
        {
            "partition_index": index, "committed_offset": 40 + index, "committed_leader_epoch": 2,
            "committed_metadata": "m" * (index + 1),
        }
        for index in indexes
    ]  # fmt: skip
    named = [{"name": name, "partitions": partitions(indexes)} for name, indexes in topics]
    defaults = {"generation_id": -1, "member_id": "", "group_instance_id": None}
    return defaults | {"group_id": group, "topics": named} | fields


def offsets(beside, group, topic, stable):
    """What both answer, in all versions that can ask so."""
    topics = [{"name": topic, "partition_indexes": [0, 1]}]
    for version in range(1, 8):
        if stable and version < 7:
            continue
        fields = {"group_id": group, "topics": topics, "require_stable": stable}
        answer = agreed(beside, OFFSET_FETCH, version, **fields)
    groups = [{"group_id": group, "member_id": None, "member_epoch": -1, "topics": topics}]
    for version in (8, 9):
        agreed(beside, OFFSET_FETCH, version, groups=groups, require_stable=stable)
    # In the order of the partitions, whatever order they came in.
    parts = answer["topics"][0]["partitions"]
    parts.sort(key=lambda part: part["partition_index"])
    return [(part["committed_offset"], part["error_code"]) for part in parts]


def test_offsets_in_a_transaction(beside, topic, unique):
    group, producer = unique("group"), Producer(beside, unique("id"))
    mine = producer.fields
    own = lambda **fields: committed(group, (topic, [0, 1]), **(mine | fields))  # noqa: E731
    refused = {
        "not in the transaction": own(),
        "unknown id": own(transactional_id="unknown"),
        "old epoch": own(producer_epoch=-1),
        "another producer": own(producer_id=producer.id + 9),
        "no group": committed("", (topic, [0]), **mine),
        "unknown partition": committed(group, (topic, [0, 7]), ("nowhere", [0, 1]), **mine),
        "only unknown": committed(group, ("nowhere", [0, 1]), **mine),
        "nothing": committed(group, **mine),
    }
    for version in range(5):
        same(beside, [(name, TXN_OFFSETS, version, fields) for name, fields in refused.items()])
    assert offsets(beside, group, topic, False) == [(-1, 0), (-1, 0)]
    producer.add_group(group)
    for version in range(5):
        same(beside, [("in the transaction", TXN_OFFSETS, version, own())])
        assert offsets(beside, group, topic, False) == [(-1, 0), (-1, 0)]
        assert offsets(beside, group, topic, True) == [(-1, 88), (-1, 88)]
    members = {
        "unknown member": own(member_id="m", generation_id=1),
        "generation of nobody": own(generation_id=1),
        "static member": own(group_instance_id="i"),
        "long metadata": committed(group, (topic, [0]), ("nowhere", [0]), **mine) | {
            "topics": [{"name": topic, "partitions": [{
                "partition_index": 0, "committed_offset": 5, "committed_leader_epoch": -1,
                "committed_metadata": "x" * 5000,
            }]}],
        },
    }  # fmt: skip
    for version in (3, 4):
        same(beside, [(name, TXN_OFFSETS, version, fields) for name, fields in members.items()])
    producer.end(topic, commit=True)
    wait_until(lambda: offsets_are(beside, group, topic, [(40, 0), (41, 0)]), 60, "the offsets")
    # An aborted transaction leaves them as they were.
    producer.add_group(group)
    changed = own()
    for each in changed["topics"][0]["partitions"]:
        each["committed_offset"] = 77
    agreed(beside, TXN_OFFSETS, 3, **changed)
    producer.end(topic, commit=False)
    wait_until(lambda: offsets_are(beside, group, topic, [(40, 0), (41, 0)]), 60, "the offsets")


def offsets_are(beside, group, topic, expected):
    """Markers reach each broker's partition in its own time."""
    topics = [{"name": topic, "partition_indexes": [0, 1]}]
    fields = {"group_id": group, "topics": topics, "require_stable": True}
    found = beside.both(OFFSET_FETCH, 7, **fields)
    return all(
        sorted((part["committed_offset"], part["error_code"]) for part in answer["topics"][0]["partitions"])
        == expected
        for answer in found
    )
