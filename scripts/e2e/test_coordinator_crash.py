"""Kills the coordinator daemon with SIGKILL under load, again and again.

The number of rounds is taken from ROUNDS (default 5).
"""

import os
import signal
import socket
import subprocess
import threading
import time

import harness
import pytest
from kazoo.client import KazooClient

BINARY = str(harness.TARGET / "coordinator")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
WAIT = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.process = None

    def start(self, *overrides):
        keys = [
            f"dataDir={self.directory}/data",
            f"clientPort={self.port}",
            "clientPortAddress=127.0.0.1",
            "admin.enableServer=false",
            "tickTime=500",
            "maxSessionTimeout=60000",
            "snapCount=2000",
            *overrides,
        ]
        arguments = [part for key in keys for part in ("--override", key)]
        log = open(f"{self.directory}/log", "ab")
        self.process = subprocess.Popen([BINARY, *arguments], stderr=log)
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("the daemon does not listen")

    def client(self, **options):
        client = KazooClient(hosts=f"127.0.0.1:{self.port}", **options)
        client.start(timeout=WAIT)
        return client

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT)

    def log(self):
        return pathlib.Path(f"{self.directory}/log").read_text()


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path)
    yield daemon
    if daemon.process and daemon.process.poll() is None:
        daemon.kill()


def test_nothing_acknowledged_is_lost(daemon):
    acknowledged = []
    daemon.start()
    for round_number in range(ROUNDS):
        client = daemon.client(timeout=10)
        client.ensure_path(f"/r{round_number}")
        stop = threading.Event()
        requests = []

        def load(base=f"/r{round_number}", client=client, requests=requests, stop=stop):
            number = 0
            while not stop.is_set() and client.connected:
                batch = [
                    client.create_async(f"{base}/n{number + i}", b"x" * 200)
                    for i in range(50)
                ]
                requests.extend(batch)
                number += len(batch)
                batch[0].wait(1)

        loader = threading.Thread(target=load)
        loader.start()
        # Somewhere in the middle, at another place each time.
        while sum(r.successful() for r in list(requests)) < 100 + 37 * round_number:
            assert daemon.process.poll() is None, daemon.log()
            time.sleep(0.002)
        daemon.kill()
        stop.set()
        loader.join(WAIT)
        client.stop()
        client.close()
        acknowledged += [r.get(block=False) for r in requests if r.successful()]
        daemon.start()
    client = daemon.client()
    present = set()
    for round_number in range(ROUNDS):
        children = client.get_children(f"/r{round_number}")
        present.update(f"/r{round_number}/{child}" for child in children)
    lost = [path for path in acknowledged if path not in present]
    assert len(acknowledged) > ROUNDS * 100
    assert not lost
    client.stop()
    client.close()


def test_sessions_outlive_a_stopped_process(daemon):
    """SIGSTOP for longer than the timeout is no client's fault."""
    daemon.start()
    client = daemon.client(timeout=4)
    client.create("/e", ephemeral=True)
    session = client.client_id[0]
    daemon.signal(signal.SIGSTOP)
    time.sleep(7)
    daemon.signal(signal.SIGCONT)
    deadline = time.monotonic() + WAIT
    while not client.connected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.exists("/e").ephemeralOwner == session
    assert client.client_id[0] == session
    client.stop()
    client.close()


def test_an_orderly_stop(daemon):
    daemon.start()
    client = daemon.client()
    client.create("/a")
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(WAIT) == 0
    daemon.start()
    client.stop()
    client.close()
    assert daemon.client().exists("/a")


def test_a_second_daemon_on_the_directory_says_why_it_does_not_start(daemon):
    daemon.start()
    second = subprocess.run(
        [BINARY, "--override", f"dataDir={daemon.directory}/data", "--override", "clientPort=0"],
        capture_output=True, text=True, timeout=WAIT,
    )
    assert second.returncode == 1
    assert "another process uses this directory" in second.stderr


def test_a_wrong_value_is_named(tmp_path):
    file = tmp_path / "zoo.cfg"
    file.write_text(f"dataDir={tmp_path}\ntickTime=soon\n")
    run = subprocess.run([BINARY, file], capture_output=True, text=True, timeout=WAIT)
    assert run.returncode == 1
    for part in (str(file), "tickTime", "soon", "integer"):
        assert part in run.stderr
