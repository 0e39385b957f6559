"""Transactions with real clients: what is committed is read, what is not is not,
producers fence each other, offsets belong to the transaction, and the
coordinator's state outlives the death of a broker.
"""

import random

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

import harness
from copying import Copying, compiled, strikes
from harness import wait_until
from transactions import coordinator, create, numbers, producer, send
from transactions import read_text as read


def test_only_what_is_committed_is_read(cluster, unique):
    topic = unique("txn")
    create(cluster.bootstrap, topic, partitions=2)
    made = producer(cluster.bootstrap, unique("id"))
    for first, end in ((0, "commit"), (10, "abort"), (20, "commit")):
        made.begin_transaction()
        send(made, topic, range(first, first + 5), 0)
        send(made, topic, range(first + 5, first + 10), 1)
        if end == "commit":
            made.commit_transaction(60)
        else:
            made.abort_transaction(60)
    for partition, first in ((0, 0), (1, 5)):
        committed = [range(first + at, first + at + 5) for at in (0, 20)]
        everything = [range(first + at, first + at + 5) for at in (0, 10, 20)]
        seen = read(cluster.bootstrap, topic, partitions=[partition])
        assert seen == numbers(*committed)
        seen = read(cluster.bootstrap, topic, "read_uncommitted", [partition])
        assert seen == numbers(*everything)


def test_an_open_transaction_holds_readers_of_committed_records_back(cluster, unique):
    topic = unique("txn")
    create(cluster.bootstrap, topic)
    first = producer(cluster.bootstrap, unique("id"))
    second = producer(cluster.bootstrap, unique("id"))
    first.begin_transaction()
    send(first, topic, [1])
    second.begin_transaction()
    send(second, topic, [2])
    second.commit_transaction(60)
    assert read(cluster.bootstrap, topic) == []
    assert read(cluster.bootstrap, topic, "read_uncommitted") == ["1", "2"]
    first.commit_transaction(60)
    read_both = lambda: read(cluster.bootstrap, topic) == ["1", "2"]  # noqa: E731
    wait_until(read_both, 30, "both records are committed")


def test_a_second_producer_fences_the_first(cluster, unique):
    topic, transactional_id = unique("txn"), unique("id")
    create(cluster.bootstrap, topic)
    first = producer(cluster.bootstrap, transactional_id)
    first.begin_transaction()
    send(first, topic, [1])
    second = producer(cluster.bootstrap, transactional_id)
    with pytest.raises(KafkaException) as refused:
        first.produce(topic, b"late", partition=0)
        first.flush(60)
        first.commit_transaction(60)
    assert refused.value.args[0].fatal() or refused.value.args[0].txn_requires_abort()
    second.begin_transaction()
    send(second, topic, [2])
    second.commit_transaction(60)
    assert read(cluster.bootstrap, topic) == ["2"]


def test_a_transaction_that_takes_too_long_is_aborted(new_cluster):
    interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
    cluster = new_cluster({interval: 200})
    create(cluster.bootstrap, "t")
    made = producer(cluster.bootstrap, "slow", {"transaction.timeout.ms": 1000})
    made.begin_transaction()
    send(made, "t", [1])
    other = producer(cluster.bootstrap, "quick")
    other.begin_transaction()
    send(other, "t", [2])
    other.commit_transaction(60)
    read_other = lambda: read(cluster.bootstrap, "t") == ["2"]  # noqa: E731
    wait_until(read_other, 30, "the open transaction is aborted")
    with pytest.raises(KafkaException):
        made.commit_transaction(60)


def test_ids_that_nobody_uses_are_forgotten(new_cluster, unique):
    cluster = new_cluster(
        {
            "transactional.id.expiration.ms": 1000,
            "transaction.remove.expired.transaction.cleanup.interval.ms": 200,
        }
    )
    create(cluster.bootstrap, "t")
    made = producer(cluster.bootstrap, "idle")
    made.begin_transaction()
    send(made, "t", [1])
    made.commit_transaction(60)
    gone = lambda: "idle" not in listed(cluster.bootstrap)  # noqa: E731
    wait_until(gone, 60, "the id is forgotten", interval=1)


def listed(bootstrap):
    command = "org.apache.kafka.tools.TransactionsCommand"
    return harness.java_tool(command, "--bootstrap-server", bootstrap, "list")


def copy(bootstrap, source, target, group, transactional_id, batches, fail_on=()):
    """Copies in transactions; of the batches in `fail_on`, the first try is aborted."""
    made = producer(bootstrap, transactional_id)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([source])
    done = 0
    while done < batches:
        messages = consumer.consume(10, 30)
        assert messages, "nothing more to copy"
        made.begin_transaction()
        for message in messages:
            made.produce(target, message.value())
        positions = consumer.position(consumer.assignment())
        made.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 60)
        if done in fail_on:
            fail_on = [each for each in fail_on if each != done]
            # What is still in the client's queue would not be sent at all.
            made.flush(60)
            made.abort_transaction(60)
            for each in consumer.committed(consumer.assignment(), 60):
                each.offset = max(each.offset, 0)
                consumer.seek(each)
            continue
        made.commit_transaction(60)
        done += 1
    consumer.close()


def test_offsets_are_committed_with_what_was_made_of_them(cluster, unique):
    source, target, group = unique("in"), unique("out"), unique("group")
    create(cluster.bootstrap, source)
    create(cluster.bootstrap, target)
    plain = Producer({"bootstrap.servers": cluster.bootstrap})
    send(plain, source, range(50))
    transactional_id = unique("id")
    copy(cluster.bootstrap, source, target, group, transactional_id, 2, fail_on=[0, 1])
    copy(cluster.bootstrap, source, target, group, transactional_id, 3, fail_on=[2])
    assert read(cluster.bootstrap, target) == numbers(range(50))
    uncommitted = read(cluster.bootstrap, target, "read_uncommitted")
    assert len(uncommitted) == 80, "three batches were written twice"


@pytest.mark.parametrize("peer", ["kafka39", "kafka4"])
def test_java_copies_each_record_once(cluster, unique, tmp_path, peer):
    source, target, group = unique("in"), unique("out"), unique("group")
    create(cluster.bootstrap, source, partitions=2)
    create(cluster.bootstrap, target, partitions=3)
    plain = Producer({"bootstrap.servers": cluster.bootstrap})
    send(plain, source, range(0, 300), 0)
    send(plain, source, range(300, 600), 1)
    java = ["java", "-Xmx128m", "-cp", compiled(tmp_path, peer), "TransactionalCopier"]
    at = [cluster.bootstrap, source, target, group, unique("id")]
    # Every third transaction is aborted first.
    said = harness.run([*java, *at, "20", "600", "3"], timeout=120)
    assert said.splitlines()[-1] == "copied 600"
    copied = read(cluster.bootstrap, target, partitions=(0, 1, 2))
    assert sorted(copied, key=int) == numbers(range(600))
    everything = read(cluster.bootstrap, target, "read_uncommitted", (0, 1, 2))
    assert len(everything) > 600


@pytest.fixture
def three(new_trio):
    keys = {"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2}
    return new_trio(keys=keys)


def test_a_transaction_outlives_its_coordinator(three):
    three.create("t")
    made = producer(three.bootstrap, "survivor")
    expected = []
    for round in range(4):
        made.begin_transaction()
        values = range(round * 10, round * 10 + 10)
        send(made, "t", values)
        killed = coordinator(three, "survivor")
        three.brokers[killed].kill()
        if round % 2 == 0:
            made.commit_transaction(60)
            expected += numbers(values)
        else:
            made.abort_transaction(60)
        three.brokers[killed].start()
        three.wait_in_sync("t")
        three.wait_in_sync("__transaction_state")
    assert read(three.bootstrap, "t") == expected


@pytest.mark.long
def test_each_record_is_copied_once_whatever_is_struck(three, tmp_path):
    """The long form is `scripts/bench/transactions.py`."""
    copying = Copying(three, tmp_path)
    try:
        copying.start()
        plan = strikes(copying, random.Random(1))
        for _ in range(6):
            copying.feed(2000)
            _, strike = next(plan)
            strike()
            three.wait_in_sync("target")
        assert copying.check() == copying.fed
    finally:
        copying.end()
