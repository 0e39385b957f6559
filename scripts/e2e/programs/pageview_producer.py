"""Sends COUNT page views, keyed by visitor, and prints where each was stored.

pageview_producer.py BOOTSTRAP TOPIC COUNT
"""

import json
import sys

from kafka import KafkaProducer

bootstrap, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
producer = KafkaProducer(bootstrap_servers=bootstrap)
sent = []
for number in range(count):
    view = {"pageview": {"url": f"/page/{number}"}}
    future = producer.send(
        topic=topic,
        key=f"{number % 37}".encode(),
        value=json.dumps(view).encode(),
    )
    sent.append(future)
producer.flush()
for future in sent:
    stored = future.get(timeout=30)
    print(stored.topic, stored.partition, stored.offset)
producer.close()
