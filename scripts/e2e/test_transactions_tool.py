"""kafka-transactions beside Kafka 3.9.1's own, on the same broker and the same
transactions: the same lines, the same exit code. Kafka takes rows out of hash
tables, so lines are compared sorted; a duration grows while it is asked for.
"""

import re
import subprocess

import harness
import pytest
from confluent_kafka import Producer
from harness import PEERS
from transactions import create, producer, send

KAFKAS = "org.apache.kafka.tools.TransactionsCommand"
# One word each, so that a command is split at spaces.
COMMANDS = [
    "list",
    "list --duration-filter -1",
    "list --duration-filter 0",
    "list --duration-filter 3600000",
    "describe --transactional-id open",
    "describe --transactional-id committed",
    "describe --transactional-id fresh",
    "describe --transactional-id nobody",
    "describe-producers --topic t --partition 0",
    "describe-producers --topic t --partition 1",
    "describe-producers --topic t --partition 0 --broker-id 0",
    "find-hanging --topic t",
    "find-hanging --topic t --partition 0",
    "find-hanging --broker-id 0",
    "find-hanging --topic t --max-transaction-timeout 0",
    "find-hanging",
    "find-hanging --partition 0",
    "find-hanging --broker-id 0 --partition 0",
    "abort --topic t --partition 0",
    "abort --topic t --partition 0 --start-offset 12345",
    "abort --topic t --partition 0 --producer-id 5",
    "abort --topic t --partition 0 --producer-id 5 --producer-epoch 0",
]


@pytest.fixture(scope="module")
def cluster(servers, tmp_path_factory):
    """With transactions in several states; the open one goes on."""
    made = harness.Cluster(tmp_path_factory.mktemp("tool"), servers).start()
    create(made.bootstrap, "t", partitions=2)
    plain = Producer({"bootstrap.servers": made.bootstrap, "enable.idempotence": True})
    send(plain, "t", [1, 2], 1)
    committed = producer(made.bootstrap, "committed")
    committed.begin_transaction()
    send(committed, "t", [3, 4])
    committed.commit_transaction(60)
    fresh = producer(made.bootstrap, "fresh")
    opened = producer(made.bootstrap, "open", {"transaction.timeout.ms": 600_000})
    opened.begin_transaction()
    send(opened, "t", [5])
    yield made
    del fresh, opened
    made.close()


def both(cluster, command):
    """(exit code, standard output, standard error) of our tool and of Kafka's."""
    words = ["--bootstrap-server", cluster.bootstrap, *command.split()]
    ours = [harness.TARGET / "kafka", "transactions", *words]
    kafkas = [PEERS / "kafka39" / "run", KAFKAS, *words]
    answers = []
    for each in (ours, kafkas):
        done = subprocess.run(
            [str(word) for word in each], capture_output=True, text=True, timeout=120
        )
        answers.append((done.returncode, comparable(done.stdout), comparable(done.stderr)))
    return answers


def comparable(text):
    # A duration, of a transaction in a state whose row has one.
    text = re.sub(r"(\d{13}\s+\t)\d+ *\t", r"\1DURATION\t", text)
    return sorted(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_is_said(cluster, command):
    ours, kafkas = both(cluster, command)
    assert ours == kafkas


def test_a_transaction_is_aborted_where_it_begins(cluster):
    create(cluster.bootstrap, "hung")
    hanging = producer(cluster.bootstrap, "hanging")
    hanging.begin_transaction()
    send(hanging, "hung", [1])
    command = "describe-producers --topic hung --partition 0"
    ours, kafkas = both(cluster, command)
    assert ours == kafkas
    tool = [harness.TARGET / "kafka", "transactions", "--bootstrap-server", cluster.bootstrap]
    abort = ["abort", "--topic", "hung", "--partition", "0", "--start-offset", "0"]
    assert harness.run([*tool, *abort]) == ""
    (_, said, _), _ = both(cluster, command)
    assert sum(line.endswith("None") for line in said) == 1
