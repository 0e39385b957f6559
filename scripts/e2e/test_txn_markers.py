"""Transactions as their partitions see them: markers, stable offsets, offsets of groups."""

import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from harness import run
from transactions import Writer, create, end_offset, offsets, read


def values(prefix, count):
    return [f"{prefix}{number}".encode() for number in range(count)]


def test_readers_of_committed_records_see_only_those(cluster, unique):
    topic = unique("transactions")
    create(cluster.bootstrap, topic)
    one, two = (Writer(cluster.bootstrap, unique("id")) for _ in range(2))
    one.whole(topic, *values("a", 5))
    one.whole(topic, *values("b", 5), commit=False)
    two.begin()
    two.write(topic, *values("c", 3))
    one.whole(topic, *values("d", 4))
    # The open one holds everything behind it back.
    stable = end_offset(cluster.bootstrap, topic, "read_committed")
    assert stable == 5 + 1 + 5 + 1
    assert end_offset(cluster.bootstrap, topic, "read_uncommitted") == stable + 3 + 4 + 1
    assert read(cluster.bootstrap, topic) == values("a", 5)
    two.abort()
    assert read(cluster.bootstrap, topic) == values("a", 5) + values("d", 4)
    everything = read(cluster.bootstrap, topic, "read_uncommitted")
    assert everything == values("a", 5) + values("b", 5) + values("c", 3) + values("d", 4)


def test_offsets_are_committed_with_the_records(cluster, unique):
    source, sink, group = unique("source"), unique("sink"), unique("group")
    create(cluster.bootstrap, source, sink)
    Writer(cluster.bootstrap, unique("id")).whole(source, *values("v", 10))
    consumer = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([source])
    writer = Writer(cluster.bootstrap, unique("id"))
    try:
        first = consumer.consume(4, 60)
        for message, commit in ((first[-1], False), (first[-1], True)):
            writer.begin()
            writer.write(sink, *(each.value() for each in first))
            position = [TopicPartition(source, 0, message.offset() + 1)]
            metadata = consumer.consumer_group_metadata()
            writer.producer.send_offsets_to_transaction(position, metadata, 60)
            if commit:
                writer.commit()
                assert offsets(cluster.bootstrap, group, source) == 4
            else:
                writer.abort()
                assert offsets(cluster.bootstrap, group, source) is None
    finally:
        consumer.close()
    assert read(cluster.bootstrap, sink) == values("v", 4)
    assert len(read(cluster.bootstrap, sink, "read_uncommitted")) == 8


def test_a_second_producer_fences_the_first(cluster, unique):
    topic, name = unique("fenced"), unique("id")
    create(cluster.bootstrap, topic)
    first = Writer(cluster.bootstrap, name)
    first.begin()
    first.write(topic, b"old")
    second = Writer(cluster.bootstrap, name)
    with pytest.raises(KafkaException) as fenced:
        first.write(topic, b"zombie")
        first.commit()
    assert fenced.value.args[0].name() in ("_FENCED", "INVALID_PRODUCER_EPOCH")
    second.whole(topic, b"new")
    assert read(cluster.bootstrap, topic) == [b"new"]
    assert read(cluster.bootstrap, topic, "read_uncommitted") == [b"old", b"new"]
