"""Records are deleted on all replicas: the answer waits for the followers, and the
start of the log holds after restarts and on whoever leads next."""

import os
import signal

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until
from kafka.protocol.admin import DeleteRecordsRequest
from wire import Connection, make

TOPIC = "kept"
TIMED_OUT, OUT_OF_RANGE, NOT_LEADER, UNKNOWN, POLICY = 7, 1, 6, 3, 44


@pytest.fixture
def trio(new_trio):
    return new_trio(keys={"log.flush.start.offset.checkpoint.interval.ms": 500})


def delete(port, topic, offset, timeout_ms=20000, partition=0):
    """(error code, low watermark), as the broker at a port answers."""
    wanted = [{"partition_index": partition, "offset": offset}]
    topics = [{"name": topic, "partitions": wanted}]
    connection = Connection(port)
    connection.socket.settimeout(60)
    request = make(DeleteRecordsRequest, 1, topics=topics, timeout_ms=timeout_ms)
    [told] = connection.ask(request).topics[0].partitions
    connection.close()
    return told.error_code, told.low_watermark


def watermarks(bootstrap, topic):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "looks"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    except KafkaException:
        # There is no leader yet.
        return None
    finally:
        consumer.close()


def stored_start(trio, number):
    """The log start offset in a broker's checkpoint."""
    path = trio.directory_of(number) / "broker" / "log-start-offset-checkpoint"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [int(line.split()[2]) for line in lines if line.startswith(f"{TOPIC} 0 ")]
    return found[0] if found else 0


def test_records_leave_all_replicas(trio):
    trio.create(TOPIC, 1)
    admin = AdminClient({"bootstrap.servers": trio.bootstrap})
    table = NewTopic("table", 1, 3, config={"cleanup.policy": "compact"})
    admin.create_topics([table])["table"].result(30)
    trio.wait_in_sync("table")
    producer = Producer({"bootstrap.servers": trio.bootstrap, "acks": "all"})
    for number in range(200):
        producer.produce(TOPIC, str(number))
    assert producer.flush(30) == 0
    leader, follower = trio.leader(TOPIC), trio.follower(TOPIC)
    port = trio.ports[leader]

    assert delete(port, TOPIC, 57) == (0, 57)
    # The answer means that every replica has let go.
    for number in (0, 1, 2):
        wait_until(lambda n=number: stored_start(trio, n) == 57, 20, f"broker {number} notes it")
    assert delete(port, TOPIC, 20) == (0, 57)
    assert delete(port, TOPIC, 201) == (OUT_OF_RANGE, -1)
    assert delete(port, TOPIC, -2) == (OUT_OF_RANGE, -1)
    assert delete(trio.ports[follower], TOPIC, 60) == (NOT_LEADER, -1)
    assert delete(port, TOPIC, 60, partition=1) == (UNKNOWN, -1)
    assert delete(trio.ports[trio.leader("table")], "table", 0) == (POLICY, -1)

    # A follower that stands still is waited for, and goes on with the new start.
    stopped = trio.brokers[follower].pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        error, low_watermark = delete(port, TOPIC, 90, timeout_ms=300)
        assert (error, low_watermark) == (TIMED_OUT, 57)
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: delete(port, TOPIC, 90) == (0, 90), 30, "the follower lets go, too")

    # A dead one is not waited for, and learns the start when it comes back.
    trio.brokers[follower].kill()
    wait_until(lambda: delete(port, TOPIC, 120, 1000) == (0, 120), 60, "the dead one is left out")
    trio.brokers[follower].start()
    wait_until(lambda: stored_start(trio, follower) == 120, 60, "it learns the start")

    # The next leader knows it.
    trio.brokers[leader].kill()
    known = lambda: watermarks(trio.bootstrap, TOPIC)  # noqa: E731
    assert wait_until(known, 60, "there is a new leader") == (120, 200)
    trio.brokers[leader].start()
