"""Sends COUNT texts with confluent-kafka and reads them back as a group.

confluent_hello.py BOOTSTRAP TOPIC GROUP COUNT
"""

import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer

bootstrap, topic, group, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
producer = Producer({"bootstrap.servers": bootstrap})
failures = []


def delivery_report(error, message):
    if error is not None:
        failures.append(error)
    else:
        print("stored", message.topic(), message.partition(), message.offset())


for number in range(count):
    producer.poll(0)
    producer.produce(topic, f"text {number}".encode("utf-8"), callback=delivery_report)
producer.flush(30)
if failures:
    sys.exit(f"not delivered: {failures}")

consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "smallest",
        "enable.partition.eof": True,
    }
)
consumer.subscribe([topic])
received = 0
deadline = time.monotonic() + 30
while received < count:
    if time.monotonic() > deadline:
        sys.exit(f"only {received} of {count} came")
    message = consumer.poll(1.0)
    if message is None:
        continue
    if message.error():
        if message.error().code() == KafkaError._PARTITION_EOF:
            continue
        sys.exit(str(message.error()))
    print("received", message.value().decode("utf-8"))
    received += 1
consumer.close()
