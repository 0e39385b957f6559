"""What a broker does when its disk fills, fails, or is cut off in mid-compaction."""

import subprocess

import pytest
from confluent_kafka import Producer
from harness import Failed, run, wait_until
from table import EAGER_CLEANER, Table, create_table, kill_while_compacting


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    options = ("-t", "tmpfs", "-o", "size=24m", "tmpfs", mount)
    if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
        pytest.skip("may not mount a file system")
    yield mount
    run(["umount", "-l", mount])


def send(bootstrap, topic, value, timeout_ms=20000):
    """Sends one record; the error's name, or '' once it is acknowledged."""
    outcome = []
    settings = {"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": timeout_ms}
    producer = Producer(settings | {"retries": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(timeout_ms / 1000 + 5)
    if not outcome:
        raise Failed("no answer to a record")
    return outcome[0].name() if outcome[0] else ""


def test_a_full_disk_refuses_writes_and_goes_on_reading(new_cluster, small_disk, servers):
    if servers != "odradek":
        pytest.skip("Kafka takes a full disk for a broken one")
    settings = {"segment.bytes": str(4 << 20), "segment.index.bytes": "4096"}
    overrides = {"log.dirs": small_disk / "log", "log.index.size.max.bytes": 65536}
    cluster = new_cluster(overrides)
    topic = "full"
    create_table(cluster.bootstrap, topic, **settings, **{"cleanup.policy": "delete"})
    table = Table(cluster.bootstrap, topic)
    table.fill(200)
    ballast = small_disk / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(b"x" * (1 << 16))
                file.flush()
        except OSError:
            pass

    def refused():
        return send(cluster.bootstrap, topic, b"0:" + b"f" * 400_000) == "KAFKA_STORAGE_ERROR"

    wait_until(refused, 60, "a record is refused with KAFKA_STORAGE_ERROR")
    assert cluster.broker.running()
    assert len(table.read()) >= 200
    # A start on the full disk works too, and reads.
    cluster.broker.kill()
    cluster.broker.start()
    assert len(table.read()) >= 200
    ballast.unlink()

    def accepted():
        return send(cluster.bootstrap, topic, b"0:again") == ""

    wait_until(accepted, 10, "writes go on once there is room")
    table.fill(50)
    table.read()
    cluster.broker.kill()
    cluster.broker.start()
    table.read()


def test_nothing_is_acknowledged_after_a_failed_fsync(new_cluster, tmp_path, servers):
    if servers != "odradek":
        pytest.skip("tests our own promise")
    cluster = new_cluster()
    topic = "failing"
    create_table(cluster.bootstrap, topic, **{"flush.messages": "1", "cleanup.policy": "delete"})
    assert send(cluster.bootstrap, topic, b"0:before") == ""
    trace = tmp_path / "strace"
    attach = ["strace", "-f", "-p", str(cluster.broker.pid), "-o", str(trace)]
    inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]
    tracer = subprocess.Popen([*attach, *inject], stderr=subprocess.PIPE, text=True)
    try:
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace cannot attach: {line}")
        assert send(cluster.bootstrap, topic, b"0:lost", 5000) != ""
        wait_until(lambda: not cluster.broker.running(), 60, "the broker ends")
    finally:
        tracer.kill()
        tracer.wait()
    assert "EIO" in trace.read_text()
    assert "all log directories have failed" in cluster.broker.log.read_text()
    assert cluster.broker.process.returncode != 0
    cluster.broker.start()
    assert send(cluster.bootstrap, topic, b"0:after") == ""


def test_a_kill_in_mid_compaction_loses_no_key(new_cluster, kills):
    cluster = new_cluster(EAGER_CLEANER)
    create_table(cluster.bootstrap, "table")
    assert kill_while_compacting(cluster, "table", kills) > 0
