"""Requests that are wrong in one point get the code and text of Kafka 3.9.

Each expectation was read from a Kafka 3.9.1 broker, and it passes the same
tests (`--servers apache`).
"""

import itertools
import struct

import pytest
from harness import wait_until
from kafka.protocol import admin, metadata, producer
from kafka.record._crc32c import crc as crc32c
from wire import Connection, make, records

NONE, CORRUPT, UNKNOWN_TOPIC, NO_LEADER, TOO_LARGE = 0, 2, 3, 5, 10
INVALID_TOPIC, INVALID_ACKS = 17, 21
INVALID_PARTITIONS, INVALID_FACTOR, INVALID_ASSIGNMENT, INVALID_CONFIG = 37, 38, 39, 40
INVALID_REQUEST, OUT_OF_ORDER, TRANSACTIONAL_ID, INVALID_RECORD = 42, 45, 53, 87
INVALID_TIMESTAMP = 32


class Asking:
    """One connection, and the requests that these tests send."""

    def __init__(self, port):
        self.connection = Connection(port)
        self.numbers = itertools.count()

    def topic(self, **config):
        """A fresh topic of two partitions."""
        name = f"refusals-{next(self.numbers)}"
        assert self.create(name, 2, config=config) == (NONE, None)
        return name

    def create(self, name, partitions=1, factor=1, config=(), assignments=()):
        topic = {
            "name": name, "num_partitions": partitions, "replication_factor": factor,
            "configs": [{"name": key, "value": value} for key, value in dict(config).items()],
            "assignments": [
                {"partition_index": partition, "broker_ids": ids} for partition, ids in assignments
            ],
        }  # fmt: skip
        asked = make(admin.CreateTopicsRequest, 5, topics=[topic], timeout_ms=10_000)
        (answer,) = self.connection.ask(asked).topics
        return answer.error_code, answer.error_message

    def extend(self, name, count, assignments=None):
        if assignments is not None:
            assignments = [{"broker_ids": ids} for ids in assignments]
        topic = {"name": name, "count": count, "assignments": assignments}
        asked = make(admin.CreatePartitionsRequest, 2, topics=[topic], timeout_ms=10_000)
        (answer,) = self.connection.ask(asked).results
        return answer.error_code, answer.error_message

    def produce(self, topic, batch, version=9, acks=-1, partition=0):
        data = {"name": topic, "partition_data": [{"index": partition, "records": batch}]}
        asked = make(
            producer.ProduceRequest, version,
            transactional_id=None, acks=acks, timeout_ms=5000, topic_data=[data],
        )  # fmt: skip
        return self.connection.ask(asked).responses[0].partition_responses[0]

    def delete(self, name):
        asked = make(admin.DeleteTopicsRequest, 5, topic_names=[name], timeout_ms=10_000)
        return self.connection.ask(asked).responses[0].error_code

    def describe(self, name, version, may_create):
        asked = make(
            metadata.MetadataRequest, version,
            topics=[{"name": name}], allow_auto_topic_creation=may_create,
        )  # fmt: skip
        (topic,) = self.connection.ask(asked).topics
        return topic


@pytest.fixture(scope="module")
def asking(cluster):
    made = Asking(cluster.broker_port)
    yield made
    made.connection.close()


def patched(batch, at, form, value):
    """The batch with another value in its header, and a checksum that agrees."""
    changed = bytearray(batch)
    struct.pack_into(form, changed, at, value)
    struct.pack_into(">I", changed, 17, crc32c(bytes(changed[21:])))
    return bytes(changed)


@pytest.mark.parametrize(
    "name, text",
    [
        ("", "the empty string is not allowed"),
        ("..", "'..' is not allowed"),
        ("a/b", "'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    ],
)
def test_names(asking, name, text):
    assert asking.create(name) == (INVALID_TOPIC, f"Topic name is invalid: {text}")


@pytest.mark.parametrize(
    "config, text",
    [
        ({"nope": "1"}, "Unknown topic config name: nope"),
        ({"retention.ms": None}, "Null value not supported for topic configs: retention.ms"),
        (
            {"remote.storage.enable": "true"},
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
            "with remote log storage.",
        ),
        (
            {"compression.gzip.level": "99"},
            "Invalid value 99 for configuration compression.gzip.level: Value must be between 1 "
            "and 9 or equal to -1",
        ),
        (
            {"leader.replication.throttled.replicas": "x"},
            "Invalid value [x] for configuration leader.replication.throttled.replicas: "
            "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in "
            "the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
        ),
    ],
)
def test_topic_configurations(asking, config, text):
    assert asking.create("refusals-never", config=config) == (INVALID_CONFIG, text)


def test_a_topic_named_twice(asking):
    twice = [{"name": "refusals-twice", "num_partitions": 1, "replication_factor": 1}] * 2
    asked = make(admin.CreateTopicsRequest, 5, topics=twice, timeout_ms=1000)
    answers = asking.connection.ask(asked).topics
    expected = (INVALID_REQUEST, "Found multiple entries for this topic.")
    assert {(each.error_code, each.error_message) for each in answers} == {expected}


def test_more_partitions(asking):
    topic = asking.topic()
    for count, assignments, code, text in [
        (1, None, INVALID_PARTITIONS, "Topic currently has 2 partitions, which is higher than the requested 1."),
        (2, None, INVALID_PARTITIONS, "Topic already has 2 partitions."),
        (3, [[0, 1]], INVALID_ASSIGNMENT, "Unknown broker(s) in replica assignment: 1."),
        (4, [[0]], INVALID_ASSIGNMENT, "Increasing the number of partitions by 2 but 1 assignments provided."),
    ]:  # fmt: skip
        assert asking.extend(topic, count, assignments) == (code, text)
    assert asking.extend(topic, 4) == (NONE, None)
    unknown = (UNKNOWN_TOPIC, "The topic 'refusals-none' does not exist.")
    assert asking.extend("refusals-none", 3) == unknown


def test_a_deleted_topic_is_gone_at_once(asking):
    for _ in range(10):
        topic = asking.topic()
        assert [asking.delete(topic) for _ in range(2)] == [NONE, UNKNOWN_TOPIC]
        wait_until(lambda: asking.create(topic) == (NONE, None), 10, "its name is free again")


@pytest.mark.parametrize("version", range(13))
def test_missing_topics_come_into_being(asking, version):
    """Versions below 4 always ask for it; the topic has a leader soon."""
    name = f"refusals-auto-{version}"
    assert asking.describe(name, max(version, 4), False).error_code == UNKNOWN_TOPIC
    first = asking.describe(name, version, True)
    assert (first.error_code, first.partitions) == (NO_LEADER, [])
    wait_until(
        lambda: asking.describe(name, version, True).error_code == NONE, 10, "it has a leader"
    )
    assert asking.describe("bad/name", version, True).error_code == INVALID_TOPIC


@pytest.mark.parametrize(
    "batch, code",
    [
        (b"", INVALID_RECORD),
        (records()[:-1], INVALID_RECORD),
        (records() + records(), INVALID_RECORD),
        (records()[:-1] + b"x", CORRUPT),
        (records(magic=0), INVALID_RECORD),
        (records(magic=1), INVALID_RECORD),
        (patched(records(), 16, ">b", 3), CORRUPT),
        (patched(records(), 57, ">i", 7), INVALID_RECORD),
        (patched(records(), 21, ">h", 0x20), INVALID_RECORD),
        (patched(records(), 21, ">h", 0x10), TRANSACTIONAL_ID),
        (records(size=600_000), TOO_LARGE),
    ],
    ids=[
        "empty", "cut", "two batches", "crc", "magic 0", "magic 1", "magic 3", "count",
        "control", "transactional", "large",
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [3, 7, 9])
def test_batches(asking, version, batch, code):
    topic = asking.topic()
    assert asking.produce(topic, batch, version).error_code == code
    accepted = asking.produce(topic, records(), version)
    assert (accepted.error_code, accepted.base_offset) == (NONE, 0)


def test_partitions_that_nobody_leads(asking):
    topic = asking.topic()
    for name, partition in [(topic, 2), ("refusals-none", 0), ("bad/name", 0)]:
        refused = asking.produce(name, records(), partition=partition)
        assert (refused.error_code, refused.error_message) == (UNKNOWN_TOPIC, None)
    assert asking.produce(topic, records(), acks=2).error_code == INVALID_ACKS


@pytest.mark.parametrize("version", [7, 9])
def test_records_without_key_in_a_compacted_topic(asking, version):
    topic = asking.topic(**{"cleanup.policy": "compact"})
    refused = asking.produce(topic, records(1, key=None), version)
    assert refused.error_code == INVALID_RECORD
    text = f"Compacted topic cannot accept message without key in topic partition {topic}-0"
    if version >= 8:
        assert refused.error_message == (
            "One or more records have been rejected due to 1 record errors in total, and only "
            f"showing the first three errors at most: [RecordError(batchIndex=0, message='{text}')]"
        )
        (error,) = refused.record_errors
        assert (error.batch_index, error.batch_index_error_message) == (0, text)
    assert asking.produce(topic, records(1), version).error_code == NONE


def test_records_of_another_time(asking):
    topic = asking.topic(**{"message.timestamp.before.max.ms": "1000"})
    refused = asking.produce(topic, records(1, timestamp=1_000))
    assert refused.error_code == INVALID_TIMESTAMP
    assert refused.error_message == "One or more records have been rejected due to invalid timestamp"
    (error,) = refused.record_errors
    assert error.batch_index_error_message.startswith(
        "Timestamp 1000 of message with offset 0 is out of range. The timestamp should be within ["
    )


def test_stamped_topics_tell_their_time(asking):
    topic = asking.topic(**{"message.timestamp.type": "LogAppendTime"})
    assert asking.produce(topic, records()).log_append_time_ms > 1_700_000_000_000
