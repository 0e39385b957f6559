"""Starts, kills and watches daemons for the end-to-end suite.

Flow: a `Cluster` reserves ports and a directory, writes the properties files,
and runs a `Daemon` for the coordinator and one for the broker. Two kinds of
each exist: Odradek's binaries, and Apache's (ZooKeeper 3.9, Kafka 3.9) from
`scripts/peers/install.sh`, so that every test can be tried on the originals.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
# PROFILE=dev tests unoptimised binaries, whose assertions are on.
PROFILE = os.environ.get("PROFILE", "release").replace("dev", "debug")
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / PROFILE
PEERS = pathlib.Path(os.environ.get("PEERS", TOP / ".peers"))

# Below the kernel's ephemeral range: a port must still be free for a restart,
# when outgoing connections have been given numbers in the meantime.
PORT_FIRST, PORT_LAST = 20000, 31999


class Failed(AssertionError):
    """A daemon did not do what the test needs; the text says which and why."""


# A pause between two looks that is this much longer than asked for is one in which
# the whole test was stopped, and what it waits for with it.
STOPPED = 5


def wait_until(condition, timeout, what, interval=0.05):
    """Returns the first true value of `condition`, or fails after `timeout` seconds.

    Time in which this process was stopped does not count.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise Failed(f"not within {timeout} s: {what}")
        time.sleep(interval)
        stopped = time.monotonic() - now - interval
        if stopped > STOPPED:
            deadline += stopped


def accepts(port, host="127.0.0.1"):
    """Does something accept connections on this port?"""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Ports:
    """Hands out free ports, different for suites that run at the same time."""

    _next = PORT_FIRST + (os.getpid() * 40) % (PORT_LAST - PORT_FIRST)

    @classmethod
    def take(cls):
        for _ in range(PORT_LAST - PORT_FIRST):
            port = cls._next
            cls._next = port + 1 if port < PORT_LAST else PORT_FIRST
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise Failed("no free port")


def http_get(port, path, timeout=2):
    """The status and body of an admin page, or (0, reason) if nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def four_letter(port, word, timeout=2):
    """The answer to one of ZooKeeper's four-letter words ('' if nobody answers)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(word.encode())
            chunks = []
            while chunk := connection.recv(4096):
                chunks.append(chunk)
            return b"".join(chunks).decode()
    except OSError:
        return ""


class Daemon:
    """One process: a command, its log file, and a way to know that it serves."""

    def __init__(self, name, command, log, ready, environment=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = pathlib.Path(log)
        self.ready = ready
        self.environment = environment or {}
        # Seconds until it serves; a JVM on a busy machine takes longer.
        self.patience = 60
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, timeout=None):
        """Starts the process and returns once it serves."""
        self.spawn()
        self.wait_ready(timeout)

    def spawn(self):
        """Starts the process without waiting."""
        assert not self.running(), f"{self.name} already runs"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                # A test run that is killed leaves no daemon behind.
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,
            )

    def wait_ready(self, timeout=None):
        timeout = timeout or self.patience

        def serves_or_ended():
            return not self.running() or self.ready()

        wait_until(serves_or_ended, timeout, f"{self.name} serves\n{self.tail()}")
        if not self.running():
            raise Failed(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")

    def kill(self):
        """kill -9, and wait until the process is gone."""
        if self.running():
            self.process.kill()
            self.process.wait()

    def stop(self, timeout=30):
        """SIGTERM, and the exit code."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not stop within {timeout} s\n{self.tail()}") from None

    def tail(self, lines=25):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- end of {self.log}\n" + "\n".join(text.splitlines()[-lines:])

    def panics(self):
        """Lines of the log that a healthy daemon never writes."""
        if not self.log.exists():
            return []
        text = self.log.read_text(errors="replace")
        return [line for line in text.splitlines() if re.search(r"panicked at|RUST_BACKTRACE", line)]


def write_properties(path, properties):
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def odradek_coordinator(directory, port, admin_port, keys=None):
    config = write_properties(
        directory / "coordinator.properties",
        {
            "clientPort": port,
            "dataDir": directory / "coordinator",
            "tickTime": 500,
            "admin.serverPort": admin_port,
            "4lw.commands.whitelist": "*",
        }
        | (keys or {}),
    )
    binary = TARGET / "coordinator"
    ready = lambda: four_letter(port, "ruok") == "imok"  # noqa: E731
    return Daemon("coordinator", [binary, config], directory / "coordinator.log", ready)


def apache_zookeeper(directory, port, keys=None):
    """`keys` are also set as system properties: some are read only there."""
    keys = keys or {}
    options = [f"-Dzookeeper.{key}={value} -D{key}={value}" for key, value in keys.items()]
    config = write_properties(
        directory / "zoo.cfg",
        {
            "clientPort": port,
            "dataDir": directory / "zookeeper",
            "tickTime": 500,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        | keys,
    )
    command = [PEERS / "zookeeper/run", "org.apache.zookeeper.server.quorum.QuorumPeerMain", config]
    # It says imok before it takes sessions.
    ready = lambda: "Mode:" in four_letter(port, "srvr")  # noqa: E731
    environment = {"HEAP": "192m", "JAVA_OPTS": " ".join(options)}
    zookeeper = Daemon("zookeeper", command, directory / "zookeeper.log", ready, environment)
    zookeeper.patience = 180
    return zookeeper


def broker_properties(directory, port, zookeeper_port, overrides):
    return {
        "broker.id": 0,
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": directory / "broker",
        "zookeeper.connect": f"127.0.0.1:{zookeeper_port}",
        "zookeeper.session.timeout.ms": 3000,
        "offsets.topic.num.partitions": 5,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    } | overrides


def odradek_broker(directory, port, admin_port, zookeeper_port, overrides):
    properties = broker_properties(directory, port, zookeeper_port, overrides)
    properties["admin.serverPort"] = admin_port
    config = write_properties(directory / "broker.properties", properties)
    ready = lambda: http_get(admin_port, "/ready")[0] == 200  # noqa: E731
    return Daemon("broker", [TARGET / "broker", config], directory / "broker.log", ready)


def apache_broker(directory, port, zookeeper_port, overrides, heap, peer="kafka39"):
    properties = broker_properties(directory, port, zookeeper_port, overrides)
    properties.setdefault("zookeeper.connection.timeout.ms", 60000)
    config = write_properties(directory / "server.properties", properties)
    command = [PEERS / peer / "run", "kafka.Kafka", config]
    ready = lambda: accepts(port)  # noqa: E731
    kafka = Daemon("kafka", command, directory / "kafka.log", ready, {"HEAP": heap})
    kafka.patience = 180
    return kafka


# Whose daemons a cluster has: (coordinator is ours, broker is ours).
SERVERS = {
    "odradek": (True, True),
    "apache": (False, False),
    "mixed": (False, True),
    "jvm-broker": (True, False),
}


class Cluster:
    """A coordinator and a broker with their own ports and directory.

    `servers` says whose: see `SERVERS`.
    """

    def __init__(self, directory, servers="odradek", overrides=None, heap="384m"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.servers = servers
        self.zookeeper_port, self.broker_port = Ports.take(), Ports.take()
        self.coordinator_admin_port, self.broker_admin_port = Ports.take(), Ports.take()
        overrides = overrides or {}
        our_coordinator, self.our_broker = SERVERS[servers]
        if our_coordinator:
            self.coordinator = odradek_coordinator(
                self.directory, self.zookeeper_port, self.coordinator_admin_port
            )
        else:
            self.coordinator = apache_zookeeper(self.directory, self.zookeeper_port)
        if self.our_broker:
            self.broker = odradek_broker(
                self.directory,
                self.broker_port,
                self.broker_admin_port,
                self.zookeeper_port,
                overrides,
            )
        else:
            self.broker = apache_broker(
                self.directory, self.broker_port, self.zookeeper_port, overrides, heap
            )

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.broker_port}"

    @property
    def zookeeper(self):
        return f"127.0.0.1:{self.zookeeper_port}"

    @property
    def daemons(self):
        return [self.coordinator, self.broker]

    def start(self):
        try:
            self.coordinator.start()
            self.broker.start()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self):
        """Stops both in order; returns their exit codes (broker, coordinator)."""
        return self.broker.stop(), self.coordinator.stop()

    def kill(self):
        self.broker.kill()
        self.coordinator.kill()

    def restart_broker(self, timeout=60):
        """Starts the killed broker again and returns once it serves.

        Kafka gives up when its old session still holds its registration and
        leaves the next try to the operator: that is done here.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.broker.start(timeout)
            except Failed:
                if self.our_broker or time.monotonic() > deadline:
                    raise

    def close(self):
        """Ends both and reports what no daemon may ever write."""
        self.kill()
        panics = [line for daemon in self.daemons for line in daemon.panics()]
        assert not panics, f"a daemon panicked: {panics}"


def run(command, timeout=60, stdin="", environment=None):
    """Runs a program to its end; fails with its whole output unless it exits 0."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | (environment or {}),
        )
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"{command} did not end within {timeout} s: {expired.output}") from None
    if done.returncode != 0:
        raise Failed(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def java_tool(main_class, *arguments, timeout=60, stdin="", peer="kafka39"):
    """Runs one of Kafka's own command-line tools."""
    command = [PEERS / peer / "run", main_class, *arguments]
    return run(command, timeout=timeout, stdin=stdin, environment={"HEAP": "128m"})
