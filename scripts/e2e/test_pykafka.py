"""PyKafka 2.8: message format 0, no ApiVersions, and groups in ZooKeeper."""

import pathlib
import sys

import pytest
from harness import run

PROGRAM = pathlib.Path(__file__).parent / "programs/pykafka_tour.py"
RELEASE = pathlib.Path(sys.prefix) / "pykafka-2.8.0"


@pytest.mark.parametrize("way", ["simple", "managed", "balanced"])
def test_every_way_to_read_goes_on_where_it_stopped(cluster, unique, way):
    topic, count = unique(f"tour-{way}"), 20
    command = [sys.executable, PROGRAM, cluster.bootstrap, cluster.zookeeper, topic, way, count]
    printed = run(command, timeout=120, environment={"PYTHONPATH": str(RELEASE)})
    assert printed.splitlines() == [f"{n} test message {n}" for n in range(count)]
