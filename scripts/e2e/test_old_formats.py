"""A directory that Kafka 1.1.1 wrote in message formats 0 and 1 goes on under ours,
and then under Kafka 3.9."""

import functools

import generations
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from generations import GO, JAVA, KCAT, OLD_CODECS, PYTHON
from harness import Ports, apache_broker, odradek_broker, odradek_coordinator, wait_until
from table import EAGER_CLEANER, knowing_client
from test_log_directory import dump

COUNT = 40
FORMATS = {"0.9.0": 0, "0.10.0": 1, "0.11.0": 2}
SEGMENT_BYTES = 2000
# A client sends all of its records as one batch.
BATCH_BYTES = 8000
READERS = [PYTHON[0], PYTHON[1], PYTHON[6], GO[5], JAVA[0], JAVA[2], KCAT]
# Newer producers are idempotent, which Kafka 1.1 refuses for old formats.
WRITER = PYTHON[4]


class Shared:
    """One coordinator and one data directory, and brokers of three kinds on it."""

    def __init__(self, directory):
        zookeeper_port, self.port = Ports.take(), Ports.take()
        self.coordinator = odradek_coordinator(directory, zookeeper_port, Ports.take())
        overrides = EAGER_CLEANER | {"offsets.topic.num.partitions": 2}
        old = overrides | {"log.message.format.version": "0.9.0"}
        self.old = apache_broker(directory, self.port, zookeeper_port, old, "256m", "kafka11")
        self.ours = odradek_broker(directory, self.port, Ports.take(), zookeeper_port, overrides)
        newest = directory / "newest"
        newest.mkdir()
        log_dirs = overrides | {"log.dirs": directory / "broker"}
        self.new = apache_broker(newest, self.port, zookeeper_port, log_dirs, "256m")
        self.directory = directory / "broker"
        self.bootstrap = f"127.0.0.1:{self.port}"

    def close(self):
        for daemon in (self.old, self.ours, self.new, self.coordinator):
            daemon.kill()
        assert not self.ours.panics()


@pytest.fixture
def shared(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("brings its brokers itself")
    generations.build()
    made = Shared(tmp_path)
    made.coordinator.start()
    yield made
    made.close()


def records_for(version):
    """An old topic refuses headers."""
    records = generations.records(COUNT)
    if FORMATS[version] == 2:
        return records
    return [record | {"headers": []} for record in records]


def topic_of(version, codec):
    return f"old-{version}-{codec}"


def create(bootstrap, topic, **config):
    [admin] = wait_until(lambda: knowing_client(bootstrap), 60, "the broker knows of itself")
    wanted = NewTopic(topic, num_partitions=1, replication_factor=1, config=config)
    admin.create_topics([wanted])[topic].result(timeout=60)


def write_keys(bootstrap, topic, rounds, codec="none"):
    """Numbered values under five keys, a few in each batch."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec})
    for number in range(rounds):
        producer.produce(topic, f"{number} {'v' * 80}", f"key-{number % 5}")
        if number % 4 == 0:
            producer.flush(30)
    assert producer.flush(30) == 0


def read_all(bootstrap, topic):
    settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "check.crcs": True}
    consumer = Consumer(settings | {"enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = []
    while True:
        message = wait_until(lambda: consumer.poll(1), 30, f"{topic} is read")
        if message.error():
            consumer.close()
            return got
        got.append((message.offset(), message.key(), message.value()))


def check_readers(shared, written, appended):
    """Every reader sees what each topic holds: old entries and new batches."""

    def check(reader, version, codec):
        topic = topic_of(version, codec)
        first, second = written[version, codec], appended.get((version, codec), [])
        got = reader.read(shared.bootstrap, topic, len(first) + len(second))
        known = min(FORMATS[version], reader.format)
        old = generations.Client("", FORMATS[version], (), ())
        assert generations.seen(got[: len(first)], old, reader) == [
            {
                "offset": offset,
                "timestamp": record["timestamp"] if known else None,
                "key": record["key"],
                "value": record["value"],
                "headers": record["headers"] if known == 2 else [],
            }
            for offset, record in enumerate(first)
        ], f"{topic} read by {reader}"
        values = [record["value"] for record in second]
        assert [record["value"] for record in got[len(first) :]] == values, reader

    pairs = [(reader, *key) for reader in READERS for key in written]
    able = [pair for pair in pairs if pair[0] is KCAT or pair[2] in pair[0].codecs]
    # The checksum of lz4 in format 0 is a mistake that franz-go does not make.
    able = [pair for pair in able if pair != (GO[5], "0.9.0", "lz4")]
    generations.in_parallel([functools.partial(check, *pair) for pair in able])


def offset_at(bootstrap, topic, spec):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    partition = TopicPartition(topic, 0)
    answer = admin.list_offsets({partition: spec})[partition].result(timeout=30)
    return answer.offset


@pytest.mark.long
def test_a_directory_of_old_formats_goes_on(shared):
    shared.old.start(120)
    written = {}
    dense = {"index.interval.bytes": "300"}
    large = dense | {"segment.bytes": str(BATCH_BYTES)}
    small = dense | {"segment.bytes": str(SEGMENT_BYTES)}
    for version in FORMATS:
        for codec in OLD_CODECS:
            topic = topic_of(version, codec)
            create(shared.bootstrap, topic, **large, **{"message.format.version": version})
            written[version, codec] = records_for(version)
            WRITER.write(shared.bootstrap, topic, codec, written[version, codec])
    for version in FORMATS:
        # The old cleaner waits, so that ours has something to do.
        compact = {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"}
        topic = f"table-{version}"
        create(shared.bootstrap, topic, **small, **compact, **{"message.format.version": version})
        write_keys(shared.bootstrap, topic, 200, "gzip")
    group = Consumer({"bootstrap.servers": shared.bootstrap, "group.id": "kept"})
    place = TopicPartition(topic_of("0.9.0", "none"), 0, 17)
    group.commit(offsets=[place], asynchronous=False)
    group.close()
    shared.old.stop()
    dumped = dump(shared.directory.glob("old-0.9.0-gzip-0/*.log"))
    assert "magic: 0" in dumped and "magic: 2" not in dumped

    shared.ours.start()
    assert "torn end" not in shared.ours.log.read_text()
    check_readers(shared, written, {})
    check_offsets(shared, written)
    group = Consumer({"bootstrap.servers": shared.bootstrap, "group.id": "kept"})
    assert group.committed([place], timeout=30)[0].offset == 17
    group.close()

    # New batches follow, and a kill makes ours read old entries in recovery.
    appended = {key: generations.records(COUNT) for key in written}
    for (version, codec), records in appended.items():
        WRITER.write(shared.bootstrap, topic_of(version, codec), codec, records)
    shared.ours.kill()
    shared.ours.start()
    check_readers(shared, written, appended)
    check_compaction(shared)
    check_deletion(shared)
    shared.ours.stop()
    logs = list(shared.directory.glob("*-0/*.log"))
    assert "isvalid: false" not in dump(logs, "--deep-iteration")
    indexes = [file for file in shared.directory.glob("*-0/*index") if file.stat().st_size]
    checked = dump(indexes, "--verify-index-only")
    assert not [line for line in checked.splitlines() if "ismatch" in line or "not found" in line]

    # Kafka 3.9 goes on with it and sees the same.
    shared.new.start(120)
    remaining = {key: records for key, records in written.items() if key != DELETED_FROM}
    check_readers(shared, remaining, appended)
    assert read_all(shared.bootstrap, topic_of(*DELETED_FROM))[0][0] == DELETED_TO


DELETED_FROM, DELETED_TO = ("0.10.0", "gzip"), 7


def check_offsets(shared, written):
    for (version, codec), records in written.items():
        topic = topic_of(version, codec)
        asked = OffsetSpec.for_timestamp(records[23]["timestamp"])
        found = offset_at(shared.bootstrap, topic, asked)
        latest = offset_at(shared.bootstrap, topic, OffsetSpec.max_timestamp())
        # Format 0 has no times; the last record of the others is the latest.
        expected = (-1, -1) if version == "0.9.0" else (23, COUNT - 1)
        assert (found, latest) == expected, topic


def check_compaction(shared):
    for version in FORMATS:
        topic = f"table-{version}"
        before = read_all(shared.bootstrap, topic)
        admin = AdminClient({"bootstrap.servers": shared.bootstrap})
        alter_lag(admin, topic)
        write_keys(shared.bootstrap, topic, 60)
        last = {key: value for _, key, value in read_all(shared.bootstrap, topic)}

        def is_compacted():
            return len(read_all(shared.bootstrap, topic)) < len(before) // 2  # noqa: B023

        wait_until(is_compacted, 60, f"{topic} is compacted")
        after = read_all(shared.bootstrap, topic)
        assert {key: value for _, key, value in after} == last


def alter_lag(admin, topic):
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    now = ConfigEntry(
        "min.compaction.lag.ms", "0", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[now])
    admin.incremental_alter_configs([resource])[resource].result(timeout=30)


def check_deletion(shared):
    topic = topic_of(*DELETED_FROM)
    admin = AdminClient({"bootstrap.servers": shared.bootstrap})
    wanted = TopicPartition(topic, 0, DELETED_TO)
    assert admin.delete_records([wanted])[wanted].result(timeout=30).low_watermark == DELETED_TO
    assert read_all(shared.bootstrap, topic)[0][0] == DELETED_TO
