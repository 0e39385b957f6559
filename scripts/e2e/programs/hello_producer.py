"""Sends one text to partition 0 of a topic that need not exist yet.

hello_producer.py BOOTSTRAP TOPIC TEXT
"""

import sys

from kafka import KafkaProducer

bootstrap, topic, text = sys.argv[1:]
producer = KafkaProducer(
    bootstrap_servers=[bootstrap],
    value_serializer=lambda value: value.encode("utf-8"),
)
producer.send(topic=topic, partition=0, value=text)
producer.flush()
producer.close()
