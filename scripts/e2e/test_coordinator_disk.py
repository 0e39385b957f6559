"""What the coordinator does when its disk is full, or fails.

A full disk is waited for: nothing is acknowledged, reads go on, and everybody is
told. A disk that fails a sync ends the daemon. In both cases nothing that was
acknowledged is lost.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import harness
import pytest
from zookeeper_session import Session

BIG = b"x" * 50_000


def coordinator(directory, data, wrapper=()):
    directory.mkdir(parents=True, exist_ok=True)
    port, admin_port = harness.Ports.take(), harness.Ports.take()
    options = {
        "clientPort": port,
        "dataDir": data,
        "preAllocSize": 64,
        "maxSessionTimeout": 60000,
        "admin.serverPort": admin_port,
        "4lw.commands.whitelist": "*",
    }
    config = harness.write_properties(directory / "coordinator.properties", options)
    daemon = harness.Daemon(
        "coordinator",
        [*wrapper, harness.TARGET / "coordinator", config],
        directory / "coordinator.log",
        lambda: harness.four_letter(port, "ruok") == "imok",
    )
    daemon.port, daemon.admin_port = port, admin_port
    return daemon


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a few megabytes, and how it gets larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place, lambda: harness.run(["mount", "-o", "remount,size=16m", place])
    harness.run(["umount", "-l", place])


def write_until(daemon, stops):
    """Creates nodes one after the other; how many were acknowledged."""
    session = Session(daemon.port)
    session.socket.settimeout(5)
    count = 0
    while not stops(session, count):
        count += 1
    return session, count


def check_there(daemon, count):
    session = Session(daemon.port)
    for number in range(count):
        assert session.exists(f"/n{number}"), f"/n{number} of {count} was acknowledged"
    return session


def test_a_full_disk_stops_writes_and_nothing_else(tmp_path, small_disk):
    place, grow = small_disk
    daemon = coordinator(tmp_path / "etc", place)
    daemon.start()
    try:
        reader = Session(daemon.port)

        def full(session, number):
            session.send_create(f"/n{number}", BIG)
            try:
                assert session.result() == 0
                return False
            except socket.timeout:
                return True

        writer, count = write_until(daemon, full)
        assert count > 5
        harness.wait_until(
            lambda: harness.http_get(daemon.admin_port, "/health")[0] == 503, 10, "/health says so"
        )
        assert "No space" in harness.http_get(daemon.admin_port, "/health")[1]
        assert "Reads only: " in harness.four_letter(daemon.port, "srvr")
        assert harness.four_letter(daemon.port, "ruok") == "imok"
        assert all(reader.exists(f"/n{number}") for number in range(count))
        assert not reader.exists(f"/n{count}")

        grow()
        assert writer.result() == 0, "the write that waited is answered"
        count += 1
        assert harness.http_get(daemon.admin_port, "/health")[0] == 200
        assert "Reads only" not in harness.four_letter(daemon.port, "srvr")
        daemon.kill()
        daemon.start()
        check_there(daemon, count)
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    assert daemon.panics() == []


def strace(directory, rule):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    tried = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip("strace may not trace here")
    call = rule.split(":")[0]
    out = pathlib.Path(directory) / "strace.txt"
    return ["strace", "-f", "-qq", "-o", out, "-e", f"trace={call}", "-e", f"inject={rule}"]


def kill_traced(daemon):
    """strace leaves alone what it traced when it is killed itself."""
    if daemon.running():
        children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
        for child in children.split():
            os.kill(int(child), signal.SIGKILL)
        daemon.process.wait(20)


@pytest.mark.parametrize("when", [3, 12])
def test_a_failed_sync_ends_the_daemon(tmp_path, when):
    wrapper = strace(tmp_path, f"fdatasync:error=EIO:when={when}")
    daemon = coordinator(tmp_path / "a", tmp_path / "data", wrapper)
    daemon.start()
    try:

        def ended(session, number):
            try:
                return session.create(f"/n{number}", b"x") != 0
            except (AssertionError, OSError):
                return True

        _, count = write_until(daemon, ended)
        # The session was the first sync.
        assert count == when - 2
        assert daemon.process.wait(20) != 0
        assert "nothing can be committed any more" in daemon.log.read_text()
    finally:
        kill_traced(daemon)
    again = coordinator(tmp_path / "b", tmp_path / "data")
    again.start()
    try:
        session = check_there(again, count)
        assert not session.exists(f"/n{count}"), "what nobody was told of is gone"
        assert again.stop() == 0
    finally:
        again.kill()


@pytest.mark.parametrize("when", [8, 9, 12, 13])
def test_a_write_for_which_there_was_no_room_is_tried_again(tmp_path, when):
    wrapper = strace(tmp_path, f"pwrite64:error=ENOSPC:when={when}")
    daemon = coordinator(tmp_path / "a", tmp_path / "data", wrapper)
    daemon.start()
    try:
        write_until(daemon, lambda session, number: session.create(f"/n{number}") or number == 19)
        check_there(daemon, 20)
        assert "INJECTED" in (tmp_path / "strace.txt").read_text()
    finally:
        kill_traced(daemon)
    again = coordinator(tmp_path / "b", tmp_path / "data")
    again.start()
    try:
        check_there(again, 20)
        assert again.stop() == 0
    finally:
        again.kill()
