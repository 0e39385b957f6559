"""`__consumer_offsets` goes from our broker to Kafka 3.9.1 and back, by election and
by a stop in good order: members stay members, nobody rebalances, and
Kafka's own tool describes the same groups on either side."""

import json
import threading

import harness
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from harness import java_tool, run, wait_until
from replicated import HEAL, History

OURS, KAFKA = 0, 1
OFFSETS, OFFSETS_PARTITIONS = "__consumer_offsets", 5
GROUPS_TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
MEMBERS = 3
# Of --state: group, then the coordinator's address and id, then what is of the group.
COORDINATOR_COLUMNS = 2


class Member(threading.Thread):
    """A consumer that commits what it has read, and counts its assignments."""

    def __init__(self, trio, number):
        super().__init__(daemon=True)
        self.consumer = Consumer(
            {
                "bootstrap.servers": trio.bootstrap,
                "group.id": "live",
                "client.id": f"member-{number}",
                "group.instance.id": f"instance-{number}" if number == 0 else "",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 45_000,
                "log_level": 0,
            }
        )
        self.assignments, self.read, self.committed = [], [], {}
        self.backwards = []
        self.ending = threading.Event()
        self.consumer.subscribe(["t"], on_assign=self.on_assign)

    def on_assign(self, _, partitions):
        self.assignments.append(sorted(each.partition for each in partitions))

    def run(self):
        while not self.ending.is_set():
            message = self.consumer.poll(0.2)
            if message is None or message.error():
                continue
            self.read.append((message.partition(), message.offset()))
            try:
                self.consumer.commit(message, asynchronous=False)
            except KafkaException:
                # The coordinator is on its way; the next commit covers this one.
                continue
            self.committed[message.partition()] = message.offset() + 1

    def end(self):
        self.ending.set()
        self.join(60)
        self.consumer.close()


def columns(text):
    return sorted(line.split() for line in text.splitlines() if line.strip())


class Observer:
    """What Kafka's own tool says of the groups."""

    def __init__(self, trio):
        self.trio = trio

    def tool(self, *arguments):
        # It gives up after 5 s otherwise, and ends well all the same.
        common = ("--bootstrap-server", self.trio.bootstrap, "--timeout", "60000")
        told = java_tool(GROUPS_TOOL, *common, *arguments, timeout=120)
        assert "Error:" not in told, told
        return told

    def describe(self, *what):
        return columns(self.tool("--describe", "--all-groups", *what))

    def offsets(self):
        """Without the end of the log, which moves, the lag, and what is live."""
        return [row[:4] for row in self.describe() if row[0] != "live"]

    def states(self):
        """Without the coordinator, which is what moves."""
        kept = lambda row: [row[0], *row[1 + COORDINATOR_COLUMNS :]]  # noqa: E731
        return [kept(row) for row in self.describe("--state") if row[0] != "GROUP"]

    def picture(self):
        """All that may not change while the coordinator does."""
        members = self.describe("--members", "--verbose")
        return {"members": members, "states": self.states(), "offsets": self.offsets()}

    def groups(self):
        return sorted(row[0] for row in self.states())


def move_coordinators(trio, to, tmp_path):
    """Makes `to` the leader of every partition of the offsets, as an operator does."""
    replicas = [to, *(number for number in trio.ids if number != to)]
    plan = [
        {"topic": OFFSETS, "partition": partition, "replicas": replicas}
        for partition in range(OFFSETS_PARTITIONS)
    ]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"version": 1, "partitions": plan}))
    server = ("--bootstrap-server", trio.bootstrap)
    tool = harness.TARGET / "kafka"
    plan = ("--reassignment-json-file", file)
    run([tool, "reassign-partitions", *server, *plan, "--execute"])
    wait_until(lambda: preferred(trio) == {to}, HEAL, "the new order of replicas", 0.2)
    trio.wait_in_sync(OFFSETS)
    election = ("--election-type", "preferred", "--all-topic-partitions")
    run([tool, "leader-election", *server, *election])
    wait_until(lambda: leaders(trio) == {to}, HEAL, f"{to} coordinates", 0.2)


def preferred(trio):
    return {each.replicas[0] for each in trio.partitions(OFFSETS).values()}


def leaders(trio):
    return {each.leader for each in trio.partitions(OFFSETS).values()}


def make_quiet_groups(trio):
    """A group that its members have left, and one of a simple consumer."""
    consumer = Consumer(
        {
            "bootstrap.servers": trio.bootstrap,
            "group.id": "empty",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["t"])
    message = wait_until(lambda: consumer.poll(1), HEAL, "a record for the empty group", 0)
    consumer.commit(message, asynchronous=False)
    consumer.close()
    commit_simple(trio, 7)


def commit_simple(trio, offset):
    partition = TopicPartition("t", 1, offset, metadata="by hand")
    wanted = ConsumerGroupTopicPartitions("simple", [partition])
    admin = AdminClient({"bootstrap.servers": trio.bootstrap})
    admin.alter_consumer_group_offsets([wanted])["simple"].result(30)


@pytest.fixture
def both(new_trio):
    """One of ours and one of Apache's."""
    keys = {"inter.broker.protocol.version": "3.9"}
    return new_trio(brokers=("odradek", "apache"), keys=keys)


def commits_go_on(members):
    """Returns once every member that has a partition committed something new."""
    before = [dict(member.committed) for member in members]

    def moved():
        return all(
            any(member.committed.get(p, 0) > was.get(p, 0) for p in member.assignments[-1])
            for member, was in zip(members, before, strict=True)
            if member.assignments[-1]
        )

    wait_until(moved, 2 * HEAL, "every member commits again", 0.2)


@pytest.mark.long
def test_the_coordinator_moves_between_ours_and_kafka(both, tmp_path):
    trio, observer = both, Observer(both)
    trio.create("t", partitions=MEMBERS)
    history = History(trio, "t", rate=50)
    history.start()
    history.wait_for_more()
    make_quiet_groups(trio)
    move_coordinators(trio, OURS, tmp_path)
    members = [Member(trio, number) for number in range(MEMBERS)]
    for member in members:
        member.start()
    shared = lambda: sorted(sum((m.assignments[-1] for m in members if m.assignments), []))  # noqa: E731
    settled = lambda: shared() == [0, 1, 2] and all(m.assignments for m in members)  # noqa: E731
    wait_until(settled, HEAL, "the members share the topic", 0.2)
    commits_go_on(members)
    before = observer.picture()
    assert ["live", "range", "Stable", str(MEMBERS)] in before["states"]
    assert ["empty", "t", "1"] in [[row[0], row[1], row[3]] for row in before["offsets"]]
    assert ["simple", "t", "1", "7"] in before["offsets"]
    counts = [len(member.assignments) for member in members]

    def same():
        commits_go_on(members)
        assert observer.picture() == before
        assert [len(member.assignments) for member in members] == counts, "a rebalance"

    for to in (KAFKA, OURS):
        move_coordinators(trio, to, tmp_path)
        same()
    # By a stop in good order: whoever is left has all groups.
    for number in (OURS, KAFKA):
        trio.brokers[number].stop()
        commits_go_on(members)
        trio.brokers[number].start()
        trio.wait_in_sync(OFFSETS)
        trio.wait_in_sync("t")
        same()
    # What is deleted on one side is not there on the other.
    observer.tool("--delete", "--group", "simple")
    move_coordinators(trio, KAFKA, tmp_path)
    assert observer.groups() == ["empty", "live"]
    observer.tool("--delete", "--group", "empty")
    commit_simple(trio, 9)
    move_coordinators(trio, OURS, tmp_path)
    assert observer.groups() == ["live", "simple"]
    assert ["simple", "t", "1", "9"] in observer.offsets()
    history.end()
    for member in members:
        member.end()
    check_committed(trio, members)


def check_committed(trio, members):
    """Nothing acknowledged is gone, and nothing was read twice without need."""
    admin = AdminClient({"bootstrap.servers": trio.bootstrap})
    asked = ConsumerGroupTopicPartitions("live")
    found = admin.list_consumer_group_offsets([asked])["live"].result(30).topic_partitions
    offsets = {each.partition: each.offset for each in found}
    for member in members:
        for partition, offset in member.committed.items():
            assert offsets[partition] >= offset, f"{partition}: {offsets} < {offset}"
        assert len(set(member.read)) == len(member.read), "something was read twice"
