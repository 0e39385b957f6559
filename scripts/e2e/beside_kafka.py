"""A broker of ours and a real Kafka 3.9 with the same keys, asked the same things.

Each has a coordinator of its own. Every request goes to both; what comes back
must be equal but for what `normal` takes away.
"""

import struct

import harness
from kafka.protocol import sasl
from wire import REQUESTS, Closed, Connection, make

REQUESTS |= {each.API_KEY: each for each in (sasl.SaslHandshakeRequest, sasl.SaslAuthenticateRequest)}

# Fields of answers whose values are never the same.
VARYING = {"throttle_time_ms"}


class Beside:
    """Both brokers, and a connection to each."""

    def __init__(self, directory, overrides=None):
        # A session outlives what a busy machine does to a JVM.
        patient = {"zookeeper.session.timeout.ms": 18000, "zookeeper.connection.timeout.ms": 60000}
        overrides = patient | (overrides or {})
        self.ours = harness.Cluster(directory / "ours", "odradek", overrides)
        self.kafka = harness.Cluster(directory / "kafka", "jvm-broker", overrides)

    def __enter__(self):
        self.ours.start()
        self.kafka.coordinator.start()
        # A JVM takes its time beside other tests.
        self.kafka.broker.start(180)
        self.open()
        return self

    def open(self):
        # Longer than requests may wait by their own limit.
        connect = lambda each: Connection(each.broker_port, timeout=20)  # noqa: E731
        self.connections = [connect(each) for each in (self.ours, self.kafka)]

    def __exit__(self, *_):
        for each in self.connections:
            each.close()
        self.kafka.close()
        self.ours.close()

    def both(self, key, version, /, **fields):
        """The answers of ours and of Kafka, as dictionaries; `None` for none."""
        answers = [self.one(each, key, version, **fields) for each in self.connections]
        self.reopen_if(None in answers)
        return answers

    def one(self, connection, key, version, /, **fields):
        """The answer to one of them; bytes stay bytes."""
        try:
            answer = connection.ask(make(REQUESTS[key], version, **fields))
        except (ConnectionError, TimeoutError, Closed):
            return None
        return normal(answer.to_dict(json=False))

    def raw(self, key, version, body, flexible):
        """The same for bytes that no codec made; without the correlation id."""
        header = struct.pack(">hhi", key, version, 7) + struct.pack(">h", 1) + b"x"
        header += b"\0" if flexible else b""
        answers = []
        for each in self.connections:
            frame = header + body
            each.socket.sendall(struct.pack(">i", len(frame)) + frame)
            try:
                (size,) = struct.unpack(">i", each.receive(4))
                answers.append(each.receive(size))
            except (ConnectionError, TimeoutError, Closed):
                answers.append(None)
        self.reopen_if(None in answers)
        return answers

    def reopen_if(self, is_out_of_step):
        if is_out_of_step:
            for each in self.connections:
                each.close()
            self.open()


def normal(value):
    """Without what varies, and with lists in an order of their own."""
    if isinstance(value, dict):
        return {name: normal(part) for name, part in value.items() if name not in VARYING}
    if isinstance(value, list):
        return sorted((normal(part) for part in value), key=repr)
    return value


def differences(beside, cases):
    """Where the two differ: (name of the case, ours, Kafka's)."""
    found = []
    for name, key, version, fields in cases:
        ours, kafka = beside.both(key, version, **fields)
        if ours != kafka:
            found.append((name, *first_difference(ours, kafka)))
    return found


def first_difference(ours, kafka):
    """The smallest parts that differ, so that a failure can be read."""
    if isinstance(ours, dict) and isinstance(kafka, dict) and ours.keys() == kafka.keys():
        for name in ours:
            if ours[name] != kafka[name]:
                return first_difference(ours[name], kafka[name])
    if isinstance(ours, list) and isinstance(kafka, list):
        if len(ours) == len(kafka):
            for one, other in zip(ours, kafka):
                if one != other:
                    return first_difference(one, other) if isinstance(one, dict) else (one, other)
        only_ours = [each for each in ours if each not in kafka]
        only_kafkas = [each for each in kafka if each not in ours]
        return only_ours, only_kafkas
    return ours, kafka
