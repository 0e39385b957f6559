"""Real clients of scripts/clients, and that its table says what is run."""

import sys

import harness
import pytest

sys.path.insert(0, str(harness.TOP / "scripts/clients"))
import results  # noqa: E402
from core import CLIENTS  # noqa: E402

results.load_clients()


def test_the_table_names_what_is_run():
    assert results.complaints() == []


def test_known_differences_have_their_reasons():
    for path in results.KNOWN.glob("*.txt"):
        assert path.stem in CLIENTS, path
        assert results.known(path.stem, "odradek"), path


def runs():
    for each in CLIENTS.values():
        if each.when != "never":
            marks = [pytest.mark.long] if each.when == "long" else []
            yield pytest.param(each.name, marks=marks)


@pytest.mark.parametrize("name", runs())
def test_client(servers, name):
    if servers not in ("odradek", "apache"):
        pytest.skip("the runner knows whole clusters only")
    runner = harness.TOP / "scripts/clients/run.py"
    harness.run([sys.executable, runner, "--servers", servers, name], timeout=900)
