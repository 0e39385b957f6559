"""Clients' own tests that only their repositories have: aiokafka's and KafkaJS's.

They are fetched with git by the tag of the release; git's `url.*.insteadOf` names
another place to fetch from.
"""

import os
import re
import shutil

import compose
from core import HERE, call, client, junit, virtual_environment


def checkout(place, url):
    """The repository at the release's tag."""
    source = place.home / "source"
    shutil.rmtree(source, ignore_errors=True)
    tag = f"v{place.client.version}"
    call(["git", "clone", "-q", "--depth", "1", "--branch", tag, url, source])
    return source


# What they want beside a broker without TLS and SASL.
AIOKAFKA_TESTS = ["pytest==9.0.2", "pytest-asyncio==1.3.0", "pytest-mock==3.15.1"]
AIOKAFKA_TESTS += ["pytest-timeout==2.4.0", "async-timeout==5.0.1", "cramjam==2.11.0"]


def install_aiokafka(place):
    def install():
        source = checkout(place, "https://github.com/aio-libs/aiokafka")
        python = virtual_environment(place.home, AIOKAFKA_TESTS)
        pip = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
        call([*pip, "install", "-e", source])

    place.installed(f"aiokafka {place.client.version}: {' '.join(AIOKAFKA_TESTS)}", install)
    shutil.copy(HERE / "programs/docker_of_aiokafka.py", place.home / "source/docker.py")


@client(
    "aiokafka-tests",
    "0.14.0",
    "its own tests that want a broker, without those of TLS and SASL",
    # Its tests start the daemons, by what they take for docker.
    brokers=0,
    install=install_aiokafka,
)
def aiokafka_tests(place):
    source = place.home / "source"
    # There, they would be made by the server's own tools.
    (source / "tests/ssl_cert").mkdir(exist_ok=True)
    # Makes a key for Kerberos, which is not tested.
    tools = place.directory / "tools"
    tools.mkdir()
    compose.program(tools / "ktutil", "#!/bin/sh\n")
    report = place.directory / "report.xml"
    command = [place.home / "venv/bin/python", "-m", "pytest", "-q", f"--junit-xml={report}"]
    options = ["-p", "no:cacheprovider", "--timeout=180", "-k", "not ssl and not sasl"]
    # The tag's second part says the version.
    options += ["--docker-image", "kafka:2.13_3.9.1", "--no-pull"]
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "ODRADEK_SUITE": HERE.parent / "e2e",
        "ODRADEK_SERVERS": place.servers,
        "ODRADEK_DIRECTORY": place.directory / "cluster",
    }
    log = place.directory / "pytest.log"
    wanting = wanting_broker(source)
    command += [*options, *sorted({path for path, _ in wanting})]
    call(command, log, cwd=source, environment=environment, check=False)
    classes = {name for _, name in wanting}
    outcomes = junit(report, "tests.")
    return {name: kind for name, kind in outcomes.items() if name.split(".")[1] in classes}


def wanting_broker(source):
    """The tests that get a broker: file and class."""
    found = set()
    for path in (source / "tests").rglob("test_*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("class ") and "(KafkaIntegrationTestCase)" in line:
                found.add((path, line.removeprefix("class ").split("(")[0]))
    return found


def kafkajs_keys(number):
    """As its docker-compose.2_4.yml starts three, without TLS and SASL."""
    port = 9092 + 3 * (number - 1)
    return {
        "broker.id": number - 1,
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "advertised.listeners": f"PLAINTEXT://localhost:{port}",
        "default.replication.factor": 2,
        "num.partitions": 2,
        "offsets.topic.replication.factor": 3,
        "transaction.state.log.replication.factor": 3,
        "transaction.state.log.min.isr": 2,
        "zookeeper.session.timeout.ms": 6000,
    }


# What wants TLS or SASL.
SECURED = "SSL|SASL|TLS|OAUTHBEARER|SCRAM"


def install_kafkajs(place):
    def install():
        source = checkout(place, "https://github.com/tulios/kafkajs")
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
        call(["npm", "install", *options], cwd=source)

    place.installed(f"kafkajs {place.client.version}", install)


@client(
    "kafkajs-tests",
    "2.2.4",
    "its own tests of producers, consumers and the administrator on three brokers, without those "
    "of TLS, SASL and ACLs",
    brokers=3,
    standard=True,
    keys=kafkajs_keys,
    install=install_kafkajs,
)
def kafkajs_tests(place):
    source = place.home / "source"
    report = place.directory / "report.xml"
    command = ["node", source / "node_modules/.bin/jest", "--ci", "--no-watchman", "--forceExit"]
    options = ["--runInBand", "--testPathPattern", "src/(producer|consumer|admin)/.*"]
    options += ["--testPathIgnorePatterns", "/node_modules/", "Acls"]
    services = {f"kafka{n}": daemon for n, daemon in enumerate(place.cluster.brokers, 1)}
    with compose.docker(place.directory, services) as environment:
        environment |= {
            "KAFKA_VERSION": "2.4",
            "NODE_ENV": "test",
            "KAFKAJS_DEBUG_PROTOCOL_BUFFERS": 1,
            "JEST_JUNIT_OUTPUT_DIR": report.parent,
            "JEST_JUNIT_OUTPUT_NAME": report.name,
            # Else it names each test only by its last words.
            "JEST_JUNIT_CLASSNAME": "{filename}: {classname}",
            "JEST_JUNIT_TITLE": "{title}",
        }
        log = place.directory / "jest.log"
        call([*command, *options], log, cwd=source, environment=environment, check=False)
    outcomes = junit(report)
    return {name: kind for name, kind in outcomes.items() if not re.search(SECURED, name)}
