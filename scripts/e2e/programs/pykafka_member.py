"""A member of a group of PyKafka's balanced consumers, which find each other in
ZooKeeper: prints what it reads until it is told to end.

pykafka_member.py HOSTS ZOOKEEPER TOPIC GROUP
"""

import signal
import sys

from pykafka import KafkaClient

hosts, zookeeper, topic_name, group = sys.argv[1:]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
client = KafkaClient(hosts=hosts)
topic = client.topics[topic_name.encode()]
consumer = topic.get_balanced_consumer(
    consumer_group=group.encode(),
    zookeeper_connect=zookeeper,
    zookeeper_connection_timeout_ms=6000,
    auto_commit_enable=True,
    auto_commit_interval_ms=200,
    auto_offset_reset=-2,
    reset_offset_on_start=False,
    # Two sessions of ZooKeeper may pass before a killed member's claims are gone.
    rebalance_max_retries=30,
)
for message in consumer:
    print(message.value.decode(), flush=True)
