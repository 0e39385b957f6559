"""Prints COUNT texts of a topic, read by a group from the earliest on.

hello_consumer.py BOOTSTRAP TOPIC GROUP COUNT
"""

import sys

from kafka import KafkaConsumer

bootstrap, topic, group, count = sys.argv[1:]
consumer = KafkaConsumer(
    topic,
    bootstrap_servers=[bootstrap],
    auto_offset_reset="earliest",
    group_id=group,
    value_deserializer=lambda value: value.decode("utf-8"),
    consumer_timeout_ms=30000,
)
for number, message in enumerate(consumer, start=1):
    print(message.value, flush=True)
    if number == int(count):
        break
consumer.close()
