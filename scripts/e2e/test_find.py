"""Which binary the scripts run where there are several."""

import os
import pathlib
import subprocess

import pytest

FIND = pathlib.Path(__file__).resolve().parents[1] / "cli" / "find.sh"


def found(target, profile):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "PROFILE": profile}
    command = ["sh", "-c", '. "$0"; find_binary kafka', str(FIND)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return pathlib.Path(run.stdout.strip()).parent.name


# A release that had been built long before hid the debug build of the day.
@pytest.mark.parametrize(
    ("newer", "profile", "expected"),
    [
        ("debug", "", "debug"),
        ("release", "", "release"),
        ("debug", "release", "release"),
        ("release", "dev", "debug"),
    ],
)
def test_the_newer_build_wins_unless_a_profile_is_named(tmp_path, newer, profile, expected):
    for folder in ("debug", "release"):
        binary = tmp_path / folder / "kafka"
        binary.parent.mkdir()
        binary.touch(mode=0o755)
        written = 2_000 if folder == newer else 1_000
        os.utime(binary, (written, written))
    assert found(tmp_path, profile) == expected


@pytest.mark.parametrize("profile", ["", "dev", "release"])
def test_the_only_build_is_found(tmp_path, profile):
    binary = tmp_path / "debug" / "kafka"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    assert found(tmp_path, profile) == "debug"
