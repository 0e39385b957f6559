"""KIP-966 beside Kafka: a broker of ours whose machine lost power comes back
without the end of its log while a Kafka 3.9.1 is the controller. It does not lead
with what is left, and nobody cuts a log to it."""

import struct

import pytest
from replicated import History, check, log_bytes

@pytest.fixture(params=["apache", "odradek"])
def three(new_trio, request):
    """The first to start is the controller; on either coordinator."""
    brokers = ("apache", "odradek", "odradek")
    return new_trio(brokers=brokers, coordinator=request.param)


def lose_tail(trio, number, partitions):
    """What a power cut leaves: the broker was killed, its machine booted again,
    and of its logs only the first batches were written."""
    home = trio.directory_of(number) / "broker"
    assert not (home / ".kafka_cleanshutdown").exists()
    (home / ".boot-id").write_text("0\nan earlier one\n")
    (home / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
    for partition in range(partitions):
        path = home / f"t-{partition}" / "00000000000000000000.log"
        data, ends = path.read_bytes(), [0]
        while ends[-1] < len(data):
            (length,) = struct.unpack_from(">i", data, ends[-1] + 8)
            ends.append(ends[-1] + 12 + length)
        assert len(ends) > 2, "more than one batch"
        path.write_bytes(data[: ends[1]])


@pytest.mark.long
def test_a_replica_that_lost_its_tail_does_not_lead_under_a_controller_of_apache(three):
    three.create("t", partitions=3)
    assert three.controller() == 0
    history = History(three, "t")
    history.start()
    history.wait_for_more(300)
    for number in (1, 2):
        leaders = [each.leader for each in three.partitions("t").values()]
        assert number in leaders or number == 2, "it leads what it loses"
        history.end()
        three.wait_in_sync("t")
        whole = log_bytes(three, 0, "t", 0)
        three.brokers[number].kill()
        lose_tail(three, number, 3)
        assert len(log_bytes(three, number, "t", 0)) < len(whole)
        # Before its session ends, so the controller has not seen it die.
        three.brokers[number].start()
        three.wait_in_sync("t")
        assert log_bytes(three, number, "t", 0).startswith(whole), "it has caught up"
        check(three, history, "t")
        history = history.go_on(three)
    history.end()
    assert check(three, history, "t") > 300


@pytest.mark.long
def test_all_go_down_and_the_one_without_its_tail_comes_up_first(three):
    three.create("t", partitions=3)
    history = History(three, "t")
    history.start()
    history.wait_for_more(300)
    history.end()
    three.wait_in_sync("t")
    for broker in three.brokers:
        broker.kill()
    lose_tail(three, 1, 3)
    for number in (1, 2, 0):
        three.start_again(number)
    check(three, history, "t")
