"""A data directory goes from a real Kafka 3.9 to ours and back, whatever it holds."""

import json

import pytest
from harness import (
    Ports,
    apache_broker,
    java_tool,
    odradek_broker,
    odradek_coordinator,
    wait_until,
)
from table import EAGER_CLEANER, Table, create_table

DUMP_LOG = "kafka.tools.DumpLogSegments"
LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"


class Shared:
    """One coordinator and one data directory, and a broker of either kind on it."""

    def __init__(self, directory):
        zookeeper_port, self.port = Ports.take(), Ports.take()
        self.coordinator = odradek_coordinator(directory, zookeeper_port, Ports.take())
        overrides = EAGER_CLEANER | {"transaction.state.log.num.partitions": 1}
        self.ours = odradek_broker(directory, self.port, Ports.take(), zookeeper_port, overrides)
        self.kafka = apache_broker(directory, self.port, zookeeper_port, overrides, "256m")
        self.partition = directory / "broker" / "table-0"
        self.checkpoint = directory / "broker" / "cleaner-offset-checkpoint"
        self.bootstrap = f"127.0.0.1:{self.port}"

    def cleaned_to(self):
        if not self.checkpoint.exists():
            return 0
        lines = self.checkpoint.read_text().splitlines()
        return max([int(line.split()[2]) for line in lines if line.startswith("table 0 ")], default=0)

    def wait_cleaned(self, beyond):
        wait_until(lambda: self.cleaned_to() > beyond, 60, f"the log is cleaned beyond {beyond}")

    def close(self):
        for daemon in (self.ours, self.kafka, self.coordinator):
            daemon.kill()
        assert not self.ours.panics()


@pytest.fixture
def shared(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("brings both brokers itself")
    made = Shared(tmp_path)
    made.coordinator.start()
    yield made
    made.close()


def dump(files, *arguments):
    names = ",".join(str(file) for file in sorted(files))
    return java_tool(DUMP_LOG, "--files", names, *arguments, timeout=120)


def check_files(partition):
    """Kafka's own tool finds nothing wrong with what a stopped broker left."""
    logs = list(partition.glob("*.log"))
    assert logs
    dumped = dump(logs, "--deep-iteration")
    assert "isvalid: true" in dumped
    assert "isvalid: false" not in dumped
    indexes = [file for end in ("index", "timeindex", "txnindex") for file in partition.glob(f"*.{end}")]
    complaints = ("Mismatch", "not found", "should be", "out of order", "rror")
    checked = dump([file for file in indexes if file.stat().st_size], "--verify-index-only")
    assert not [line for line in checked.splitlines() if any(text in line for text in complaints)]
    snapshots = dump(partition.glob("*.snapshot"))
    assert "producerId: " in snapshots


@pytest.mark.long
def test_a_compacted_log_goes_to_kafka_and_back(shared):
    shared.kafka.start(120)
    create_table(shared.bootstrap, "table")
    table = Table(shared.bootstrap, "table")
    table.fill(1500)
    table.abort(30)
    table.fill(500)
    shared.wait_cleaned(0)
    table.read()
    shared.kafka.stop()

    # Ours takes over what Kafka left, compacts it further, and is killed.
    shared.ours.start()
    assert "torn end" not in shared.ours.log.read_text()
    table.read()
    before = shared.cleaned_to()
    table.fill(2000)
    shared.wait_cleaned(before + 1000)
    table.read()
    shared.ours.kill()
    shared.ours.start()
    table.read()
    described = log_dirs(shared.bootstrap)
    shared.ours.stop()
    check_files(shared.partition)

    # Kafka goes on with what ours left, and agrees about what is there.
    shared.kafka.start(120)
    records = table.read()
    assert log_dirs(shared.bootstrap) == described
    before = shared.cleaned_to()
    table.fill(1000)
    shared.wait_cleaned(before)
    assert len(table.read()) < len(records) + 1000
    shared.kafka.stop()

    shared.ours.start()
    table.fill(100)
    table.read()


def log_dirs(bootstrap):
    """Size and lag of every partition of `table`, as Kafka's tool shows them."""
    told = java_tool(LOG_DIRS, "--bootstrap-server", bootstrap, "--describe", "--topic-list", "table")
    answer = json.loads(told.splitlines()[-1])
    partitions = [
        (partition["partition"], partition["offsetLag"], partition["isFuture"])
        for broker in answer["brokers"]
        for directory in broker["logDirs"]
        for partition in directory["partitions"]
        if directory["error"] is None and partition["size"] > 0
    ]
    assert partitions
    return partitions


def test_records_are_deleted_up_to_an_offset(cluster, unique, tmp_path):
    topic = unique("deleted")
    create_table(cluster.bootstrap, topic, **{"cleanup.policy": "delete"})
    Table(cluster.bootstrap, topic).fill(500)
    wanted = tmp_path / "offsets.json"

    def delete(offset, topic=topic):
        partitions = [{"topic": topic, "partition": 0, "offset": offset}]
        wanted.write_text(json.dumps({"partitions": partitions, "version": 1}))
        arguments = ("--bootstrap-server", cluster.bootstrap, "--offset-json-file", wanted)
        return java_tool(DELETE_RECORDS, *arguments)

    assert "low_watermark: 123" in delete(123)
    table = Table(cluster.bootstrap, topic)
    assert table.read()[0][0] == 123
    assert "OffsetOutOfRange" in delete(501)
    assert "low_watermark: 500" in delete(-1)
    assert table.read() == []
    compacted = unique("kept")
    create_table(cluster.bootstrap, compacted)
    assert "PolicyViolation" in delete(0, compacted)
