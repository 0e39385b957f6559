"""The subcommands of the coordinator's program, as an operator types them."""

import subprocess

import harness
from zookeeper_session import EPHEMERAL, Session

PROGRAM = harness.TARGET / "coordinator"


def coordinator(directory, data):
    directory.mkdir(parents=True, exist_ok=True)
    port, admin_port = harness.Ports.take(), harness.Ports.take()
    options = {
        "clientPort": port,
        "dataDir": data,
        "maxSessionTimeout": 60000,
        "admin.serverPort": admin_port,
        "4lw.commands.whitelist": "*",
    }
    config = harness.write_properties(directory / "coordinator.properties", options)
    daemon = harness.Daemon(
        "coordinator",
        [PROGRAM, config],
        directory / "coordinator.log",
        lambda: harness.four_letter(port, "ruok") == "imok",
    )
    daemon.port, daemon.admin_port = port, admin_port
    return daemon


def say(*arguments):
    """The exit code and all that a command says."""
    command = [str(part) for part in (PROGRAM, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_backup_fsck_and_restore(tmp_path):
    data = tmp_path / "data"
    daemon = coordinator(tmp_path / "a", data)
    daemon.start()
    try:
        session = Session(daemon.port)
        assert session.create("/kept", b"1") == 0
        assert session.create("/mine", b"", EPHEMERAL) == 0
        code, text = say("backup", f"127.0.0.1:{daemon.admin_port}", tmp_path / "backup")
        assert code == 0 and "1 sessions" in text, text
        assert session.create("/late") == 0
        code, text = say("fsck", data)
        assert code != 0 and "another process" in text, text
        code, text = say("backup", f"127.0.0.1:{daemon.port}", tmp_path / "no-backup")
        assert code != 0 and not (tmp_path / "no-backup").exists(), text
    finally:
        daemon.kill()
    code, text = say("fsck", data)
    assert code == 0 and "A start has the state of transaction 0x4" in text, text

    logs = (data / "coordinator").glob("log.*")
    log = next(path for path in logs if b"/late" in path.read_bytes())
    content = bytearray(log.read_bytes())
    content[content.index(b"/late")] ^= 1
    log.write_bytes(content)
    code, text = say("fsck", data)
    assert code != 0 and "DAMAGED" in text and "A start fails" in text, text
    refused = coordinator(tmp_path / "b", data)
    refused.spawn()
    assert refused.process.wait(30) != 0
    assert "coordinator restore" in refused.log.read_text()

    for name, options, lives in [("with", [], True), ("without", ["--drop-sessions"], False)]:
        code, text = say("restore", tmp_path / "backup", tmp_path / name, *options)
        assert code == 0, text
        daemon = coordinator(tmp_path / f"etc-{name}", tmp_path / name)
        daemon.start()
        try:
            again = Session(daemon.port, (session.id, session.password))
            assert (again.id == session.id) == lives
            reader = Session(daemon.port)
            assert reader.exists("/kept") and not reader.exists("/late")
            assert reader.exists("/mine") == lives
            assert daemon.stop() == 0
        finally:
            daemon.kill()
