"""What PyKafka's own introduction shows, step by step.

pykafka_tour.py HOSTS ZOOKEEPER TOPIC WAY COUNT

WAY is how the broker is found and who reads: `simple`, `managed` (Kafka's
groups), or `balanced` (a group in ZooKeeper). COUNT texts are written, half of
them read and committed, the other half read by the next consumer.
"""

import sys

from pykafka import KafkaClient

hosts, zookeeper, topic_name, way, count = sys.argv[1:]
count = int(count)
client = KafkaClient(zookeeper_hosts=zookeeper) if way == "balanced" else KafkaClient(hosts=hosts)
topic = client.topics[topic_name.encode()]
with topic.get_sync_producer() as producer:
    for number in range(count):
        producer.produce(f"test message {number}".encode())


def consumer():
    options = {
        "consumer_group": f"group-{way}".encode(),
        "auto_offset_reset": -2,
        "consumer_timeout_ms": 20_000,
    }
    if way == "simple":
        return topic.get_simple_consumer(**options)
    if way == "managed":
        return topic.get_balanced_consumer(managed=True, **options)
    return topic.get_balanced_consumer(zookeeper_connect=zookeeper, **options)


for _ in range(2):
    reader = consumer()
    for _ in range(count // 2):
        message = reader.consume()
        print(message.offset, message.value.decode())
    reader.commit_offsets()
    reader.stop()
