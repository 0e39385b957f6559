"""`max.connections.per.ip.overrides` holds, from the start and when it is changed."""

import socket

import harness
from harness import wait_until


def connected(port, address):
    """A connection from this address that the broker keeps, else `None`."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
    made.settimeout(0.3)
    try:
        # Whom the broker refuses is closed at once.
        return None if made.recv(1) == b"" else made
    except TimeoutError:
        return made
    except ConnectionResetError:
        return None


def test_a_host_has_a_bound_of_its_own(new_cluster):
    keys = {"max.connections.per.ip": 1000, "max.connections.per.ip.overrides": "127.0.0.2:2, 127.0.0.3:0"}
    cluster = new_cluster(keys)
    port = cluster.broker_port
    first, second = connected(port, "127.0.0.2"), connected(port, "127.0.0.2")
    assert first and second
    assert connected(port, "127.0.0.2") is None
    assert connected(port, "127.0.0.3") is None
    others = [connected(port, "127.0.0.4") for _ in range(3)]
    assert all(others)

    tool = [harness.TARGET / "kafka", "configs", "--bootstrap-server", cluster.bootstrap]
    alter = [*tool, "--alter", "--entity-type", "brokers", "--entity-default", "--add-config"]
    harness.run([*alter, "max.connections.per.ip.overrides=[127.0.0.3:1,127.0.0.4:3]"])
    wait_until(lambda: connected(port, "127.0.0.2"), 30, "the old bound is gone")
    kept = wait_until(lambda: connected(port, "127.0.0.3"), 30, "the new bound holds")
    assert connected(port, "127.0.0.3") is None
    assert connected(port, "127.0.0.4") is None
    kept.close()
    again = wait_until(lambda: connected(port, "127.0.0.3"), 30, "the place is free again")
    again.close()
