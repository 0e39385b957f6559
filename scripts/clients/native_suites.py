"""librdkafka: its C examples and its own test suite.

The source comes with the crate that binds it, which carries all of it.
"""

import re
import shutil

from core import TOP, call, checks, client, create_topic
from rust_suites import vendored

CRATE, VERSION = "rdkafka-sys", "4.10.0+2.12.1"
# What the tests here use no broker of.
CONFIGURE = ["--disable-gssapi", "--disable-curl", "--disable-ssl"]


def install_librdkafka(place):
    def install():
        crate = vendored(place, CRATE, VERSION)
        source = place.home / "librdkafka"
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(crate / "librdkafka", source)
        call(["chmod", "-R", "u+x", source / "configure", source / "lds-gen.py"])
        call(["./configure", *CONFIGURE], cwd=source)
        call(["make", "-j2", "libs"], cwd=source)
        call(["make", "-C", "tests", "-j2", "build"], cwd=source)
        call(["make", "-C", "examples", "producer", "consumer"], cwd=source)

    place.installed(f"{CRATE} {VERSION}", install)


def examples(place):
    """examples/producer.c sends what it is typed, examples/consumer.c prints it."""
    home = place.home / "librdkafka/examples"
    # Of one partition, whose order is that of sending.
    create_topic(place.bootstrap, "typed", 1)
    lines = [f"line {number}" for number in range(20)]
    typed = place.directory / "typed"
    typed.write_text("".join(f"{line}\n" for line in lines))
    call(["sh", "-c", f"{home}/producer {place.first} typed <{typed}"], timeout=120)
    # It reads until it is ended.
    consumer = f"timeout -s INT 20 stdbuf -oL {home}/consumer {place.first} examples classic typed"
    text, _ = call(["sh", "-c", f"{consumer} 2>&1"], timeout=120, check=False)
    assert re.findall(r"line \d+", text) == lines, text


def outcomes(text):
    kinds = {"PASSED": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
    # The summary, with the colours of a terminal.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    found = re.findall(r"^\|\s*(\d{4}\w*)\s*\|\s*(PASSED|FAILED|SKIPPED)", plain, re.MULTILINE)
    return {name: kinds[outcome] for name, outcome in found}


@client(
    "librdkafka",
    "2.12.1",
    "its C examples, and its own test suite on three brokers (quick form, without the tests "
    "that need no broker)",
    brokers=3,
    keys={"num.partitions": 4},
    install=install_librdkafka,
)
def librdkafka(place):
    tests = place.home / "librdkafka/tests"
    kafka = place.directory / "kafka"
    kafka.mkdir()
    # Some of its tests call kafka-topics.sh.
    (kafka / "bin").symlink_to(TOP / "scripts")
    config = place.directory / "test.conf"
    config.write_text(f"metadata.broker.list={place.bootstrap}\ntest.timeout.multiplier=3\n")
    environment = {
        "RDKAFKA_TEST_CONF": config,
        "TEST_KAFKA_VERSION": "3.9.1",
        "KAFKA_PATH": kafka,
        "BROKERS": place.bootstrap,
        "ZK_ADDRESS": place.zookeeper,
        "LD_LIBRARY_PATH": "../src:../src-cpp",
    }
    text, _ = call(
        # One at a time: those that emulate sockets close each other's.
        ["./test-runner", "-p1", "-Q", "-L"],
        place.directory / "test-runner.log",
        cwd=tests,
        environment=environment,
        check=False,
        timeout=3600,
    )
    return checks([("examples", lambda: examples(place))]) | outcomes(text)
