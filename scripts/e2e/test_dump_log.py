"""kafka-dump-log beside Kafka 3.9.1's own on the same files: those that our broker
wrote, and copies of them with damage. The same lines, the same complaints.
"""

import shutil
import struct
import subprocess

import harness
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from harness import PEERS
from transactions import Writer, create

KAFKAS = "kafka.tools.DumpLogSegments"
TOPIC = "dumped"
FIRST = "00000000000000000000"
DECODERS = "org.apache.kafka.tools.api."


@pytest.fixture(scope="module")
def broker(servers, tmp_path_factory):
    """The directory of a broker that was stopped: several segments, every codec,
    transactions of each end and an open one, groups, offsets."""
    if servers != "odradek":
        pytest.skip("is about files of ours")
    keys = {"offsets.topic.num.partitions": 2, "transaction.state.log.num.partitions": 2}
    made = harness.Cluster(tmp_path_factory.mktemp("dump"), servers, keys).start()
    admin = AdminClient({"bootstrap.servers": made.bootstrap, "log_level": 0})
    config = {"segment.bytes": "6000", "index.interval.bytes": "200"}
    admin.create_topics([NewTopic(TOPIC, 1, 1, config=config)])[TOPIC].result(60)
    create(made.bootstrap, "numbers")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        keys = {"bootstrap.servers": made.bootstrap, "compression.type": codec, "log_level": 0}
        plain = Producer(keys | {"enable.idempotence": codec != "gzip"})
        for number in range(40):
            headers = [("a", b"1"), ("b", None)] if number % 3 == 0 else None
            key = b"key" if number % 2 else None
            value = b"value %d" % number if number % 5 else None
            plain.produce(TOPIC, value=value, key=key, headers=headers)
            if number % 4 == 3:
                plain.flush(60)
        plain.produce("numbers", value=struct.pack(">q", 1 << 40), key=struct.pack(">i", -7))
        plain.flush(60)
    writer = Writer(made.bootstrap, "a writer")
    writer.whole(TOPIC, "kept")
    writer.whole(TOPIC, "given up", commit=False)
    other = Writer(made.bootstrap, "another")
    other.whole(TOPIC, "given up too", commit=False)
    writer.begin()
    writer.write(TOPIC, "open")
    keys = {"bootstrap.servers": made.bootstrap, "group.id": "g", "log_level": 0}
    consumer = Consumer(keys | {"enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, 5)], asynchronous=False)
    consumer.close()
    made.broker.stop()
    yield made.directory / "broker"
    made.close()


def both(files, *options):
    """(exit code, standard output, standard error) of ours and of Kafka's."""
    words = ["--files", ",".join(map(str, files)), *options]
    ours = [harness.TARGET / "kafka", "dump-log", *words]
    kafkas = [PEERS / "kafka39" / "run", KAFKAS, *words]
    answers = []
    for each in (ours, kafkas):
        done = subprocess.run(
            [str(word) for word in each],
            capture_output=True,
            text=True,
            timeout=120,
            env={"HEAP": "128m", "PATH": "/usr/bin:/bin"},
        )
        # Of an exception the first line; the stack is the JVM's own.
        told = [line for line in done.stderr.splitlines() if not line.startswith("\tat ")]
        answers.append((done.returncode, done.stdout.splitlines(), told))
    return answers


def files(directory, *patterns):
    found = [file for pattern in patterns for file in sorted(directory.glob(pattern))]
    assert found, patterns
    return found


SIDE = ["*.index", "*.timeindex", "*.txnindex", "*.snapshot"]


@pytest.mark.parametrize("options", [
    [],
    ["--deep-iteration"],
    ["--print-data-log"],
    ["--print-data-log", "--skip-record-metadata"],
    ["--max-bytes", "700"],
    ["--verify-index-only"],
    ["--index-sanity-check"],
], ids=" ".join)
def test_a_partition_is_told_as_kafka_tells_it(broker, options):
    all_files = files(broker / f"{TOPIC}-0", "*.log", *SIDE)
    assert len(all_files) > 8
    ours, kafkas = both(all_files, *options)
    assert ours == kafkas
    assert ours[0] == 0 and ours[2] == []
    told = "\n".join(ours[1])
    assert "currentTxnFirstOffset: OptionalLong[" in told
    assert "version: 0 producerId: " in told


def test_internal_topics_are_told_as_kafka_tells_them(broker):
    for topic, decoder, word in (
        ("__consumer_offsets", "--offsets-decoder", '"group":"g"'),
        ("__transaction_state", "--transaction-log-decoder", "state=Ongoing"),
    ):
        logs = [file for file in files(broker, f"{topic}-*/*.log") if file.stat().st_size]
        ours, kafkas = both(logs, decoder)
        assert ours == kafkas
        assert word in "\n".join(ours[1])


def test_classes_read_keys_and_values(broker):
    (log,) = files(broker / "numbers-0", "*.log")
    for package in (DECODERS, "kafka.serializer."):
        named = ["--key-decoder-class", f"{package}IntegerDecoder"]
        named += ["--value-decoder-class", f"{package}LongDecoder"]
        ours, kafkas = both([log], *named)
        assert ours == kafkas
        assert ours[1][-1].endswith(f" key: -7 payload: {1 << 40}")


@pytest.fixture
def copy(broker, tmp_path):
    return shutil.copytree(broker / f"{TOPIC}-0", tmp_path / "copy-0")


def spoil(file, at, value):
    data = bytearray(file.read_bytes())
    data[at : at + len(value)] = value
    file.write_bytes(data)


def test_wrong_entries_of_indexes_are_told(copy):
    index, times = copy / f"{FIRST}.index", copy / f"{FIRST}.timeindex"
    for number in (1, 2):
        (offset,) = struct.unpack_from(">i", index.read_bytes(), 8 * number)
        spoil(index, 8 * number, struct.pack(">i", offset + 1))
    # A time that is not the record's, one before its predecessor, an offset in a batch.
    data = times.read_bytes()
    (time,) = struct.unpack_from(">q", data, 12)
    spoil(times, 12, struct.pack(">q", time + 5))
    spoil(times, 24, struct.pack(">q", time - 5))
    (offset,) = struct.unpack_from(">i", data, 12 * 4 + 8)
    spoil(times, 12 * 4 + 8, struct.pack(">i", offset - 1))
    ours, kafkas = both([index, times])
    assert ours == kafkas
    told = "\n".join(ours[2])
    for complaint in ("Mismatches in :", "timestamp mismatch", "out of order", "not found"):
        assert complaint in told


@pytest.mark.parametrize("suffix", ["index", "timeindex"])
def test_an_index_that_is_no_number_of_entries_is_corrupt(copy, suffix):
    file = copy / f"{FIRST}.{suffix}"
    with open(file, "ab") as opened:
        opened.write(b"x")
    ours, kafkas = both([file], "--index-sanity-check")
    assert ours == kafkas
    assert ours[0] == 1


def test_an_index_that_points_nowhere_ends_the_tool(copy):
    file = copy / f"{FIRST}.index"
    log = copy / f"{FIRST}.log"
    log.write_bytes(log.read_bytes()[:4000])
    ours, kafkas = both([log, file], "--deep-iteration")
    assert ours[:2] == kafkas[:2]
    assert ours[0] == 1
    assert any("invalid bytes at the end of" in line for line in ours[1])


def test_gaps_of_offsets_are_told(copy):
    file = copy / f"{FIRST}.log"
    data = file.read_bytes()
    batches = []
    while data:
        (size,) = struct.unpack_from(">i", data, 8)
        batches.append(data[: size + 12])
        data = data[size + 12 :]
    file.write_bytes(b"".join(batches[:2] + batches[3:6] + batches[7:]))
    ours, kafkas = both([file], "--deep-iteration")
    assert ours == kafkas
    assert len(ours[2]) == 3


def test_damaged_snapshots_and_unknown_files_are_told(copy):
    snapshots = files(copy, "*.snapshot")
    whole = snapshots[-1].read_bytes()
    damaged = {"flipped": whole[:20] + bytes([whole[20] ^ 1]) + whole[21:], "newer": b"\0\2" + whole[2:]}
    damaged |= {f"cut{size}": whole[:size] for size in (0, 3, 8, 10, 30, len(whole) - 1)}
    made = []
    for name, data in damaged.items():
        made.append(copy / f"{name}.snapshot")
        made[-1].write_bytes(data)
    (copy / "other.txt").write_text("x")
    ours, kafkas = both([*made, copy / "other.txt"])
    assert ours == kafkas
    assert ours[2]


# ---- message formats 0 and 1 -------------------------------------------------


OLD_CODECS = ("none", "gzip", "snappy", "lz4")
# With what a version of Kafka wrote, and with what it sets times by.
OLD_TOPICS = {
    "format-0": {"message.format.version": "0.9.0"},
    "format-1": {"message.format.version": "0.10.0"},
    "format-1-appended": {
        "message.format.version": "0.10.0",
        "message.timestamp.type": "LogAppendTime",
    },
    "formats": {"message.format.version": "0.9.0"},
    "compacted": {
        "message.format.version": "0.10.0",
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "500",
    },
}


@pytest.fixture(scope="module")
def old_broker(servers, tmp_path_factory):
    """The directory of a Kafka 1.1.1 that was stopped: several segments of each older
    format, one log with all three, one that was compacted, and offsets."""
    if servers != "odradek":
        pytest.skip("brings its broker itself")
    directory = tmp_path_factory.mktemp("old")
    zookeeper_port, port = harness.Ports.take(), harness.Ports.take()
    coordinator = harness.odradek_coordinator(directory, zookeeper_port, harness.Ports.take())
    keys = {"offsets.topic.num.partitions": 1, "log.cleaner.backoff.ms": 200}
    keys["log.message.format.version"] = "0.9.0"
    broker = harness.apache_broker(directory, port, zookeeper_port, keys, "256m", "kafka11")
    bootstrap = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}

    def write(topic, codec, count=40):
        producer = Producer(bootstrap | {"compression.type": codec})
        for number in range(count):
            key = b"key %d" % (number % 4) if number % 3 or topic == "compacted" else None
            value = b"value %d " % number * 9 if number % 5 else None
            producer.produce(topic, value=value, key=key)
            if number % 4 == 3:
                producer.flush(60)
        assert producer.flush(60) == 0

    try:
        coordinator.start()
        broker.start()
        admin = AdminClient(bootstrap)
        sizes = {"segment.bytes": "3000", "index.interval.bytes": "200"}
        for topic, config in OLD_TOPICS.items():
            new = NewTopic(topic, 1, 1, config=sizes | config)
            harness.wait_until(lambda: admin.list_topics(timeout=10).brokers, 60, "a broker")
            admin.create_topics([new])[topic].result(60)
            for codec in OLD_CODECS:
                write(topic, codec)
        for version in ("0.10.0", "0.11.0"):
            resource = ConfigResource("topic", "formats", sizes | {"message.format.version": version})
            admin.alter_configs([resource])[resource].result(60)
            for codec in OLD_CODECS:
                write("formats", codec)
        consumer = Consumer(bootstrap | {"group.id": "g", "enable.auto.commit": False})
        consumer.commit(offsets=[TopicPartition("format-0", 0, 5)], asynchronous=False)
        consumer.close()
        checkpoint = directory / "broker" / "cleaner-offset-checkpoint"
        cleaned = lambda: checkpoint.exists() and "compacted" in checkpoint.read_text()  # noqa: E731
        harness.wait_until(cleaned, 60, "a log is compacted")
        assert broker.stop() in (0, 143)
        yield directory / "broker"
    finally:
        broker.kill()
        coordinator.kill()


@pytest.mark.parametrize("options", [
    [],
    ["--deep-iteration"],
    ["--print-data-log"],
    ["--print-data-log", "--skip-record-metadata"],
    ["--max-bytes", "700"],
    ["--verify-index-only"],
    ["--index-sanity-check"],
    ["--key-decoder-class", f"{DECODERS}IntegerDecoder"],
], ids=" ".join)
@pytest.mark.parametrize("topic", OLD_TOPICS)
def test_older_formats_are_told_as_kafka_tells_them(old_broker, topic, options):
    all_files = files(old_broker / f"{topic}-0", "*.log", *SIDE)
    ours, kafkas = both(all_files, *options)
    assert by_file(ours) == by_file(kafkas)
    assert ours[0] == 0


def by_file(answer):
    """What is said of files at the end is in the order of a hash table of Java's."""
    code, out, told = answer
    blocks = [[]]
    for line in told:
        if not line.startswith(" "):
            blocks.append([])
        blocks[-1].append(line)
    return code, out, sorted(blocks)


def test_offsets_in_an_older_format(old_broker):
    logs = [file for file in files(old_broker, "__consumer_offsets-*/*.log") if file.stat().st_size]
    ours, kafkas = both(logs, "--offsets-decoder")
    assert ours == kafkas
    assert "magic: 0" in "\n".join(ours[1]) and '"group":"g"' in "\n".join(ours[1])
