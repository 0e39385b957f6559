"""What aiokafka's tests import as docker: its container is a cluster of the suite.

ODRADEK_SUITE names scripts/e2e, ODRADEK_SERVERS whose daemons they are, and
ODRADEK_DIRECTORY where they live.
"""

import os
import pathlib
import sys
import types

sys.path.append(os.environ["ODRADEK_SUITE"])
import harness  # noqa: E402


class Container:
    def __init__(self, cluster):
        self.cluster = cluster

    def exec_run(self, *_, **__):
        """Makes certificates, keys and users for listeners that are not there."""
        return 0, b""

    def stop(self):
        if self.cluster:
            self.cluster.close()


class Containers:
    def run(self, image, environment=None, **_):
        """Kafka on the port that it is to advertise; others have nothing to do."""
        if not environment:
            return Container(None)
        ordinary = harness.Ports.take
        # The second that a cluster takes is its broker's.
        ports = [int(environment["ADVERTISED_PORT"]), ordinary()]
        harness.Ports.take = lambda: ports.pop() if ports else ordinary()
        keys = {"num.partitions": environment["NUM_PARTITIONS"]}
        directory = pathlib.Path(os.environ["ODRADEK_DIRECTORY"])
        cluster = harness.Cluster(directory, os.environ["ODRADEK_SERVERS"], keys)
        return Container(cluster.start())


class Client:
    containers = Containers()

    def close(self):
        pass


def from_env():
    return Client()


models = types.SimpleNamespace(containers=types.SimpleNamespace(Container=Container))
