"""Three of our brokers on an ensemble of three real ZooKeepers, below a chroot:
the ensemble loses its leader, then a follower, under load."""

import pytest

import harness
from harness import Daemon, Ports, four_letter, wait_until
from replicated import HEAL, History, check


class Ensemble:
    """Three ZooKeepers; stands where a `Trio` has its coordinator."""

    def __init__(self, directory):
        self.ports = [Ports.take() for _ in range(3)]
        inner = [(Ports.take(), Ports.take()) for _ in range(3)]
        servers = {
            f"server.{number + 1}": f"127.0.0.1:{quorum}:{election}"
            for number, (quorum, election) in enumerate(inner)
        }
        self.members = [self.member(directory, number, servers) for number in range(3)]
        self.process = self

    def member(self, directory, number, servers):
        home = directory / f"zookeeper-{number}"
        data = home / "data"
        data.mkdir(parents=True)
        (data / "myid").write_text(f"{number + 1}\n")
        keys = {
            "clientPort": self.ports[number],
            "dataDir": data,
            "tickTime": 500,
            "initLimit": 20,
            "syncLimit": 10,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        config = harness.write_properties(home / "zoo.cfg", keys | servers)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = [harness.PEERS / "zookeeper/run", main, config]
        # Two of three must run before any of them serves.
        ready = lambda: self.mode(number) != "" or not self.has_quorum()  # noqa: E731
        environment = {"HEAP": "128m"}
        return Daemon(f"zookeeper-{number}", command, home / "log", ready, environment)

    def has_quorum(self):
        return sum(member.running() for member in self.members) >= 2

    def mode(self, number):
        told = four_letter(self.ports[number], "srvr").splitlines()
        modes = [line.split()[1] for line in told if line.startswith("Mode: ")]
        return modes[0] if modes else ""

    def find(self, mode):
        def found():
            return [n for n in range(3) if self.members[n].running() and self.mode(n) == mode]

        return wait_until(found, HEAL, f"a {mode}")[0]

    @property
    def connect(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    # What a Daemon has.

    def start(self):
        for member in self.members:
            member.start()

    def running(self):
        return any(member.running() for member in self.members)

    def send_signal(self, _):
        pass

    def kill(self):
        for member in self.members:
            member.kill()

    def panics(self):
        return []


@pytest.fixture
def three(new_trio, tmp_path):
    ensemble = Ensemble(tmp_path)
    keys = {
        "zookeeper.connect": f"{ensemble.connect}/deep/chroot",
        # An election of JVMs on a busy machine takes its time.
        "zookeeper.session.timeout.ms": 12000,
    }
    return new_trio(coordinator=ensemble, keys=keys)


def test_brokers_outlive_the_leader_of_the_ensemble(three):
    ensemble = three.coordinator
    three.create("t")
    history = History(three, "t")
    history.start()
    history.wait_for_more()
    epochs = [broker.log.read_text().count("registered the broker") for broker in three.brokers]
    for turn in range(3):
        leader = ensemble.find("leader")
        ensemble.members[leader].kill()
        history.wait_for_more()
        # A write to the registry: it needs the new leader.
        three.create(f"while-{turn}", partitions=3)
        three.bounce_hard(three.leader("t") if turn == 1 else three.follower("t"))
        history.wait_for_more()
        three.wait_in_sync("t")
        ensemble.members[leader].start()
    ensemble.members[ensemble.find("follower")].kill()
    history.wait_for_more()
    history.end()
    assert check(three, history, "t") > 500
    # Sessions moved to other servers; none ended but with its broker.
    for number, broker in enumerate(three.brokers):
        text = broker.log.read_text()
        assert "the session expired" not in text, broker.tail()
        assert text.count("registered the broker") >= epochs[number]
    harness.wait_until(lambda: "while-2" in listed(ensemble), 60, "the shell lists the topics")


def listed(ensemble):
    """What ZooKeeper's shell says; it gives up when it meets the member that is gone."""
    path = "/deep/chroot/brokers/topics"
    words = ("-server", ensemble.connect, "ls", path)
    try:
        return harness.java_tool("org.apache.zookeeper.ZooKeeperMain", *words, peer="zookeeper")
    except harness.Failed as error:
        return str(error)
