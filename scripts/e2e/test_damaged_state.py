"""A damaged batch in an internal topic costs what it held, not its whole partition:
Kafka drops all groups of such a partition, and serves it all the same.
"""

import struct

import harness
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from harness import wait_until
from transactions import Writer, create, offsets

MAGIC_AT = 16


@pytest.fixture
def cluster(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("Kafka loses all groups of the partition")
    keys = {"offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1}
    # Two commits in each; a broker looks at the end of the last one when it starts.
    keys["offsets.topic.segment.bytes"] = 250
    made = harness.Cluster(tmp_path / "damaged", servers, keys).start()
    create(made.bootstrap, "t")
    yield made
    made.close()


def commit(cluster, group, offset):
    keys = {"bootstrap.servers": cluster.bootstrap, "group.id": group, "log_level": 0}
    consumer = Consumer(keys | {"enable.auto.commit": False})
    place = TopicPartition("t", 0, offset)

    def committed():
        try:
            consumer.commit(offsets=[place], asynchronous=False)
            return True
        except KafkaException:
            return False

    wait_until(committed, 60, f"{group} commits")
    consumer.close()


def places(data):
    """Where each batch begins and ends."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at + 8)
        yield at, at + 12 + size
        at += 12 + size


def batch_with(data, text):
    return next((start, end) for start, end in places(data) if text in data[start:end])


def spoil(cluster, topic, text, at=None):
    """Flips a bit of the batch that has `text`: in its header, else in its payload."""
    logs = sorted((cluster.directory / "broker" / f"{topic}-0").glob("*.log"))
    file = next(log for log in logs if text in log.read_bytes())
    data = bytearray(file.read_bytes())
    start, end = batch_with(bytes(data), text)
    data[end - 3 if at is None else start + at] ^= 0x40
    file.write_bytes(data)


def test_groups_beside_a_damaged_batch_are_loaded(cluster):
    for number in range(6):
        commit(cluster, f"group-{number}", 10 + number)
    cluster.broker.stop()
    spoil(cluster, "__consumer_offsets", b"group-2")
    cluster.broker.start()
    kept = {number: 10 + number for number in range(6) if number != 2} | {2: None}
    for number, offset in kept.items():
        assert offsets(cluster.bootstrap, f"group-{number}", "t") == offset
    assert "a batch of an internal topic is skipped" in cluster.broker.log.read_text()
    commit(cluster, "group-2", 22)

    # A batch whose end is not known any more hides those behind it in its segment.
    cluster.broker.stop()
    spoil(cluster, "__consumer_offsets", b"group-4", MAGIC_AT)
    cluster.broker.start()
    for number, offset in {0: 10, 1: 11, 2: 22, 3: 13, 4: None, 5: None}.items():
        assert offsets(cluster.bootstrap, f"group-{number}", "t") == offset
    assert "a part of a group shard is not loaded" in cluster.broker.log.read_text()
    commit(cluster, "group-5", 55)
    assert offsets(cluster.bootstrap, "group-5", "t") == 55


def test_transactions_beside_a_damaged_batch_are_loaded(cluster):
    writers = {name: Writer(cluster.bootstrap, name) for name in ("first", "second", "third")}
    for name, writer in writers.items():
        writer.whole("t", name)
    cluster.broker.stop()
    spoil(cluster, "__transaction_state", b"second")
    cluster.broker.start()
    said = cluster.broker.log.read_text()
    wait_until(
        lambda: "a batch of an internal topic is skipped" in cluster.broker.log.read_text(),
        60,
        f"the batch is told of\n{said[-2000:]}",
    )
    for name in ("first", "third"):
        writers[name].whole("t", "again")
    # Its later batches are whole.
    writers["second"].whole("t", "again")
