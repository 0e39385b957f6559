"""Who keeps a producer waiting: what each broker says of the partitions, and what
becomes of one record that a client of another make sends to each of them.

For a run that has failed: the record that it sends is not the history's.
"""

import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

# In seconds; less than an operator's patience and more than an election.
PATIENCE = 15


def tell(trio, topic):
    """What is known of a topic, as text."""
    brokers = [f"broker {number}: {view(trio, number, topic)}" for number in trio.ids]
    partitions = len(trio.partitions(topic))
    return "\n".join([*brokers, *(probe(trio, topic, index) for index in range(partitions))])


def view(trio, number, topic):
    """The controller, and the leader and ISR of each partition, as one broker tells."""
    if not trio.brokers[number].running():
        return "does not run"
    told = trio.metadata_of(number)
    if not told or topic not in told.topics:
        return "does not tell"
    partitions = told.topics[topic].partitions.items()
    each = ", ".join(f"{index} led by {one.leader} isr {one.isrs}" for index, one in partitions)
    return f"controller {told.controller_id}, {each}"


def probe(trio, topic, partition):
    """How another client fares with one record."""
    started = time.monotonic()
    name = f"a record of kafka-python to {topic}-{partition}"
    try:
        producer = KafkaProducer(
            bootstrap_servers=trio.bootstrap.split(","),
            acks="all",
            request_timeout_ms=5000,
            max_block_ms=PATIENCE * 1000,
            delivery_timeout_ms=PATIENCE * 1000,
        )
        try:
            sent = producer.send(topic, b"-1", partition=partition).get(PATIENCE)
            outcome = f"is acknowledged at {sent.offset}"
        finally:
            producer.close(1)
    except KafkaError as error:
        outcome = f"is not: {error!r}"
    return f"{name} {outcome} after {time.monotonic() - started:.1f} s"
