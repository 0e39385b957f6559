"""Sends the numbers FIRST..LAST as JSON, and prints the last one.

number_producer.py BOOTSTRAP TOPIC FIRST LAST
"""

import sys
from json import dumps

from kafka import KafkaProducer

bootstrap, topic, first, last = sys.argv[1:]
producer = KafkaProducer(
    bootstrap_servers=[bootstrap],
    value_serializer=lambda value: dumps(value).encode("utf-8"),
)
for number in range(int(first), int(last) + 1):
    producer.send(topic, value={"number": number})
producer.flush()
producer.close()
print(last)
