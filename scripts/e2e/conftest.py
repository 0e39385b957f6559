"""Fixtures of the end-to-end suite.

`cluster` is shared by the whole run, for tests that only use it; they choose
topic and group names by `unique`. `new_cluster` makes one that a test owns and
may kill. Both take whose daemons to run from `--servers`. `new_trio` makes several
brokers, ours or Apache's in any mixture.
"""

import functools
import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402
from disks import Disks  # noqa: E402
from isolated import Isolated, refusal  # noqa: E402
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


class Trios:
    """The trios that a test has made."""

    def __init__(self, directory):
        self.directory = directory
        self.made = []

    def __call__(self, kind=Trio, prepare=None, **options):
        self.made.append(kind(self.directory, **options))
        if prepare:
            prepare(self.made[-1])
        self.made[-1].start()
        return self.made[-1]

    @property
    def daemons(self):
        return [daemon for trio in self.made for daemon in trio.daemons]

    def end(self):
        for trio in self.made:
            trio.end()
        assert not [line for trio in self.made for line in trio.panics()]


@pytest.fixture
def new_trio(servers, tmp_path):
    """Makes running brokers, three unless it is told others, that the test owns:
    `new_trio(brokers=..., coordinator=..., keys={...})`. None may have panicked.

    `kind` is what is made instead of a `Trio`; `prepare` is called with it before
    it starts."""
    if servers != "odradek":
        pytest.skip("starts its own brokers")
    trios = Trios(tmp_path)
    try:
        yield trios
    finally:
        trios.end()


@pytest.fixture
def new_isolated(new_trio):
    """Makes brokers whose network can be cut: `new_isolated(keys={...})`."""
    if reason := refusal():
        pytest.skip(reason)
    return functools.partial(new_trio, kind=Isolated)


@pytest.fixture
def on_small_disks(new_trio):
    """Makes what `new_trio` makes, whose brokers have 128 MiB each; and the disks."""

    def make(**options):
        disks = []

        def prepare(trio):
            disks.append(Disks(trio))
            if reason := disks[0].make_small(128):
                pytest.skip(reason)

        return new_trio(prepare=prepare, **options), disks[0]

    return make


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
        if isinstance(value, (harness.Cluster, Trios)):
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
