"""scripts/run.sh: serves, says what to do next, and leaves nothing behind."""

import os
import pathlib
import signal
import socket
import subprocess

import pytest
from harness import TOP, Ports, accepts, run, wait_until, write_properties

RUN = TOP / "scripts/run.sh"


@pytest.fixture(autouse=True)
def only_ours(servers):
    if servers != "odradek":
        pytest.skip("run.sh starts Odradek's daemons")


class RunScript:
    """One run of the script with ports of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = [Ports.take() for _ in range(4)]
        config = directory / "config"
        config.mkdir()
        write_properties(
            config / "coordinator.properties",
            {"clientPort": self.ports[0], "admin.serverPort": self.ports[2]},
        )
        write_properties(
            config / "broker.properties",
            {
                "listeners": f"PLAINTEXT://127.0.0.1:{self.ports[1]}",
                "zookeeper.connect": f"127.0.0.1:{self.ports[0]}",
                "offsets.topic.replication.factor": 1,
                "admin.serverPort": self.ports[3],
            },
        )
        self.command = [RUN, "--config", config, "--data", directory / "data"]
        self.output = directory / "output"
        self.process = None

    def start(self):
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                self.command,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
                # Whoever runs the suite in the background may ignore it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        wait_until(self.serving_or_ended, 300, "run.sh says that it serves")

    def text(self):
        return self.output.read_text()

    def serving_or_ended(self):
        return "Ctrl-C stops both." in self.text() or self.process.poll() is not None

    def daemons(self):
        """The processes that were started on this run's data."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            name = os.path.basename(words[0].decode(errors="replace"))
            here = str(self.directory).encode()
            if name in ("coordinator", "broker") and any(here in word for word in words):
                found.append((name, int(entry.name)))
        return sorted(found)


@pytest.fixture
def script(tmp_path):
    each = RunScript(tmp_path)
    yield each
    if each.process and each.process.poll() is None:
        each.process.send_signal(signal.SIGTERM)
        each.process.wait(60)


def test_starts_serves_and_stops(script):
    script.start()
    assert "sent and read back: " in script.text(), script.text()
    assert [name for name, _ in script.daemons()] == ["broker", "coordinator"]
    listing = ["kcat", "-b", f"127.0.0.1:{script.ports[1]}", "-L"]
    wait_until(lambda: "run-check" not in run(listing), 20, "the check's topic is gone")

    second = subprocess.run(script.command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert len(script.daemons()) == 2

    script.process.send_signal(signal.SIGINT)
    assert script.process.wait(60) == 0
    text = script.text()
    assert text.index("stopping the broker") < text.index("stopping the coordinator")
    assert script.daemons() == []

    script.start()
    assert script.serving_or_ended() and script.process.poll() is None, script.text()


def test_says_when_a_daemon_dies(script):
    script.start()
    pids = dict(script.daemons())
    os.kill(pids["broker"], signal.SIGKILL)
    assert script.process.wait(60) == 1
    assert "the broker ended by itself" in script.text()
    assert script.daemons() == []


def test_busy_port_is_named(script):
    with socket.create_server(("127.0.0.1", script.ports[1])):
        done = subprocess.run(script.command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert f"port {script.ports[1]}" in done.stderr
    assert script.daemons() == []
    assert not accepts(script.ports[0])


def test_missing_compiler_is_named(script):
    environment = os.environ | {"PATH": "/usr/bin:/bin", "HOME": str(script.directory)}
    if any(os.access(f"{folder}/cargo", os.X_OK) for folder in ("/usr/bin", "/bin")):
        pytest.skip("cargo belongs to the system here")
    done = subprocess.run(
        script.command, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cargo is missing" in done.stderr


def test_unwritable_folder_is_named(script):
    blocker = script.directory / "file"
    blocker.write_text("not a folder")
    command = [*script.command, "--data", blocker / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(blocker) in done.stderr
