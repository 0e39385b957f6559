"""Go clients' own tests, from the sources that the module proxy serves."""

import json
import shutil

from core import call, client

RUN_TIME = "30m"
# Without C, the builds take seconds instead of minutes; a module's own list of what its
# tests need may be older than the compiler wants.
BUILD = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}


def install_module(place, path, packages):
    """A writable copy of a module's source, and its tests built once."""

    def install():
        shutil.rmtree(source, ignore_errors=True)
        place.home.joinpath("go.mod").write_text("module place\n")
        wanted = f"{path}@v{place.client.version}"
        where, _ = call(["go", "mod", "download", "-json", wanted], cwd=place.home)
        shutil.copytree(json.loads(where)["Dir"], source)
        call(["chmod", "-R", "u+w", source])
        call(["go", "vet", *packages], cwd=source, environment=BUILD, check=False)

    source = place.home / "source"
    place.installed(f"{path}@v{place.client.version}", install)


def register(name, version, what, path, packages, **options):
    """Registers a module whose function runs some of its packages' tests."""
    return client(
        name,
        version,
        what,
        install=lambda place: install_module(place, path, packages),
        **options,
    )


def go_test(place, packages, *options, environment=None, timeout=3600):
    """Runs `go test` and gives the outcome of each test and subtest.

    A test that the end of the run cuts off has failed.
    """
    command = ["go", "test", "-json", "-count=1", f"-timeout={RUN_TIME}", *options, *packages]
    source, log = place.home / "source", place.directory / "go-test.json"
    environment = BUILD | (environment or {})
    text, _ = call(
        command, log, cwd=source, environment=environment, check=False, timeout=timeout
    )
    return outcomes(text)


def outcomes(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        test = event.get("Test")
        if test is None:
            continue
        ends = {"pass": "passed", "fail": "failed", "skip": "skipped", "run": "failed"}
        if event["Action"] in ends:
            found[test] = ends[event["Action"]]
    return found


@register(
    "franz-go",
    "1.22.3",
    "its own tests of pkg/kgo on three brokers: records through chains of groups with every "
    "balancer, static and cooperative, across rebalances; transactions",
    "github.com/twmb/franz-go",
    ["./pkg/kgo"],
    brokers=3,
)
def franz_go(place):
    environment = {
        "KGO_SEEDS": place.bootstrap,
        "KGO_TEST_RF": 3,
        "KGO_TEST_RECORDS": 20000,
        "KGO_LOG_LEVEL": "none",
    }
    packages, transactions = ["./pkg/kgo"], "TestTxn|TestIssue1034"
    found = go_test(place, packages, "-skip", transactions, environment=environment)
    limit = ("-run", transactions, "-timeout=4m")
    return found | go_test(place, packages, *limit, environment=environment)


@register(
    "kafka-go",
    "0.4.51",
    "its own tests",
    "github.com/segmentio/kafka-go",
    ["./..."],
    standard=True,
    # As its docker-compose.yml starts Kafka.
    keys={
        "broker.id": 1,
        "advertised.listeners": "PLAINTEXT://localhost:9092",
        "message.max.bytes": 200000000,
    },
)
def kafka_go(place):
    environment = {"KAFKA_VERSION": "3.9.1", "KAFKA_SKIP_NETTEST": "1"}
    # These use a consumer group that they have not made whole, and end the whole run.
    broken = "TestReaderConsumerGroup/(verify_offset_committed|consumer_group_commits_on_close)"
    return go_test(place, ["./..."], "-p=1", f"-skip={broken}", environment=environment)
