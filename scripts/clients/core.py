"""What the runner knows of a client, and what a client's own file uses.

A `Client` is registered by the decorator `client` on the function that runs it.
The function gets a `Place`: a folder of its own under `.clients/` to install into,
a folder for this run, and a started cluster. It returns the outcome of each test
as a dict: "passed", "failed" or "skipped"; whatever raises is a failed run.

Which tests may end otherwise than "passed", and why, stands in `known/NAME.txt`.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import typing
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
import replicated  # noqa: E402

CACHE = pathlib.Path(os.environ.get("CLIENTS", TOP / ".clients"))
KNOWN = HERE / "known"


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    version: str
    what: str
    run: typing.Callable
    brokers: int
    keys: dict
    """Broker keys beyond those of the harness; or a function of a broker's number."""
    when: str
    """Which run of the suite includes it: `always`, `long` ones, or `never`."""
    standard: bool
    """Does it want the ports of a default installation, in a network of its own?"""
    install: typing.Callable
    """What needs the outer network; such a client is installed before it is run."""


CLIENTS = {}


def client(name, version, what, **options):
    """Registers the function as the way to run this client; `brokers` may be 0, 1, 3 or 5."""
    defaults = {"brokers": 1, "keys": {}, "when": "never", "standard": False, "install": None}

    def register(function):
        assert name not in CLIENTS, name
        CLIENTS[name] = Client(name, version, what, function, **(defaults | options))
        return function

    return register


class Numbered(replicated.Trio):
    """Brokers with keys of their own, which name their addresses; the first is number 1."""

    def __init__(self, directory, kinds, coordinator, keys):
        self.keys_of = keys
        super().__init__(directory, (), coordinator)
        self.brokers = [self.broker(number, kind) for number, kind in enumerate(kinds, 1)]

    def broker(self, number, kind):
        home = self.directory_of(number)
        home.mkdir()
        overrides = {"broker.id": number} | self.keys_of(number)
        arguments = (home, 0, *((harness.Ports.take(),) if kind == "odradek" else ()))
        arguments += (self.zookeeper_port, overrides)
        if kind == "odradek":
            return harness.odradek_broker(*arguments)
        daemon = harness.apache_broker(*arguments, heap="256m")
        host, port = overrides["listeners"].split("//")[1].split(",")[0].rsplit(":", 1)
        daemon.ready = lambda: harness.accepts(int(port), host)
        return daemon

    def start(self):
        self.coordinator.start()
        for broker in self.brokers:
            broker.start()


class Place:
    """Where one client is installed and run."""

    def __init__(self, each, directory, servers):
        self.client = each
        self.servers = servers
        # One installation serves all runs of a version.
        self.home = CACHE / each.name
        self.home.mkdir(parents=True, exist_ok=True)
        self.directory = pathlib.Path(directory)
        self.cluster = None

    def start(self):
        """Starts the daemons that the client wants."""
        if self.client.brokers == 0:
            return
        directory = self.directory / "cluster"
        directory.mkdir(parents=True)
        if self.client.brokers == 1:
            self.cluster = harness.Cluster(directory, self.servers, self.client.keys)
            self.cluster.start()
            return
        coordinator, broker = harness.SERVERS[self.servers]
        kind = {True: "odradek", False: "apache"}
        kinds = (kind[broker],) * self.client.brokers
        made = Numbered if callable(self.client.keys) else replicated.Trio
        self.cluster = made(directory, kinds, kind[coordinator], self.client.keys)
        self.cluster.start()

    def stop(self):
        """Ends the daemons; says what no daemon may ever write."""
        if self.client.brokers == 1:
            self.cluster.close()
        else:
            self.cluster.end()
            assert not self.cluster.panics(), f"a daemon panicked: {self.cluster.panics()}"

    @property
    def bootstrap(self):
        return self.cluster.bootstrap

    @property
    def first(self):
        """One broker's address, for clients that take only one."""
        return self.bootstrap.split(",")[0]

    @property
    def zookeeper(self):
        return f"127.0.0.1:{self.cluster.zookeeper_port}"

    def installed(self, mark, install, home=None):
        """Calls `install` unless it has succeeded before for the same mark."""
        done = (home or self.home) / "installed.txt"
        done.parent.mkdir(exist_ok=True)
        if done.exists() and done.read_text() == mark:
            return
        print(f"{self.client.name}: installing {mark}", flush=True)
        install()
        done.write_text(mark)


def call(command, log=None, timeout=3600, cwd=None, environment=None, check=True):
    """Runs a program to its end; returns what it printed, which `log` keeps, and its exit code.

    One that does not end in time is killed with all that it has started, and has the exit
    code -9.
    """
    command = [str(part) for part in command]
    with open(log, "wb+") if log else tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env=os.environ | {key: str(value) for key, value in (environment or {}).items()},
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_group(process)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if check and process.returncode != 0:
        tail = "\n".join(text.splitlines()[-40:])
        raise harness.Failed(f"{command} ended with {process.returncode}\n{tail}")
    return text, process.returncode


def end_group(process):
    """Ends a program of its own session with everything that it has left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def checks(pairs):
    """Runs named checks, each a function that raises if it fails; gives their outcomes."""
    outcomes = {}
    for name, check in pairs:
        try:
            check()
            outcomes[name] = "passed"
        except Exception as error:  # noqa: BLE001 - whatever it is, this one failed
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            outcomes[name] = "failed"
    return outcomes


def junit(report, strip=""):
    """The outcomes in a JUnit report, by class and name."""
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = {part.tag for part in case}
        failed = kinds & {"failure", "error"}
        outcome = "failed" if failed else "skipped" if "skipped" in kinds else "passed"
        classname = (case.get("classname") or "").removeprefix(strip)
        found[f"{classname}.{case.get('name')}".lstrip(".")] = outcome
    return found


def virtual_environment(home, packages):
    """A Python environment with these packages; returns its interpreter."""
    python = home / "venv/bin/python"
    call([sys.executable, "-m", "venv", home / "venv"])
    call([python, "-m", "pip", "-q", "--disable-pip-version-check", "install", *packages])
    return python


def create_topic(bootstrap, topic, partitions, replicas=1):
    """By Kafka's own way of asking, whatever the daemons are."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
