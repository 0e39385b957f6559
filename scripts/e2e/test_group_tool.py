"""kafka-consumer-groups beside Kafka 3.9.1's own, on the same broker and the same
groups: the same bytes, the same exit code. What Kafka takes out of a hash table has
no order of its own; such output is compared line by line, sorted."""

import os
import re
import subprocess

import harness
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from harness import PEERS, run, wait_until

KAFKAS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
# group, topic: one word each, so that a command is split at spaces.
COMMANDS = [
    "--list",
    "--list --state",
    "--list --state Stable",
    "--list --state stable,empty",
    "--list --type",
    "--list --type classic",
    "--list --state --type",
    "--list --state nonsense",
    "--list --type nonsense",
    "--describe --group live",
    "--describe --group live --offsets",
    "--describe --group live --offsets --verbose",
    "--describe --group live --members",
    "--describe --group live --members --verbose",
    "--describe --group live --state",
    "--describe --group live --state --verbose",
    "--describe --group empty",
    "--describe --group empty --members",
    "--describe --group empty --members --verbose",
    "--describe --group empty --state",
    "--describe --group simple",
    "--describe --group simple --members",
    "--describe --group simple --state",
    "--describe --group none",
    "--describe --group none --members",
    "--describe --group none --state",
    "--describe --all-groups",
    "--describe --all-groups --members --verbose",
    "--describe --all-groups --state",
    "--describe --group empty --group simple",
    "--describe",
    "--describe --group live --members --offsets",
    "--reset-offsets --group empty --topic t --to-earliest",
    "--reset-offsets --group empty --topic t --to-earliest --dry-run",
    "--reset-offsets --group empty --topic t:0 --to-latest --dry-run",
    "--reset-offsets --group empty --topic t:0,1 --to-offset 1 --dry-run",
    "--reset-offsets --group empty --topic t --to-offset 99 --dry-run",
    "--reset-offsets --group empty --all-topics --shift-by -1 --dry-run",
    "--reset-offsets --group empty --all-topics --to-current --dry-run --export",
    "--reset-offsets --group empty --all-topics --to-datetime 2000-01-01T00:00:00.000 --dry-run",
    "--reset-offsets --group empty --all-topics --by-duration PT1H --dry-run",
    "--reset-offsets --group empty --topic nothing --to-earliest --dry-run",
    "--reset-offsets --group new --topic t --to-earliest --dry-run",
    "--reset-offsets --group live --topic t --to-earliest --dry-run",
    "--reset-offsets --group live --topic t --to-earliest --execute",
    "--reset-offsets --group empty --group simple --all-topics --to-earliest --dry-run",
    "--reset-offsets --all-groups --all-topics --to-earliest --dry-run",
    "--reset-offsets --group empty --topic t",
    "--reset-offsets --group empty --to-earliest --dry-run",
    "--reset-offsets --topic t --to-earliest --dry-run",
    "--delete --group live",
    "--delete --group none",
    "--delete --group live --group none",
    "--delete",
    "--delete-offsets --group live --topic t",
    "--delete-offsets --group empty --topic nothing",
    "--delete-offsets --group none --topic t",
    "--delete-offsets --group empty",
    "--list --delete",
    "",
]
# Each is run by either tool on a group of its own, which is alike.
CHANGES = [
    "--reset-offsets --group {} --topic t --to-earliest --execute",
    "--reset-offsets --group {} --topic t:0 --to-offset 1 --execute",
    "--delete-offsets --group {} --topic t",
    "--delete-offsets --group {} --topic t:1",
    "--delete --group {}",
    "--delete --group {} --group none",
]
TOPICS = {"t": 2, "u": 1}


class Groups:
    """Groups in every state, and both tools."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        for topic, partitions in TOPICS.items():
            tool = [harness.TARGET / "kafka", "topics", "--bootstrap-server", cluster.bootstrap]
            run([*tool, "--create", "--topic", topic, "--partitions", partitions])
            for partition in range(partitions):
                write = ["kcat", "-b", cluster.bootstrap, "-P", "-t", topic, "-p", partition]
                run(write, stdin="one\ntwo\nthree\n")
        self.commit("simple", [TopicPartition("t", 1, 2)])
        self.read("empty")
        self.members = [self.member("a", "instance-a"), self.member("b", "instance-b")]
        wait_until(self.settled, 60, "two members", 0.2)

    def commit(self, group, offsets):
        wanted = ConsumerGroupTopicPartitions(group, offsets)
        self.admin.alter_consumer_group_offsets([wanted])[group].result(60)

    def consumer(self, group, **more):
        keys = {"bootstrap.servers": self.cluster.bootstrap, "group.id": group}
        keys |= {"auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0}
        return Consumer(keys | more)

    def read(self, group):
        consumer = self.consumer(group)
        consumer.subscribe(list(TOPICS))
        messages = wait_until(lambda: consumer.consume(9, timeout=10), 60, "records", 0)
        assert len(messages) == 9
        consumer.commit(asynchronous=False)
        consumer.close()

    def member(self, client_id, instance_id):
        more = {"client.id": client_id, "group.instance.id": instance_id}
        # Nobody polls while the tools run, and a machine that stands still ends no session.
        more |= {"max.poll.interval.ms": 3_600_000, "session.timeout.ms": 1_800_000}
        member = self.consumer("live", **more)
        member.subscribe(list(TOPICS))
        return member

    def settled(self):
        for member in self.members:
            member.poll(0.2)
        shares = [member.assignment() for member in self.members]
        return all(shares) and sum(map(len, shares)) == sum(TOPICS.values())

    def close(self):
        for member in self.members:
            member.close()

    def both(self, ours, kafkas):
        # Kafka's gives up after 5 s otherwise, in which it may not even have started.
        at = ["--bootstrap-server", self.cluster.bootstrap, "--timeout", "60000"]
        environment = os.environ | {"HEAP": "64m"}
        tools = [([harness.TARGET / "kafka", "consumer-groups"], ours), ([PEERS / "kafka39/run", KAFKAS], kafkas)]
        started = [
            subprocess.Popen(
                [*map(str, tool), *at, *command.split()],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for tool, command in tools
        ]
        return [(*each.communicate(timeout=120), each.returncode) for each in started]


@pytest.fixture(scope="module")
def groups(servers, tmp_path_factory):
    if servers != "odradek":
        pytest.skip("compares the tools on our own broker")
    cluster = harness.Cluster(tmp_path_factory.mktemp("tool"), servers)
    cluster.start()
    made = Groups(cluster)
    yield made
    made.close()
    cluster.close()


def told(outcome, names=()):
    """Output, complaint and exit code in a form that does not depend on hash tables.

    Five things differ by intent. The table of options is in our words. Each table
    ends with a line's end, as in Kafka 4.1; that of 3.9.1 forgets it, and those of
    --reset-offsets and --delete-offsets have all rows in one line. What a JVM tells
    of its stack is not ours to tell, and it names the exception around the one that
    matters. Kafka ends its list of deleted groups in the middle of a pair of quotes.
    """
    out, complaint, code = outcome
    for name in names:
        out, complaint = out.replace(name, "a-group"), complaint.replace(name, "a-group")
    out = out.replace("java.util.concurrent.ExecutionException: ", "")
    out = out.replace("', '\n", "'\n")
    complaint = complaint.partition("\nOption  ")[0]
    java = ("\tat ", "\t...", "java.", "org.apache.kafka.", "Caused by: ")
    lines = [line for line in complaint.splitlines() if not line.startswith(java)]
    # The rest of a warning is a time and a class.
    lines = [re.sub(r"^\[.*?\] ", "", line) for line in lines]
    return sorted(words(out)), sorted(lines), code


def words(out):
    """Lines as words, with what belongs to one row in Kafka 3.9.1's only line apart."""
    for head in ("NEW-OFFSET", "STATUS"):
        before, found, rows = out.partition(head)
        if found:
            rows = re.sub(r"(it\.|exist\.|topic-partition\.)", r"\1 ", rows)
            return [*(before + head).split(), *rows.split()]
    return [" ".join(line.split()) for line in out.splitlines() if line.strip()]


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_is_told(groups, command):
    ours, kafkas = groups.both(command, command)
    assert told(ours) == told(kafkas)


@pytest.mark.long
@pytest.mark.parametrize("command", CHANGES)
def test_the_same_is_done(groups, command):
    for group in ("for-us", "for-it"):
        groups.commit(group, [TopicPartition(t, p, 3) for t in TOPICS for p in range(TOPICS[t])])
    ours, kafkas = groups.both(command.format("for-us"), command.format("for-it"))
    assert told(ours, ["for-us"]) == told(kafkas, ["for-it"])
    describe = "--describe --group {} --offsets"
    ours, kafkas = groups.both(describe.format("for-us"), describe.format("for-it"))
    assert told(ours, ["for-us"]) == told(kafkas, ["for-it"])
