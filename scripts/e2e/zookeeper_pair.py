"""A coordinator and a real ZooKeeper side by side, asked the same things."""

import harness
from zookeeper_wire import Client


class Pair:
    """A coordinator and a ZooKeeper, both new, with the same keys."""

    def __init__(self, directory, keys=None):
        ports = [harness.Ports.take() for _ in range(3)]
        self.ours = harness.odradek_coordinator(directory, ports[0], ports[2], keys)
        self.oracle = harness.apache_zookeeper(directory, ports[1], keys)
        self.addresses = f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"

    def __enter__(self):
        self.ours.start()
        self.oracle.start()
        return self

    def __exit__(self, *_):
        self.ours.kill()
        self.oracle.kill()
        assert not self.ours.panics()

    def clients(self):
        return map(Client, self.addresses)

    def compare(self, cases):
        ours, oracle = self.clients()
        different = []
        for name, op, body, *xid in cases:
            expected, answered = oracle.call(op, body, *xid), ours.call(op, body, *xid)
            if expected != answered:
                different.append((name, expected, answered))
        assert not different
