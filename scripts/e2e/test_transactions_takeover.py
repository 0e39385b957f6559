"""`__transaction_state` goes from our broker to Kafka 3.9.1 and back: each reads
what the other has written, ends what the other has begun, and Kafka's own tools
read our files.
"""

import pytest

from harness import java_tool, wait_until
from transactions import coordinator, create, numbers, producer, send
from transactions import read_text as read

DUMP_LOG = "kafka.tools.DumpLogSegments"
STATE = "__transaction_state"


@pytest.fixture
def alone(new_trio):
    """One broker, whose directory the other kind may get."""
    keys = {
        "transaction.state.log.num.partitions": 2,
        # Kafka waits for its old session otherwise.
        "zookeeper.session.timeout.ms": 6000,
    }
    return new_trio(brokers=("odradek",), keys=keys)


def become(trio, kind):
    """The broker stops, and one of the other kind takes its directory."""
    trio.brokers[0].stop()
    trio.kinds[0] = kind
    trio.brokers[0] = trio.broker(0, kind)
    trio.brokers[0].start(120)
    serves = lambda: trio.leaders_in_sync(0, "t")  # noqa: E731
    wait_until(serves, 60, "the broker serves", 0.2)


def test_a_directory_changes_hands_while_transactions_are_open(alone):
    create(alone.bootstrap, "t")
    made = producer(alone.bootstrap, "id")
    expected = []
    for round, kind in enumerate(["apache", "odradek", "apache", "odradek"]):
        made.begin_transaction()
        values = range(round * 10, round * 10 + 10)
        send(made, "t", values)
        become(alone, kind)
        send(made, "t", [round * 10 + 1000])
        if round < 2:
            made.commit_transaction(60)
            expected += [*numbers(values), str(round * 10 + 1000)]
        else:
            made.abort_transaction(60)
        assert read(alone.bootstrap, "t") == expected


def test_kafkas_tool_reads_our_records(alone):
    create(alone.bootstrap, "t", partitions=2)
    made = producer(alone.bootstrap, "id")
    made.begin_transaction()
    send(made, "t", [1], 0)
    send(made, "t", [2], 1)
    made.commit_transaction(60)
    described = lambda: "CompleteCommit" in transactions(alone, "list")  # noqa: E731
    wait_until(described, 60, "the transaction is complete", 1)
    folder = alone.directory_of(0) / "broker"
    dumped = ""
    for partition in range(2):
        log = folder / f"{STATE}-{partition}" / "00000000000000000000.log"
        dumped += java_tool(DUMP_LOG, "--files", log, "--transaction-log-decoder")
    lines = [line.split("payload: ")[1] for line in dumped.splitlines() if "payload: " in line]
    states = [part[6:] for line in lines for part in line.split(",") if part.startswith("state=")]
    assert states[0] == "Empty" and states[-2:] == ["PrepareCommit", "CompleteCommit"]
    assert set(states[1:-2]) == {"Ongoing"}
    assert "transaction_metadata::transactionalId=id" in dumped
    assert "t-0" in lines[-2] and "t-1" in lines[-2]
    assert all("txnTimeoutMs=60000" in line for line in lines)


def transactions(trio, *arguments):
    command = "org.apache.kafka.tools.TransactionsCommand"
    return java_tool(command, "--bootstrap-server", trio.bootstrap, *arguments)


@pytest.mark.long
def test_a_cluster_of_both_kinds(new_trio):
    """Coordinators, leaders and members of groups are on brokers of either kind."""
    keys = {"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2}
    trio = new_trio(brokers=("odradek", "apache", "odradek"), keys=keys)
    trio.create("t", 3)
    expected = []
    for number in range(12):
        made = producer(trio.bootstrap, f"id-{number}")
        made.begin_transaction()
        for partition in range(3):
            send(made, "t", [number * 10 + partition], partition)
        if number % 3:
            made.commit_transaction(60)
            expected += numbers(range(number * 10, number * 10 + 3))
        else:
            made.abort_transaction(60)
    coordinators = {coordinator(trio, f"id-{number}") for number in range(12)}
    assert len(coordinators) > 1
    seen = read(trio.bootstrap, "t", partitions=(0, 1, 2))
    assert sorted(seen, key=int) == sorted(expected, key=int)
