"""Our verifiable producer and consumer, and our decoders, beside Kafka 3.9's own.

Each tool is run both as ours and as Kafka's against the same brokers, and must
write the same events: the same lines but for their times.
"""

import json
import os
import signal
import subprocess

import harness
import pytest

MAIN = {
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "dump-log": "kafka.tools.DumpLogSegments",
}
WHOSE = ["ours", "kafka"]


def command(whose, tool, *arguments):
    words = [str(word) for word in arguments]
    if whose == "ours":
        return [str(harness.TOP / f"scripts/kafka-{tool}.sh"), *words]
    return [str(harness.PEERS / "kafka39/run"), MAIN[tool], *words]


def run(whose, tool, *arguments, expected=0):
    environment = os.environ | {"HEAP": "128m"}
    done = subprocess.run(
        command(whose, tool, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == expected, done.stderr
    return done.stdout


def lines(text):
    """Each event as its line, without what differs from run to run."""
    found = []
    for line in text.splitlines():
        event = json.loads(line)
        for measured in ("timestamp", "avg_throughput"):
            if measured in event:
                event[measured] = 0
        found.append(json.dumps(event))
    return found


@pytest.fixture
def topics(cluster, unique):
    """A topic for each tool's maker: (ours, Kafka's), of one partition."""
    from confluent_kafka.admin import AdminClient, NewTopic

    names = [unique("verifiable") for _ in WHOSE]
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result(30)
    return dict(zip(WHOSE, names))


def on(cluster, topic):
    return ["--bootstrap-server", cluster.bootstrap, "--topic", topic]


def test_the_producer_tells_as_kafkas_does(cluster, topics):
    for options in (
        ["--max-messages", 5],
        ["--max-messages", 5, "--value-prefix", 7, "--repeating-keys", 2, "--throughput", 100],
        ["--max-messages", 3, "--acks", 0],
        ["--max-messages", 2, "--message-create-time", 1000],
    ):
        told = {}
        for whose, topic in topics.items():
            text = run(whose, "verifiable-producer", *on(cluster, topic), *options)
            told[whose] = [line.replace(topic, "TOPIC") for line in lines(text)]
        assert told["ours"] == told["kafka"], options


def test_a_record_that_is_lost_is_told_as_kafka_does(cluster):
    arguments = [*on(cluster, "no such topic"), "--max-messages", 1]
    ours, kafka = (lines(run(whose, "verifiable-producer", *arguments)) for whose in WHOSE)
    assert "producer_send_error" in ours[1]
    assert ours == kafka


def test_the_consumer_tells_as_kafkas_does(cluster, topics, unique):
    topic = topics["ours"]
    run("ours", "verifiable-producer", *on(cluster, topic), "--max-messages", 5)
    for options in (
        ["--max-messages", 4, "--verbose"],
        ["--max-messages", 1],
        ["--max-messages", 5, "--enable-autocommit", "--group-instance-id", "static"],
    ):
        told = {}
        for whose in WHOSE:
            group = ["--group-id", topics[whose] + ("-auto" if len(options) > 3 else "")]
            text = run(whose, "verifiable-consumer", *on(cluster, topic), *group, *options)
            told[whose] = lines(text)
        assert told["ours"] == told["kafka"], options


def test_a_signal_commits_and_leaves(cluster, topics):
    topic = topics["ours"]
    run("ours", "verifiable-producer", *on(cluster, topic), "--max-messages", 3)
    arguments = [*on(cluster, topic), "--group-id", topic]
    words = command("ours", "verifiable-consumer", *arguments)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as consumer:
        names = []
        for line in consumer.stdout:
            names.append(json.loads(line)["name"])
            if names[-1] == "offsets_committed":
                consumer.send_signal(signal.SIGTERM)
        assert consumer.wait(60) == 128 + signal.SIGTERM
    assert names == [
        "startup_complete",
        "partitions_assigned",
        "records_consumed",
        "offsets_committed",
        "partitions_revoked",
        "shutdown_complete",
    ]


def test_groups_are_decoded_as_kafka_does(cluster, topics):
    topic = topics["ours"]
    run("ours", "verifiable-producer", *on(cluster, topic), "--max-messages", 3)
    # Members of both kinds of clients, a commit, and groups that became empty.
    for whose in WHOSE:
        group = ["--group-id", topics[whose], "--max-messages", 3]
        run(whose, "verifiable-consumer", *on(cluster, topic), *group)
    folders = sorted((cluster.directory / "broker").glob("__consumer_offsets-*"))
    files = [folder / "00000000000000000000.log" for folder in folders]
    held = [str(file) for file in files if file.exists() and file.stat().st_size]
    assert held
    arguments = ["--files", ",".join(held), "--offsets-decoder"]
    ours, kafka = (run(whose, "dump-log", *arguments).splitlines() for whose in WHOSE)
    assert any('"subscription":{"topics":["' in line for line in ours)
    assert any('"commitTimestamp"' in line for line in ours)
    assert ours == kafka
