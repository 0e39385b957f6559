"""What a producer with acks=all hears when the follower stops after the record
was appended: the same from this broker as from Kafka 3.9.1.

It is not NOT_ENOUGH_REPLICAS_AFTER_APPEND. Since KIP-966 both keep the high
watermark where it is while fewer than `min.insync.replicas` are in sync, and both
answer a waiting request as soon as the high watermark is high enough. The code is
left for an ISR that shrinks, or a minimum that is raised, between these two steps
of one thread; nothing that is sent to a broker can make it so. The unit test
`partition::tests::refusals` holds the steps apart."""

import signal

import pytest
from harness import wait_until
from kafka.protocol import producer
from replicated import read_all
from wire import Connection, make, records

NONE, TIMED_OUT, NOT_ENOUGH_REPLICAS = 0, 7, 19
KEYS = {"replica.lag.time.max.ms": 4000}


@pytest.fixture(params=["odradek", pytest.param("apache", marks=pytest.mark.long)])
def two(new_trio, request):
    return new_trio(brokers=(request.param,) * 2, keys=KEYS)


def produce(port, timeout_ms):
    """The code of a produce of three records to t-0 with acks=all."""
    connection = Connection(port, timeout=120)
    data = {"name": "t", "partition_data": [{"index": 0, "records": records()}]}
    asked = make(
        producer.ProduceRequest, 9,
        transactional_id=None, acks=-1, timeout_ms=timeout_ms, topic_data=[data],
    )  # fmt: skip
    answer = connection.ask(asked).responses[0].partition_responses[0]
    connection.close()
    return answer.error_code


def test_a_record_that_only_the_leader_has_is_not_acknowledged(two):
    """KIP-966 keeps the high watermark below `min.insync.replicas`, so what was
    appended before the ISR shrank times out; what comes after is not appended."""
    two.create("t", partitions=1, least=2)
    leader = two.leader("t")
    follower = two.brokers[1 - leader].process
    # All say who leads before the leader itself may know the topic.
    is_led = lambda: produce(two.ports[leader], 30_000) == NONE  # noqa: E731
    wait_until(is_led, 30, "the leader leads", 0.2)
    follower.send_signal(signal.SIGSTOP)
    # Twice as long as the ISR takes to shrink, by lag or by the session's end.
    assert produce(two.ports[leader], 20_000) == TIMED_OUT
    assert produce(two.ports[leader], 20_000) == NOT_ENOUGH_REPLICAS
    follower.send_signal(signal.SIGCONT)
    two.wait_in_sync("t")
    assert produce(two.ports[leader], 30_000) == NONE
    # The first, the one of unknown outcome, and the last, each of three records.
    assert [offset for offset, _ in read_all(two, "t", 0)] == list(range(9))
