"""Drives the scripts as a user would and checks what they print.

Runs against any cluster, ours or Apache Kafka 3.9 with its ZooKeeper: the one
that BOOTSTRAP and ZOOKEEPER name, else the suite's own, else the default ports.
Works only with topics and groups of its own.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
# The addresses are filled in by the fixture `addresses`.
AT = ["--bootstrap-server", os.environ.get("BOOTSTRAP", "127.0.0.1:9092")]
BY_ZK = ["--zookeeper", os.environ.get("ZOOKEEPER", "127.0.0.1:2181")]
COLLIDE = (
    "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') "
    "could collide. To avoid issues it is best to use either, but not both."
)


def script(name, *arguments, stdin="", timeout=90):
    """Runs a script; (exit code, stdout, stderr)."""
    command = [str(SCRIPTS / name), *arguments]
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=timeout)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def topics(*arguments, at=AT):
    return script("kafka-topics.sh", *at, *arguments)


def produce(topic, lines, *options):
    text = "".join(f"{line}\n" for line in lines)
    return script("kafka-console-producer.sh", *AT, "--topic", topic, *options, stdin=text)


def consume(topic, count, *options):
    return script(
        "kafka-console-consumer.sh", *AT, "--topic", topic, "--max-messages", str(count),
        "--timeout-ms", "30000", *options,
    )


def eventually(check, seconds=30):
    """Repeats `check` until it returns something true."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.fixture(scope="module", autouse=True)
def addresses(request):
    """Points the tests at the suite's own cluster, unless another one was named."""
    if "BOOTSTRAP" in os.environ:
        return
    try:
        cluster = request.getfixturevalue("cluster")
    except pytest.FixtureLookupError:
        return
    AT[1], BY_ZK[1] = cluster.bootstrap, cluster.zookeeper


@pytest.fixture
def topic():
    """A fresh name; the topic is deleted at the end if it was made."""
    name = f"tools-{uuid.uuid4().hex[:8]}"
    yield name
    topics("--delete", "--topic", f"{name}.*", "--if-exists")


def supports(api):
    """Whether the broker offers an API: tools degrade without some."""
    _, out, _ = script("kafka-broker-api-versions.sh", *AT)
    return re.search(rf"\t{api}\(\d+\): \d", out) is not None


# ---- topics ---------------------------------------------------------------


def test_a_topic_is_created_listed_described_and_deleted(topic):
    assert topics("--create", "--topic", topic, "--partitions", "2") == (0, f"Created topic {topic}.\n", "")
    assert topic in topics("--list")[1].split("\n")
    code, out, _ = topics("--describe", "--topic", topic)
    first, *partitions = out.splitlines()
    assert code == 0
    assert re.fullmatch(
        rf"Topic: {topic}\tTopicId: [\w-]{{22}}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: .*", first
    )
    for index, line in enumerate(partitions):
        assert re.fullmatch(
            rf"\tTopic: {topic}\tPartition: {index}\tLeader: (\d+)\tReplicas: \1\tIsr: \1"
            r"\tElr: N/A\tLastKnownElr: N/A",
            line,
        )
    assert len(partitions) == 2
    assert topics("--delete", "--topic", topic) == (0, "", "")
    assert eventually(lambda: topic not in topics("--list")[1].split("\n"))


def test_creating_twice_fails_unless_allowed(topic):
    topics("--create", "--topic", topic)
    code, out, err = topics("--create", "--topic", topic)
    assert (code, out) == (1, f"Error while executing topic command : Topic '{topic}' already exists.\n")
    assert "TopicExistsException" in err
    assert topics("--create", "--topic", topic, "--if-not-exists") == (0, "", "")


def test_names_that_may_collide_are_warned_of(topic):
    name = f"{topic}.x_y"
    assert topics("--create", "--topic", name) == (0, f"{COLLIDE}\nCreated topic {name}.\n", "")


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--partitions", "0"], "The partitions must be greater than 0"),
        (["--replication-factor", "0"], "The replication factor must be between 1 and 32767 inclusive"),
        (["--replication-factor", "99"], "Replication factor: 99 larger than available brokers: "),
        (["--replica-assignment", "0:0"], "Partition replica lists may not contain duplicate entries: 0"),
        (["--config", "nosuch=1"], "Unknown topic config name: nosuch"),
        (["--config", "retention.ms"], "requirement failed: Invalid topic config"),
        (["--partitions", "abc"], "Cannot parse argument 'abc' of option partitions"),
    ],
)
def test_what_cannot_be_created_is_told(topic, arguments, text):
    code, out, _ = topics("--create", "--topic", topic, *arguments)
    assert code == 1
    assert out.startswith(f"Error while executing topic command : {text}")


@pytest.mark.parametrize("action", [["--describe"], ["--delete"], ["--alter", "--partitions", "3"]])
def test_a_missing_topic_is_an_error_unless_allowed(topic, action):
    text = f"Error while executing topic command : Topic 'Optional[{topic}]' does not exist as expected\n"
    assert topics(*action, "--topic", topic)[:2] == (1, text)
    assert topics(*action, "--topic", topic, "--if-exists") == (0, "", "")


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "Command must include exactly one action: --list, --describe, --create, --alter or --delete"),
        (["--list", "--describe"], "Command must include exactly one action"),
        (["--create"], 'Missing required argument "[topic]"'),
        (["--list", "--partitions", "3"], "Option \"[partitions]\" can't be used with option \"[list]\""),
        (["--help"], "This tool helps to create, delete, describe, or change a topic."),
        (["--list", "--nope"], "nope is not a recognized option"),
    ],
)
def test_bad_command_lines(arguments, text):
    code, out, err = topics(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(text)


def test_partitions_are_added(topic):
    if not supports("CreatePartitions"):
        pytest.skip("this broker cannot add partitions yet")
    topics("--create", "--topic", topic, "--partitions", "1")
    assert topics("--alter", "--topic", topic, "--partitions", "3") == (0, "", "")
    described = lambda: topics("--describe", "--topic", topic)[1].count("\tPartition: ") == 3
    assert eventually(described)
    code, out, _ = topics("--alter", "--topic", topic, "--partitions", "2")
    assert code == 1
    assert "Topic currently has 3 partitions, which is higher than the requested 2." in out


# ---- topics by ZooKeeper ----------------------------------------------------


def test_a_topic_lives_and_dies_by_zookeeper(topic):
    create = ["--create", "--topic", topic, "--partitions", "2", "--replication-factor", "1"]
    assert topics(*create, at=BY_ZK) == (0, f"Created topic {topic}.\n", "")
    code, out, _ = topics(*create, at=BY_ZK)
    assert (code, out) == (1, f"Error while executing topic command : Topic '{topic}' already exists.\n")
    assert topic in topics("--list", at=BY_ZK)[1].splitlines()
    led = lambda: re.search(
        rf"\tTopic: {topic}\tPartition: 1\tLeader: (\d+)\tReplicas: \1\tIsr: \1\n",
        topics("--describe", "--topic", topic, at=BY_ZK)[1],
    )
    assert eventually(led)
    assert produce(topic, ["by zookeeper"])[0] == 0
    assert consume(topic, 1, "--from-beginning")[1] == "by zookeeper\n"
    code, out, _ = topics("--alter", "--topic", topic, "--partitions", "3", at=BY_ZK)
    assert (code, out.splitlines()[-1]) == (0, "Adding partitions succeeded!")
    assert topics("--delete", "--topic", topic, at=BY_ZK) == (
        0,
        f"Topic {topic} is marked for deletion.\n"
        "Note: This will have no impact if delete.topic.enable is not set to true.\n",
        "",
    )
    assert eventually(lambda: topic not in topics("--list", at=BY_ZK)[1])


def test_creating_by_zookeeper_needs_numbers(topic):
    code, _, err = topics("--create", "--topic", topic, "--partitions", "2", at=BY_ZK)
    assert code == 1
    assert err.startswith('Missing required argument "[replication-factor]"')


def test_the_shell_shows_and_changes_nodes(topic):
    zookeeper = BY_ZK[1]
    banner = (
        f"Connecting to {zookeeper}\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n"
    )
    shell = lambda *words: script("zookeeper-shell.sh", zookeeper, *words)
    assert shell("create", f"/{topic}", "hello") == (0, banner, f"Created /{topic}\n")
    assert shell("get", f"/{topic}") == (0, f"{banner}hello\n", "")
    assert shell("set", f"/{topic}", "you") == (0, banner, "")
    assert shell("delete", f"/{topic}") == (0, banner, "")
    assert shell("get", f"/{topic}") == (1, banner, f"Node does not exist: /{topic}\n")
    code, out, _ = shell("ls", "/brokers")
    assert (code, out) == (0, f"{banner}[ids, seqid, topics]\n")


# ---- producing and consuming ------------------------------------------------


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_come_back(topic, codec):
    topics("--create", "--topic", topic)
    lines = [f"line {number} ÄÖÜ" for number in range(1000)]
    assert produce(topic, lines, "--compression-codec", codec) == (0, "", "")
    code, out, err = consume(topic, 1000, "--from-beginning")
    assert (code, err) == (0, "Processed a total of 1000 messages\n")
    assert out.splitlines() == lines


def test_keys_and_headers(topic):
    topics("--create", "--topic", topic)
    properties = ["--property", "parse.key=true", "--property", "parse.headers=true"]
    produce(topic, ["h:1,g:2\tkey\tvalue"], *properties)
    parts = ["timestamp", "partition", "offset", "headers", "key"]
    shown = [word for part in parts for word in ("--property", f"print.{part}=true")]
    out = consume(topic, 1, "--from-beginning", *shown)[1]
    assert re.fullmatch(r"CreateTime:\d+\tPartition:0\tOffset:0\th:1,g:2\tkey\tvalue\n", out)


def test_a_line_without_its_key_ends_the_producer(topic):
    code, out, err = produce(topic, ["nokey"], "--property", "parse.key=true")
    assert (code, out) == (1, "")
    assert "org.apache.kafka.common.KafkaException: No key separator found on line number 1: 'nokey'" in err


def test_a_group_goes_on_where_it_was(topic):
    topics("--create", "--topic", topic)
    produce(topic, [str(number) for number in range(6)])
    group = ["--group", topic, "--from-beginning"]
    assert consume(topic, 3, *group)[1].split() == ["0", "1", "2"]
    assert consume(topic, 3, *group)[1].split() == ["3", "4", "5"]


def test_an_interrupt_commits_and_leaves(topic):
    topics("--create", "--topic", topic)
    produce(topic, ["first", "second"])
    command = [
        str(SCRIPTS / "kafka-console-consumer.sh"), *AT, "--topic", topic, "--group", topic, "--from-beginning",
    ]
    reading = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert [reading.stdout.readline() for _ in range(2)] == [b"first\n", b"second\n"]
    reading.send_signal(signal.SIGINT)
    _, err = reading.communicate(timeout=30)
    assert err == b"Processed a total of 2 messages\n"
    produce(topic, ["third"])
    started = time.monotonic()
    assert consume(topic, 1, "--group", topic, "--from-beginning")[1] == "third\n"
    assert time.monotonic() - started < 20, "the first member must have left at once"


def test_one_partition_from_an_offset(topic):
    topics("--create", "--topic", topic)
    produce(topic, ["a", "b", "c"])
    assert consume(topic, 2, "--partition", "0", "--offset", "1")[1].split() == ["b", "c"]


def test_a_timeout_ends_the_consumer(topic):
    topics("--create", "--topic", topic)
    arguments = [*AT, "--topic", topic, "--from-beginning", "--timeout-ms", "1000"]
    code, out, err = script("kafka-console-consumer.sh", *arguments)
    assert (code, out) == (0, "")
    assert "org.apache.kafka.common.errors.TimeoutException\nProcessed a total of 0 messages\n" in err


def test_topics_are_included_by_pattern(topic):
    topics("--create", "--topic", topic)
    produce(topic, ["found"])
    arguments = [*AT, "--include", f"{topic}.*", "--from-beginning", "--max-messages", "1"]
    assert script("kafka-console-consumer.sh", *arguments)[1] == "found\n"


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "Exactly one of --include/--topic is required. "),
        (["--topic", "x", "--offset", "3"], "The partition is required when offset is specified."),
        (["--topic", "x", "--partition", "0", "--group", "g"], "Options group and partition cannot be specified"),
    ],
)
def test_bad_consumer_lines(arguments, text):
    code, out, err = script("kafka-console-consumer.sh", *AT, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith(text)


# ---- looking at things ------------------------------------------------------


def test_offsets(topic):
    topics("--create", "--topic", topic, "--partitions", "1")
    produce(topic, ["a", "b", "c"])
    offsets = lambda *words: script("kafka-get-offsets.sh", *AT, *words)
    assert offsets("--topic", topic) == (0, f"{topic}:0:3\n", "")
    assert offsets("--topic-partitions", f"{topic}:0-1", "--time", "earliest") == (0, f"{topic}:0:0\n", "")
    code, _, err = offsets("--topic", f"{topic}-none")
    assert (code, err) == (
        1, "Error occurred: Could not match any topic-partitions with the specified filters\n"
    )


def test_api_versions():
    code, out, _ = script("kafka-broker-api-versions.sh", *AT)
    assert code == 0
    assert re.match(r"\S+:\d+ \(id: \d+ rack: \S+\) -> \(\n\tProduce\(0\): \d+ to \d+ \[usable: \d+\],\n", out)


def test_groups(topic):
    if not (supports("DescribeGroups") and supports("ListGroups")):
        pytest.skip("this broker cannot describe groups yet")
    topics("--create", "--topic", topic)
    produce(topic, ["a", "b", "c"])
    consume(topic, 2, "--group", topic, "--from-beginning")
    assert topic in groups("--list")[1].splitlines()
    code, out, err = groups("--describe", "--group", topic)
    assert (code, err) == (0, f"\nConsumer group '{topic}' has no active members.\n")
    row = out.splitlines()[2].split()
    assert row == [topic, topic, "0", "2", "3", "1", "-", "-", "-"]


def groups(*words):
    return script("kafka-consumer-groups.sh", *AT, *words)


def test_what_a_group_committed_is_moved_and_deleted(topic, tmp_path):
    produce(topic, ["a", "b", "c"])
    consume(topic, 3, "--from-beginning", "--group", topic)
    head = f"{'GROUP':30} {'TOPIC':30} {'PARTITION':10} {'NEW-OFFSET':15}"

    def reset(*words):
        code, out, err = groups("--reset-offsets", "--group", topic, *words)
        assert code == 0, err
        return out

    row = lambda offset: f"\n{head}\n{topic:30} {topic:30} {'0':10} {offset!s:15}\n"
    assert reset("--topic", topic, "--to-earliest", "--dry-run") == row(0)
    assert reset("--topic", f"{topic}:0", "--shift-by", "-1", "--execute") == row(2)
    assert reset("--all-topics", "--to-current", "--dry-run") == row(2)
    assert reset("--all-topics", "--by-duration", "PT1H", "--dry-run") == row(0)
    assert reset("--all-topics", "--to-datetime", "2000-01-01T00:00:00.000", "--dry-run") == row(0)
    assert reset("--all-topics", "--to-offset", "99", "--dry-run") == row(3)
    exported = reset("--all-topics", "--to-latest", "--export", "--dry-run")
    plan = tmp_path / "plan.csv"
    plan.write_text(exported)
    assert reset("--from-file", str(plan), "--execute") == row(3)

    code, out, _ = groups("--delete-offsets", "--group", topic, "--topic", topic)
    assert (code, out.splitlines()[0]) == (
        0, f"Request succeed for deleting offsets with topic {topic} group {topic}",
    )
    assert out.splitlines()[-1].split() == [topic, "0", "Successful"]


def test_groups_are_deleted(topic):
    produce(topic, ["a"])
    consume(topic, 1, "--from-beginning", "--group", topic)
    assert groups("--delete", "--group", topic)[:2] == (
        0, f"Deletion of requested consumer groups ('{topic}') was successful.\n",
    )
    assert topic not in groups("--list")[1].splitlines()
    code, out, _ = groups("--delete", "--group", topic)
    assert (code, "GroupIdNotFoundException" in out) == (0, True)


def test_settings_are_changed_and_shown(topic):
    if not supports("IncrementalAlterConfigs"):
        pytest.skip("the broker does not change settings")
    configs = lambda *words: script("kafka-configs.sh", *AT, *words)
    topics("--create", "--topic", topic)
    changed = (0, f"Completed updating config for topic {topic}.\n", "")
    assert configs("--alter", "--topic", topic, "--add-config", "cleanup.policy=[compact,delete]") == changed
    code, out, _ = configs("--describe", "--entity-type", "topics", "--entity-name", topic)
    first, setting = out.splitlines()
    assert (code, first) == (0, f"Dynamic configs for topic {topic} are:")
    assert setting == (
        "  cleanup.policy=compact,delete sensitive=false synonyms={"
        "DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}"
    )
    assert configs("--alter", "--topic", topic, "--delete-config", "cleanup.policy") == changed
    again = configs("--alter", "--topic", topic, "--delete-config", "cleanup.policy")
    assert again == (1, "", "Invalid config(s): cleanup.policy\n")
    code, _, err = configs("--alter", "--topic", topic, "--add-config", "nosuch=1")
    assert (code, "InvalidConfigurationException: Unknown topic config name: nosuch" in err) == (1, True)


def test_records_are_deleted_and_directories_shown(topic, tmp_path):
    if not (supports("DeleteRecords") and supports("DescribeLogDirs")):
        pytest.skip("the broker does not offer it")
    produce(topic, ["a", "b", "c"])
    file = tmp_path / "offsets.json"
    file.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": 2}], "version": 1}))
    code, out, err = script("kafka-delete-records.sh", *AT, "--offset-json-file", str(file))
    assert (code, out, err) == (
        0,
        "Executing records delete operation\nRecords delete operation completed:\n"
        f"partition: {topic}-0\tlow_watermark: 2\n",
        "",
    )
    code, out, _ = script("kafka-log-dirs.sh", *AT, "--describe", "--topic-list", topic)
    shown = json.loads(out.splitlines()[-1])
    partitions = [p for b in shown["brokers"] for d in b["logDirs"] for p in d["partitions"]]
    assert (code, {p["partition"] for p in partitions}) == (0, {f"{topic}-0"})
    assert all(p["size"] > 0 and not p["isFuture"] for p in partitions)


def test_leaders_that_are_preferred_need_no_election(topic):
    if not supports("ElectLeaders"):
        pytest.skip("the broker does not elect on demand")
    topics("--create", "--topic", topic)
    one = ["--topic", topic, "--partition", "0", "--election-type", "preferred"]
    done = script("kafka-leader-election.sh", *AT, *one)
    assert done == (0, f"Valid replica already elected for partitions {topic}-0\n", "")


def test_moves_are_proposed_and_verified(topic, tmp_path):
    if not supports("AlterPartitionReassignments"):
        pytest.skip("the broker does not move replicas")
    topics("--create", "--topic", topic)
    broker = topics("--describe", "--topic", topic)[1].splitlines()[1].split("Leader: ")[1].split()[0]
    move = lambda *words: script("kafka-reassign-partitions.sh", *AT, *words)
    file = tmp_path / "topics.json"
    file.write_text(json.dumps({"topics": [{"topic": topic}], "version": 1}))
    code, out, _ = move("--generate", "--topics-to-move-json-file", str(file), "--broker-list", broker)
    proposed = out.splitlines()[-1]
    assert (code, json.loads(proposed)["partitions"][0]["replicas"]) == (0, [int(broker)])
    file.write_text(proposed)
    code, out, _ = move("--execute", "--reassignment-json-file", str(file))
    assert (code, out.splitlines()[-1]) == (0, f"Successfully started partition reassignment for {topic}-0")
    done = f"Reassignment of partition {topic}-0 is completed."
    verify = lambda: move("--verify", "--preserve-throttles", "--reassignment-json-file", str(file))[1]
    assert eventually(lambda: done in verify())


def test_speed_is_measured(topic):
    topics("--create", "--topic", topic)
    code, out, err = script(
        "kafka-producer-perf-test.sh", "--topic", topic, "--num-records", "200", "--record-size", "100",
        "--throughput", "-1", "--producer-props", f"bootstrap.servers={AT[1]}", "acks=all",
    )
    assert (code, err) == (0, "")
    assert re.fullmatch(
        r"200 records sent, [\d.]+ records/sec \([\d.]+ MB/sec\), [\d.]+ ms avg latency, [\d.]+ ms max latency, "
        r"\d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99.9th\.\n",
        out,
    )
    code, out, _ = script("kafka-consumer-perf-test.sh", *AT, "--topic", topic, "--messages", "200")
    head, figures = out.splitlines()
    assert (code, head.split(", ")[:2], figures.split(", ")[4]) == (0, ["start.time", "end.time"], "200")
    assert len(head.split(", ")) == len(figures.split(", "))


def test_starting_without_a_file_is_refused():
    for name, file in (("kafka-server-start.sh", "server.properties"), ("zookeeper-server-start.sh", "zookeeper.properties")):
        code, out, _ = script(name)
        assert code == 1
        assert out.startswith(f"USAGE: {SCRIPTS / name} [-daemon] {file}")


def test_a_consumer_that_meets_new_partitions_commits_before_it_joins_again(topic):
    """It joined again without a commit, and delivered everything twice."""
    topics("--create", "--topic", topic, "--partitions", "1")
    produce(topic, ["one", "two", "three"])
    settings = {"metadata.max.age.ms": 500, "auto.commit.interval.ms": 3_600_000, "group.id": topic}
    options = [word for pair in settings.items() for word in ("--consumer-property", "%s=%s" % pair)]
    command = [str(SCRIPTS / "kafka-console-consumer.sh"), *AT, "--topic", topic, "--from-beginning"]
    read = []
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as consumer:
        for line in consumer.stdout:
            read.append(line.strip())
            if len(read) == 3:
                assert topics("--alter", "--topic", topic, "--partitions", "2") == (0, "", "")
                described = lambda: script(
                    "kafka-consumer-groups.sh", *AT, "--describe", "--group", topic
                )[1]
                # It is a member again, of both partitions.
                assert eventually(lambda: re.search(rf"{topic} +1 .*console-consumer", described()))
                code, _, err = produce(topic, ["four"])
                assert code == 0, err
            if line.strip() == "four":
                consumer.send_signal(signal.SIGINT)
    assert read == ["one", "two", "three", "four"]
