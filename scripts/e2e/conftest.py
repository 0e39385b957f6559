"""Fixtures of the end-to-end suite.

`cluster` is shared by the whole run, for tests that only use it; they choose
topic and group names by `unique`. `new_cluster` makes one that a test owns and
may kill. Both take whose daemons to run from `--servers`. `new_trio` makes several
brokers, ours or Apache's in any mixture.
"""

import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402
from replicated import Trio  # noqa: E402


def pytest_addoption(parser):
    parser.addoption(
        "--servers",
        choices=list(harness.SERVERS),
        default="odradek",
        help="whose daemons are tested: ours, Apache's, our broker on Apache's ZooKeeper, "
        "or Apache's broker on our coordinator",
    )
    parser.addoption(
        "--kills", type=int, default=2, help="how often each daemon is killed in the kill tests"
    )


    parser.addoption(
        "--long",
        action="store_true",
        help="also the tests that take minutes or need a machine to themselves",
    )
    parser.addoption(
        "--matrix",
        choices=["short", "full"],
        default="short",
        help="which writers, codecs and readers the client matrix tries",
    )


@pytest.fixture(scope="session")
def servers(request):
    return request.config.getoption("--servers")


@pytest.fixture(scope="session")
def kills(request):
    return request.config.getoption("--kills")


@pytest.fixture(scope="session")
def cluster(servers, tmp_path_factory):
    """A running coordinator and broker, shared by all tests of the run."""
    shared = harness.Cluster(tmp_path_factory.mktemp("cluster"), servers)
    shared.start()
    yield shared
    shared.close()


@pytest.fixture
def new_cluster(servers, tmp_path):
    """Makes running clusters that the test owns: `new_cluster(overrides={...})`."""
    made = []

    def make(overrides=None, servers=servers):
        directory = tmp_path / f"cluster-{len(made)}"
        made.append(harness.Cluster(directory, servers, overrides))
        return made[-1].start()

    yield make
    for each in made:
        each.close()


@pytest.fixture
def new_trio(servers, tmp_path):
    """Makes running brokers, three unless it is told others, that the test owns:
    `new_trio(brokers=..., coordinator=..., keys={...})`. None may have panicked."""
    if servers != "odradek":
        pytest.skip("starts its own brokers")
    made = []

    def make(**options):
        made.append(Trio(tmp_path, **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.end()
    for each in made:
        assert not each.panics()


_numbers = itertools.count(1)


@pytest.fixture
def unique():
    """Makes a name that no other test of this run uses: `unique("topic")`."""
    return lambda stem: f"{stem}-{next(_numbers)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the end of the daemons' logs with a failed test."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for value in getattr(item, "funcargs", {}).values():
        if isinstance(value, harness.Cluster):
            for daemon in value.daemons:
                report.sections.append((daemon.name, daemon.tail()))


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only with --long")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --long"))
