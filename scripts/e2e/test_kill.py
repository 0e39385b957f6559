"""kill -9 under acks=all load loses nothing, repeats nothing, and heals by itself."""

import pytest
from faults import PARTITIONS, Load, create_topic, kill_loop


@pytest.mark.parametrize("what", ["broker", "coordinator", "both"])
def test_kill_under_load(new_cluster, kills, what):
    assert kill_loop(new_cluster(), what, kills) > 0


def test_stop_and_start_keeps_everything(new_cluster):
    cluster, topic = new_cluster(), "steady"
    create_topic(cluster.bootstrap, topic, PARTITIONS)
    load = Load(cluster.bootstrap, topic)
    load.start()
    try:
        load.wait_progress(1000, 60, "the load runs")
        stopped = cluster.broker.stop()
        cluster.broker.start()
        load.wait_progress(1000, 60, "the load goes on")
    finally:
        load.finish()
    assert load.check() == load.sent
    if cluster.our_broker:
        assert stopped == 0
