"""Three brokers of Apache Kafka 3.9.1 become three of ours, one at a time and on
their own files, and back again: nothing acknowledged is lost on the way."""

import pytest

from replicated import History, check


@pytest.fixture(params=["odradek", "apache"])
def three(new_trio, request):
    """Three JVM brokers on our coordinator, or on a real ZooKeeper."""
    return new_trio(brokers=("apache",) * 3, coordinator=request.param)


def replace(trio, number, kind):
    """Stops a broker, and starts one of the other kind on its directory."""
    trio.brokers[number].stop(60)
    trio.kinds[number] = kind
    trio.brokers[number] = trio.broker(number, kind)
    trio.brokers[number].start()


@pytest.mark.long
def test_brokers_are_replaced_one_by_one_and_back(three):
    three.create("t", partitions=3)
    history = History(three, "t", rate=300)
    history.start()
    history.wait_for_more()
    for kind in ("odradek", "apache"):
        for number in (0, 1, 2):
            replace(three, number, kind)
            history.wait_for_more()
            three.wait_in_sync("t")
        assert three.kinds == [kind] * 3
    history.end()
    assert check(three, history, "t") > 500
