"""A part of kazoo's own test suite against the coordinator; `kazoo_suite.py` runs all."""

import harness
import kazoo_suite

# The client, its connection and authentication, and what most people use of the rest.
PART = [
    "test_client.py::TestClient",
    "test_client.py::TestClientTransactions",
    "test_client.py::TestConnection",
    "test_client.py::TestAuthentication",
    "test_sasl.py",
    "test_connection.py::TestConnectionHandler",
    "test_connection.py::TestConnectionDrop",
    "test_lock.py::KazooLockTests",
    "test_queue.py",
    "test_watchers.py::KazooDataWatcherTests",
    "test_cache.py",
]


def test_a_part_of_kazoos_own_tests():
    tests = [f"kazoo/tests/{name}" for name in PART]
    found, output = kazoo_suite.run("odradek", tests, harness.Ports.take(), quiet=True)
    wrong = kazoo_suite.judge(found, kazoo_suite.differences("odradek"))
    assert len(found) > 130, output[-4000:]
    assert not wrong, "\n".join([*wrong, output[-8000:]])
