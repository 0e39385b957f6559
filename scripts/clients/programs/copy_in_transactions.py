"""Copies a topic in transactions with confluent-kafka, and reads what came of it.

    python copy_in_transactions.py BOOTSTRAP SOURCE TARGET

The source has three partitions. Each third transaction is aborted, and done again
from the offsets that the group has committed. Says "done" at its end.
"""

import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

COUNT = 300
BATCH = 30
SECONDS = 60

bootstrap, source, target = sys.argv[1:]
group = f"copiers of {source}"


def producer():
    made = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"copy of {source}"})
    made.init_transactions(SECONDS)
    return made


def consumer(name, isolation):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": name,
            "isolation.level": isolation,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )


def fill():
    plain = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for number in range(COUNT):
        plain.produce(source, str(number), partition=number % 3)
    assert plain.flush(SECONDS) == 0


def rewind(reader):
    """To what the group has committed, as after a failed transaction."""
    for each in reader.committed(reader.assignment(), SECONDS):
        start = TopicPartition(each.topic, each.partition, max(each.offset, 0))
        reader.seek(start)


def copy(writer, reader):
    copied = transactions = 0
    while copied < COUNT:
        batch = [each for each in reader.consume(BATCH, 5) if not each.error()]
        if not batch:
            continue
        transactions += 1
        writer.begin_transaction()
        for each in batch:
            writer.produce(target, each.value(), partition=each.partition())
        positions = reader.position(reader.assignment())
        metadata = reader.consumer_group_metadata()
        writer.send_offsets_to_transaction(positions, metadata, SECONDS)
        if transactions % 3 == 2:
            # Else they may not have been sent at all.
            writer.flush(SECONDS)
            writer.abort_transaction(SECONDS)
            rewind(reader)
        else:
            writer.commit_transaction(SECONDS)
            copied += len(batch)


def values(isolation):
    """All of the target that the isolation shows."""
    reader = consumer("readers", isolation)
    reader.assign([TopicPartition(target, partition, 0) for partition in range(3)])
    found, ended = [], set()
    end = time.monotonic() + SECONDS
    while len(ended) < 3:
        assert time.monotonic() < end, f"{len(found)} came"
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(message.partition())
        else:
            found.append(int(message.value()))
    reader.close()
    return found


def fence(old):
    """The next producer of the same id takes over from the one that is still there."""
    old.begin_transaction()
    old.produce(target, "of a fenced producer", partition=0)
    old.flush(SECONDS)
    producer()
    try:
        old.commit_transaction(SECONDS)
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
        return
    raise AssertionError("a fenced producer committed")


fill()
first = producer()
members = consumer(group, "read_committed")
members.subscribe([source])
copy(first, members)
committed = members.committed([TopicPartition(source, each) for each in range(3)], SECONDS)
assert [each.offset for each in committed] == [COUNT // 3] * 3, committed
members.close()
assert sorted(values("read_committed")) == list(range(COUNT))
everything = values("read_uncommitted")
assert len(everything) > COUNT and set(everything) == set(range(COUNT)), len(everything)
fence(first)
assert sorted(values("read_committed")) == list(range(COUNT))
print("done")
