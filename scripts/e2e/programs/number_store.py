"""Reads numbers as a group and stores them in SQLite, until LAST has come.

number_store.py BOOTSTRAP TOPIC GROUP DATABASE LAST

Stopped and started again, it goes on where it was: the offset is committed
after each batch has been stored. The table refuses nothing, so a number that
is read twice is seen twice.
"""

import sqlite3
import sys
from json import loads

from kafka import KafkaConsumer

bootstrap, topic, group, path, last = sys.argv[1:]
database = sqlite3.connect(path)
database.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER, position INTEGER)")
consumer = KafkaConsumer(
    topic,
    bootstrap_servers=[bootstrap],
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    group_id=group,
    value_deserializer=lambda value: loads(value.decode("utf-8")),
)
reached = False
while not reached:
    for messages in consumer.poll(timeout_ms=1000, max_records=100).values():
        for message in messages:
            row = (message.value["number"], message.offset)
            database.execute("INSERT INTO numbers VALUES (?, ?)", row)
            reached = reached or row[0] >= int(last)
        database.commit()
        consumer.commit()
consumer.close()
