"""One member of a group: prints its partitions, then each page view that it reads.

pageview_consumer.py BOOTSTRAP TOPIC GROUP

Runs until SIGTERM; leaves the group then.
"""

import json
import signal
import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer

bootstrap, topic, group = sys.argv[1:]


class Report(ConsumerRebalanceListener):
    """Tells the test which partitions this member has."""

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        print("assigned", *sorted(each.partition for each in assigned), flush=True)


running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
consumer = KafkaConsumer(
    bootstrap_servers=[bootstrap],
    auto_offset_reset="earliest",
    group_id=group,
    metadata_max_age_ms=500,
    heartbeat_interval_ms=500,
)
consumer.subscribe([topic], listener=Report())
while running:
    for messages in consumer.poll(timeout_ms=200).values():
        for message in messages:
            url = json.loads(message.value)["pageview"]["url"]
            print("view", message.partition, message.offset, message.key.decode(), url, flush=True)
consumer.close()
