"""Records outlive a network that is cut: the leader alone, and a leader whose
answers a follower does not hear."""

import pytest

from isolated import Isolated, refusal
from replicated import History, check


@pytest.fixture
def three_apart(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("starts its own brokers")
    if reason := refusal():
        pytest.skip(reason)
    three = Isolated(tmp_path, {"replica.lag.time.max.ms": 4000})
    try:
        three.start()
        yield three
    finally:
        three.end()
    assert not three.panics()


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_the_network_is_cut(three_apart):
    three = three_apart
    three.create("t", partitions=1)
    history = History(three, "t")
    history.start()
    history.wait_for_more()

    leader = three.leader("t")
    three.isolate(leader)
    three.wait_for_other_leader("t", leader)
    history.wait_for_more()
    three.heal()
    three.wait_in_sync("t")

    leader, follower = three.leader("t"), three.follower("t")
    three.lose_packets(leader, to=follower)
    history.wait_for_more(1000)
    three.heal()
    three.wait_in_sync("t")
    history.end()
    assert check(three, history, "t") > 1000
