"""The coordinator does what a broker asks, and the answer gets lost with the
connection: creations, elections of the controller, states of partitions. Nobody
is elected twice, no broker is stuck, nothing acknowledged is lost."""

import re
import struct

import pytest
from cuts import CuttingProxy
from harness import Ports
from replicated import History, check

# ZooKeeper's operations that change something: create, delete, setData, multi,
# create2, createContainer.
WRITES = {1, 2, 5, 14, 15, 19}
# How many of their answers get lost.
SHARE = 0.1
SEED = 3


def written(frame):
    """The number of a request that writes; the first of a session has none."""
    number, operation = struct.unpack_from(">ii", frame)
    return number if operation in WRITES else None


@pytest.fixture(params=["odradek", "apache"])
def three(new_trio, request):
    port = Ports.take()

    def put_between(three):
        three.proxy = CuttingProxy(port, three.zookeeper_port, SEED, SHARE, written)
        three.belongings.callback(three.proxy.close)

    keys = {"zookeeper.connect": f"127.0.0.1:{port}"}
    return new_trio(prepare=put_between, coordinator=request.param, keys=keys)


def elections(three):
    """The epochs in which a controller was elected, as the brokers tell."""
    told = (broker.log.read_text() for broker in three.brokers)
    pattern = r"elected as the controller id=\d+ epoch=(\d+)"
    return [int(epoch) for text in told for epoch in re.findall(pattern, text)]


def test_no_lost_reply_elects_twice_or_stops_a_broker(three):
    three.create("t", partitions=3)
    history = History(three, "t", rate=200)
    history.start()
    history.wait_for_more()
    for number in range(4):
        three.bounce_hard(three.controller())
        history.wait_for_more()
        three.create(f"created-{number}", partitions=8)
        three.bounce_clean(three.leader("t"))
        history.wait_for_more()
        three.wait_in_sync("t")
    assert three.proxy.lost > 10, "answers were lost"
    three.proxy.calm = True
    epochs = elections(three)
    assert len(epochs) == len(set(epochs)), f"elected twice in an epoch: {epochs}"
    assert len(epochs) >= 5
    for number in range(4):
        three.wait_in_sync(f"created-{number}")
    history.end()
    assert check(three, history, "t") > 500
