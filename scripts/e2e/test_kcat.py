"""kcat: metadata, produce, consume, and a balanced group."""

import json

from harness import run


def kcat(cluster, *arguments, stdin=""):
    return run(["kcat", "-b", cluster.bootstrap, *arguments], stdin=stdin)


def produce(cluster, topic, lines, *options):
    kcat(cluster, "-P", "-t", topic, *options, stdin="".join(f"{line}\n" for line in lines))


def test_list(cluster, unique):
    topic = unique("kcat")
    produce(cluster, topic, ["one"])
    metadata = json.loads(kcat(cluster, "-L", "-J"))
    assert metadata["brokers"] == [{"id": 0, "name": cluster.bootstrap}]
    assert metadata["controllerid"] == 0
    (found,) = [each for each in metadata["topics"] if each["topic"] == topic]
    assert found["partitions"] == [
        {"partition": 0, "leader": 0, "replicas": [{"id": 0}], "isrs": [{"id": 0}]}
    ]


def test_produce_and_consume(cluster, unique):
    topic = unique("kcat")
    produce(cluster, topic, ["a:one", "b:two", "c:three"], "-K:", "-H", "colour=blue")
    form = "%o %k %s %h\\n"
    read = kcat(cluster, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form)
    assert read.splitlines() == [
        "0 a one colour=blue",
        "1 b two colour=blue",
        "2 c three colour=blue",
    ]
    last = kcat(cluster, "-C", "-t", topic, "-o", "-1", "-e", "-q")
    assert last == "three\n"


def test_produce_compressed(cluster, unique):
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        topic = unique("kcat")
        lines = [f"{codec} {number}" for number in range(200)]
        produce(cluster, topic, lines, "-z", codec)
        read = kcat(cluster, "-C", "-t", topic, "-o", "beginning", "-e", "-q")
        assert read.splitlines() == lines


def test_offset_by_timestamp(cluster, unique):
    topic = unique("kcat")
    produce(cluster, topic, ["one", "two"])
    ends = kcat(cluster, "-Q", "-t", f"{topic}:0:-1")
    assert ends.split() == [topic, "[0]", "offset", "2"]


def test_group(cluster, unique):
    topic, group = unique("kcat"), unique("kcat-group")
    produce(cluster, topic, ["one", "two"])
    earliest = ["-X", "auto.offset.reset=earliest"]
    read = kcat(cluster, *earliest, "-G", group, "-c", "2", "-q", topic)
    assert read == "one\ntwo\n"
    produce(cluster, topic, ["three"])
    read = kcat(cluster, *earliest, "-G", group, "-c", "1", "-q", topic)
    assert read == "three\n"
