"""Rust clients' own tests, from the sources that crates.io serves."""

import re
import shutil

from core import CACHE, call, client, create_topic

TARGET = CACHE / "rust-target"


def vendored(place, name, version):
    """The folder with a crate's source as crates.io serves it."""
    # Cargo keeps the sources of what a package needs; this one needs only the crate.
    (place.home / "src").mkdir(exist_ok=True)
    (place.home / "src/lib.rs").touch()
    (place.home / "Cargo.toml").write_text(
        '[package]\nname = "place"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n\n'
        f'[dependencies]\n{name} = "={version}"\n'
    )
    call(["cargo", "vendor", "--versioned-dirs", "vendor"], cwd=place.home)
    return place.home / f"vendor/{name}-{version}"


def install_crate(place, name, options, newer=()):
    """A writable copy of a crate, and its tests built once.

    `newer` are those of its locked libraries that a compiler of today does not take.
    """
    version = place.client.version
    folder = place.home / f"{name}-{version}"

    def install():
        crate = vendored(place, name, version)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(crate, folder)
        # It may name a compiler that is not here.
        (folder / "rust-toolchain.toml").unlink(missing_ok=True)
        # It is no member of the workspace around it.
        with open(folder / "Cargo.toml", "a") as manifest:
            manifest.write("\n[workspace]\n")
        for library in newer:
            call(["cargo", "update", "-p", library], cwd=folder)
        call(["cargo", "test", "--no-run", *options], cwd=folder, environment=cargo())

    place.installed(f"{name} {version}", install)


def cargo():
    return {"CARGO_TARGET_DIR": TARGET, "CARGO_PROFILE_DEV_DEBUG": 0, "CARGO_PROFILE_TEST_DEBUG": 0}


KINDS = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def outcomes(text):
    """What libtest's lines say of each test, by the file that it is in.

    What a test prints may stand before its outcome, which is then at a line's end.
    """
    found, file, running = {}, "", None
    for line in text.splitlines():
        if match := re.match(r"\s*Running (?:unittests )?(\S+)", line):
            file = match[1].removeprefix("tests/").removesuffix(".rs")
        elif match := re.match(r"test (\S+)(?: - should panic)? \.\.\.", line):
            running = f"{file}::{match[1]}"
            found[running] = "failed"
        ending = re.search(r"(?:^|\s)(ok|FAILED|ignored)(?:, .*)?$", line)
        if running and ending:
            found[running] = KINDS[ending[1]]
            running = None
    return found


def cargo_test(place, name, options, environment):
    folder = place.home / f"{name}-{place.client.version}"
    command = ["cargo", "test", "--no-fail-fast", *options]
    text, _ = call(
        command,
        place.directory / "cargo-test.log",
        cwd=folder,
        environment=cargo() | environment,
        check=False,
        timeout=1800,
    )
    return outcomes(text)


@client(
    "rdkafka",
    "0.39.0",
    "its own tests, on the librdkafka that it bundles",
    standard=True,
    # As its docker-compose.yaml starts Kafka.
    keys={"num.partitions": 3, "advertised.listeners": "PLAINTEXT://localhost:9092"},
    install=lambda place: install_crate(place, "rdkafka", ["--tests"]),
)
def rdkafka(place):
    options = ["--tests", "--offline", "--", "--test-threads=1"]
    return cargo_test(place, "rdkafka", options, {"KAFKA_VERSION": "3.9.1"})


@client(
    "kafka-rust",
    "0.10.0",
    "its own tests",
    standard=True,
    # As its docker-compose.yml starts Kafka.
    keys={"num.partitions": 2, "advertised.listeners": "PLAINTEXT://localhost:9092"},
    install=lambda place: install_crate(
        place, "kafka", ["--tests", "--features", "integration_tests"]
    ),
)
def kafka_rust(place):
    # Its docker-compose.yml makes these.
    for topic in ("kafka-rust-test", "kafka-rust-test2"):
        create_topic(place.bootstrap, topic, 2)
    options = ["--tests", "--offline", "--features", "integration_tests", "--", "--test-threads=1"]
    return cargo_test(place, "kafka", options, {})


# What its docker compose adds to three brokers: a SASL listener, a proxy, a JVM in the test.
RSKAFKA_NOT_HERE = ["--skip=test_sasl", "--skip=test_socks5", "--skip=java"]


@client(
    "rskafka",
    "0.6.0",
    "its own tests on three brokers, and what it and librdkafka write to each other in every "
    "codec; without SASL, SOCKS5 and the JVM",
    brokers=3,
    # As its docker-compose-kafka.yml starts Kafka.
    keys={"auto.create.topics.enable": "false"},
    install=lambda place: install_crate(
        place, "rskafka", ["--tests", "--all-features"], newer=["rsasl"]
    ),
)
def rskafka(place):
    environment = {
        "TEST_INTEGRATION": 1,
        "TEST_BROKER_IMPL": "kafka",
        # The first serves nobody, as its own runs have it.
        "KAFKA_CONNECT": f"127.0.0.1:1,{place.bootstrap}",
    }
    # Not those inside the library, which want no broker.
    options = ["--test=*", "--all-features", "--offline", "--", *RSKAFKA_NOT_HERE]
    return cargo_test(place, "rskafka", options, environment)
