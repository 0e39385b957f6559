"""kafka-streams-application-reset beside Kafka 3.9.1's own: each takes an application
of its own back, from the same state, and both say and leave the same."""

import re
import subprocess
import time

import harness
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until

MAIN = "org.apache.kafka.tools.StreamsResetter"
INTERNAL = [
    "store-changelog",
    "by-word-repartition",
    "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000005-topic",
]
OWN = ["output", "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE--topic"]


def run(whose, *words):
    """(exit code, standard output, standard error)."""
    if whose == "ours":
        command = [harness.TARGET / "kafka", "streams-application-reset", *words]
    else:
        command = [harness.PEERS / "kafka39/run", MAIN, *words]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=180,
        env={"HEAP": "128m", "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stdout, done.stderr


def shown(text, application):
    """Without the application's name and stacks; lists and lines that come out of hash
    tables of Java are sorted."""
    stack = re.compile(r"^(\tat |Caused by|\t\.\.\. )")
    text = text.replace(application, "APP")
    lines = [line for line in text.splitlines() if line.strip() and not stack.match(line)]
    in_lists = [re.sub(r"\[(.*)\]", lambda found: str(sorted(found[1].split(", "))), line) for line in lines]
    return sorted(in_lists)


class State:
    """Two inputs, one in between, and an application for each of the two tools."""

    def __init__(self, bootstrap, name):
        self.bootstrap, self.name = bootstrap, name
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.topics = {"in": f"{name}-in", "also": f"{name}-also", "mid": f"{name}-mid"}
        self.applications = {whose: f"{name}-{whose}" for whose in ("ours", "kafkas")}
        self.create([(topic, 2) for topic in self.topics.values()])
        producer = Producer({"bootstrap.servers": bootstrap})
        for topic, count in (("in", 10), ("also", 4), ("mid", 6)):
            for number in range(count):
                for partition in (0, 1):
                    # One partition of the second stays empty.
                    if (topic, partition) != ("also", 1):
                        time_ms = 1_000_000 + 1000 * number
                        producer.produce(self.topics[topic], b"x", partition=partition, timestamp=time_ms)
        assert producer.flush(30) == 0
        for application in self.applications.values():
            self.create([(f"{application}-{name}", 1) for name in INTERNAL + OWN])
            with_offsets = [TopicPartition(self.topics["in"], 0, 5), TopicPartition(self.topics["mid"], 1, 2)]
            consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": application})
            consumer.commit(offsets=with_offsets, asynchronous=False)
            consumer.close()

    def create(self, topics):
        made = self.admin.create_topics([NewTopic(name, count, 1) for name, count in topics])
        for future in made.values():
            future.result(30)

    def words(self, line):
        for key, topic in self.topics.items():
            line = line.replace(f"<{key}>", topic)
        return line.split()

    def left(self, whose):
        """Committed offsets and topics of one application."""
        application = self.applications[whose]
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": application})
        wanted = [TopicPartition(topic, partition) for topic in self.topics.values() for partition in (0, 1)]
        found = consumer.committed(wanted, timeout=30)
        consumer.close()
        topics = self.admin.list_topics(timeout=30).topics
        own = sorted(topic.replace(application, "APP") for topic in topics if topic.startswith(application))
        return [(one.topic, one.partition, one.offset) for one in found], own

    def same(self, line, code=0):
        """Runs both tools; what they say and leave, which is the same."""
        said, left = {}, {}
        for whose, application in self.applications.items():
            words = self.words(line.replace("<app>", application))
            done, out, err = run(
                whose, "--bootstrap-server", self.bootstrap, "--application-id", application, *words
            )
            said[whose] = done, shown(out, application), shown(err, application)
            left[whose] = self.left(whose)
        assert said["ours"] == said["kafkas"], line
        assert left["ours"] == left["kafkas"], line
        assert said["ours"][0] == code, said
        return said["ours"][1], left["ours"]


@pytest.fixture
def state(cluster, unique):
    return State(cluster.bootstrap, unique("reset"))


def test_offsets_go_where_kafkas_tool_takes_them(state, tmp_path):
    plan = tmp_path / "plan.csv"
    inputs = state.topics["in"], state.topics["also"]
    plan.write_text("".join(f"{topic},{partition},{partition + 1}\n" for topic in inputs for partition in (0, 1)))
    (tmp_path / "short.csv").write_text(f"{inputs[0]},0,1\n")
    (tmp_path / "empty.csv").write_text("")
    both = "--input-topics <in>,<also>"
    before = state.same(f"{both} --intermediate-topics <mid> --dry-run")[1]
    assert before[0][0][2] == 5, "a dry run changes nothing"
    assert len(before[1]) == len(INTERNAL + OWN)
    for line, code in (
        ("--dry-run --input-topics missing,<in> --intermediate-topics gone", 1),
        ("--dry-run --internal-topics <app>-output", 1),
        ("--dry-run --internal-topics <app>-store-changelog", 0),
        ("--dry-run --input-topics <in>,<app>-store-changelog", 0),
        (f"--dry-run {both} --to-datetime 1970-01-01", 1),
        (f"--dry-run {both} --by-duration x", 1),
        (f"--dry-run {both} --from-file {tmp_path}/none", 1),
        (f"--dry-run {both} --from-file {tmp_path}/short.csv", 1),
        (f"--dry-run {both} --from-file {tmp_path}/empty.csv", 1),
        (f"{both} --to-datetime 1970-01-01T00:16:43.000Z --internal-topics <app>-store-changelog", 0),
        (f"{both} --shift-by -2", 0),
        (f"{both} --by-duration PT1H", 0),
        (f"{both} --to-offset 3", 0),
        (f"--input-topics <in> --input-topics <also> --from-file {plan}", 0),
        ("--input-topics <in> --to-latest", 0),
        ("--intermediate-topics <mid>", 0),
        ("--input-topics <in> --to-earliest", 0),
    ):
        state.same(line, code)
    offsets, topics = state.same(f"{both} --to-offset 3")[1]
    assert [offset for _, _, offset in offsets] == [3, 3, 3, 0, 6, 6]
    # A topic that is named like one of its own, but by somebody else, stays.
    assert topics == sorted(f"APP-{name}" for name in OWN)


def test_what_does_not_go_together(cluster):
    for line in (
        "",
        "--application-id",
        "--input-topics a",
        "--application-id a --to-offset 1 --shift-by 2",
        "--application-id a --to-latest --from-file x",
        "--application-id a --nope",
    ):
        ours, kafkas = [run(whose, *line.split()) for whose in ("ours", "kafkas")]
        assert ours[0] == kafkas[0] == 1, line
        assert ours[2].splitlines()[0] == kafkas[2].splitlines()[0], line


def test_a_running_application_is_left_alone_or_removed_by_force(state):
    for whose, application in state.applications.items():
        keys = {"bootstrap.servers": state.bootstrap, "group.id": application}
        consumer = Consumer(keys | {"auto.offset.reset": "earliest", "client.id": "instance"})
        consumer.subscribe([state.topics["in"]])
        assert consumer.poll(30) is not None
        words = ["--bootstrap-server", state.bootstrap, "--application-id", application]
        code, out, err = run(whose, *words, "--input-topics", state.topics["in"])
        assert (code, out) == (1, "")
        member = r"\(memberId=instance-[-\w]+, groupInstanceId=null, clientId=instance, host=/127.0.0.1, "
        assigned = r"assignment=\(topicPartitions={0}-[01],{0}-[01]\), targetAssignment=Optional.empty\)"
        told = (
            r"ERROR: java.lang.IllegalStateException: Consumer group '{}' is still active and has "
            r"following members: \[{}\]. Make sure to stop all running application instances before "
            r"running the reset tool. You can use option '--force' to remove active members from the group."
        ).format(application, member + assigned.format(state.topics["in"]))
        assert re.fullmatch(told, err.splitlines()[0]), (whose, err)
        code, out, err = run(whose, *words, "--input-topics", state.topics["in"], "--force")
        assert code == 0, err
        assert out.splitlines()[0] == f"Force deleting all active members in the group: {application}"
        consumer.close()
    assert state.left("ours")[1] == state.left("kafkas")[1]


# ---- an application of Kafka Streams ----------------------------------------


class Application:
    """The word count of the clients' suite; one instance at a time."""

    def __init__(self, cluster, directory, name):
        self.cluster, self.directory = cluster, directory
        self.input, self.output = f"{name}-lines", f"{name}-counts"
        self.id = f"word-count-{self.input}"
        home = harness.PEERS / "streams"
        if not (home / "run").exists():
            harness.run([harness.TOP / "scripts/peers/install.sh", "streams"], timeout=600)
        source = harness.TOP / "scripts/clients/jvm/WordCount.java"
        harness.run(["javac", "-nowarn", "-d", directory, "-cp", f"{home}/libs/*", source], timeout=120)
        log = f"-Dlog4j.configuration=file:{home}/log4j.properties"
        self.java = ["java", "-Xmx160m", log, "-cp", f"{directory}:{home}/libs/*", "WordCount"]
        self.process = None

    def start(self, state):
        words = [self.cluster.bootstrap, self.input, self.output, self.directory / state, "at_least_once"]
        log = open(self.directory / f"{state}.log", "wb")
        command = ["setpriv", "--pdeathsig", "KILL", "--", *self.java, *map(str, words)]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def counts(self, wanted, timeout=120):
        """Every count of `word` that was written, in order, until the last is `wanted`."""
        keys = {"bootstrap.servers": self.cluster.bootstrap, "group.id": f"reader-{time.time()}"}
        consumer = Consumer(keys | {"auto.offset.reset": "earliest"})
        consumer.subscribe([self.output])
        found = []

        def all_there():
            message = consumer.poll(0.2)
            if message is not None and not message.error() and message.key() == b"word":
                found.append(int.from_bytes(message.value(), "big"))
            return found == wanted

        wait_until(all_there, timeout, f"the counts {wanted}; {found}")
        consumer.close()


@pytest.mark.long
def test_a_word_count_counts_again(cluster, unique, tmp_path):
    application = Application(cluster, tmp_path, unique("again"))
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    topics = [NewTopic(application.input, 2, 1), NewTopic(application.output, 1, 1)]
    for future in admin.create_topics(topics).values():
        future.result(30)
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for _ in range(5):
        producer.produce(application.input, "word")
    assert producer.flush(30) == 0

    def internal():
        found = admin.list_topics(timeout=30).topics
        return sorted(topic.replace(application.id, "APP") for topic in found if topic.startswith(application.id))

    once = list(range(1, 6))
    application.start("first")
    application.counts(once)
    words = ["--bootstrap-server", cluster.bootstrap, "--application-id", application.id]
    words += ["--input-topics", application.input]
    assert run("ours", *words)[0] == 1, "it runs"
    application.stop()
    made = internal()
    assert len(made) == 2
    # Instances do not leave their group: they may come back soon.
    dry = [run(whose, *words, "--dry-run", "--force") for whose in ("ours", "kafkas")]
    assert dry[0][0] == dry[1][0] == 0
    assert set(shown(dry[1][1], application.id)) - set(shown(dry[0][1], application.id)) == set()
    assert internal() == made
    code, out, err = run("ours", *words)
    assert code == 0, err
    wait_until(lambda: internal() == [], 30, "the internal topics are deleted")
    # Nothing is known of what was counted: the same counts come again.
    application.start("second")
    application.counts(once + once)
    application.stop()
    code, _, err = run("kafkas", *words, "--force")
    assert code == 0, err
    wait_until(lambda: internal() == [], 30, "the internal topics are deleted")
    application.start("third")
    application.counts(once + once + once)
    application.stop()
