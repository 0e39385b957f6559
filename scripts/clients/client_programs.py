"""Programs of this repository with one client each, where the client's own are not enough."""

import sys

from core import HERE, call, checks, client, create_topic


@client(
    "confluent-kafka-transactions",
    "2.16.1",
    "a program that copies a topic in transactions with the consumer's offsets, commits some and "
    "aborts some, is fenced, and reads both isolations",
    when="long",
)
def confluent_kafka_transactions(place):
    def whole():
        for topic in ("source", "target"):
            create_topic(place.bootstrap, topic, 3)
        program = HERE / "programs/copy_in_transactions.py"
        text, _ = call([sys.executable, program, place.bootstrap, "source", "target"], timeout=240)
        assert text.rstrip().endswith("done"), text

    return checks([("copy in transactions", whole)])
