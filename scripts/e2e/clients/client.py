"""Writes and reads records with one of the Python clients.

client.py NAME FOLDER write BOOTSTRAP TOPIC CODEC < RECORDS
client.py NAME FOLDER read BOOTSTRAP TOPIC COUNT

NAME is `pykafka/VERSION`, `kafka-python/VERSION` or `confluent`; VERSION is the
broker's that the client is told to speak to (`-`: it finds out). FOLDER holds
the client's release (`-`: the installed one). Records are lines of JSON with
`key` and `value` (text or null), `timestamp` (ms) and `headers` (pairs); all go
to partition 0 and come from it, those read with their `offset`.
"""

import json
import sys
import time

NAME, FOLDER, ACTION, BOOTSTRAP, TOPIC, LAST = sys.argv[1:]
NAME, _, VERSION = NAME.partition("/")
if FOLDER != "-":
    sys.path.insert(0, FOLDER)
DEADLINE = time.monotonic() + 60


def encoded(text):
    return None if text is None else text.encode()


def decoded(data):
    return None if data is None else bytes(data).decode()


def records():
    return [json.loads(line) for line in sys.stdin]


def show(offset, timestamp, key, value, headers=None):
    fields = {
        "offset": offset,
        "timestamp": timestamp,
        "key": decoded(key),
        "value": decoded(value),
        "headers": headers,
    }
    print(json.dumps(fields), flush=True)


def kafka_python():
    if sys.version_info >= (3, 12):
        import six

        sys.modules["kafka.vendor.six"] = six
        sys.modules["kafka.vendor.six.moves"] = six.moves
    import kafka

    options = {"bootstrap_servers": BOOTSTRAP}
    if VERSION != "-":
        options["api_version"] = tuple(int(part) for part in VERSION.split("."))
    if ACTION == "write":
        codec = None if LAST == "none" else LAST
        if kafka.__version__ >= "3" and VERSION != "-" and options["api_version"] < (0, 11):
            options["enable_idempotence"] = False
        producer = kafka.KafkaProducer(
            compression_type=codec, acks="all", linger_ms=50, batch_size=100_000, **options
        )
        takes_headers = VERSION == "-" or options["api_version"] >= (0, 11)
        sent = [
            producer.send(
                TOPIC,
                partition=0,
                key=encoded(record["key"]),
                value=encoded(record["value"]),
                timestamp_ms=record["timestamp"],
                **(
                    {"headers": [(name, encoded(text)) for name, text in record["headers"]]}
                    if takes_headers and record["headers"]
                    else {}
                ),
            )
            for record in records()
        ]
        for future in sent:
            future.get(30)
        producer.close()
        return
    consumer = kafka.KafkaConsumer(auto_offset_reset="earliest", **options)
    partition = kafka.TopicPartition(TOPIC, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    left = int(LAST)
    while left > 0 and time.monotonic() < DEADLINE:
        for got in consumer.poll(1000).get(partition, []):
            headers = [[name, decoded(text)] for name, text in got.headers]
            show(got.offset, got.timestamp, got.key, got.value, headers)
            left -= 1
    consumer.close()


def pykafka():
    import datetime

    import pykafka
    from pykafka.common import CompressionType

    client = pykafka.KafkaClient(hosts=BOOTSTRAP, broker_version=VERSION)
    topic = client.topics[TOPIC.encode()]
    if ACTION == "write":
        codec = getattr(CompressionType, LAST.upper())
        with topic.get_producer(
            compression=codec,
            required_acks=-1,
            linger_ms=50,
            partitioner=lambda partitions, key: partitions[0],
            max_queued_messages=10_000,
        ) as producer:
            for record in records():
                # This client has no way to write headers, nor times in format 0.
                stamp = datetime.datetime.fromtimestamp(
                    record["timestamp"] / 1000, datetime.timezone.utc
                )
                stamp = None if VERSION.startswith("0.9") else stamp.replace(tzinfo=None)
                key, value = encoded(record["key"]), encoded(record["value"])
                producer.produce(value, partition_key=key, timestamp=stamp)
        return
    consumer = topic.get_simple_consumer(
        consumer_timeout_ms=20_000, partitions=[topic.partitions[0]]
    )
    for _ in range(int(LAST)):
        got = consumer.consume()
        if got is None:
            break
        show(got.offset, got.timestamp, got.partition_key, got.value)
    consumer.stop()


def confluent():
    import confluent_kafka

    if ACTION == "write":
        failed = []
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": BOOTSTRAP, "compression.type": LAST, "linger.ms": 50}
        )
        for record in records():
            producer.produce(
                TOPIC,
                partition=0,
                key=encoded(record["key"]),
                value=encoded(record["value"]),
                timestamp=record["timestamp"],
                headers=[(name, encoded(text)) for name, text in record["headers"]],
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        producer.flush(30)
        assert not failed, failed
        return
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": BOOTSTRAP, "group.id": "reader", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(TOPIC, 0, 0)])
    left = int(LAST)
    while left > 0 and time.monotonic() < DEADLINE:
        got = consumer.poll(1)
        if got is None:
            continue
        assert not got.error(), got.error()
        headers = [[name, decoded(text)] for name, text in got.headers() or []]
        show(got.offset(), got.timestamp()[1], got.key(), got.value(), headers)
        left -= 1
    consumer.close()


{"kafka-python": kafka_python, "pykafka": pykafka, "confluent": confluent}[NAME]()
