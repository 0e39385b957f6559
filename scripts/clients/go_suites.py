"""Go clients' own tests, from the sources that the module proxy serves."""

import json
import shutil
import urllib.request

import compose
import java_programs
from core import call, client, harness

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
        "KGO_TEST_RECORDS": 5000,
        "KGO_LOG_LEVEL": "none",
    }
    return go_test(place, ["./pkg/kgo"], environment=environment)


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


TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"


def sarama_keys(number):
    """As its docker-compose.yml starts Kafka, one address for each broker."""
    at = f"127.0.1.{number}"
    return {
        "listeners": f"INTERNAL://{at}:9091,LOCAL://{at}:2909{number}",
        "advertised.listeners": f"INTERNAL://{at}:9091,LOCAL://localhost:2909{number}",
        "listener.security.protocol.map": "INTERNAL:PLAINTEXT,LOCAL:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "broker.rack": number,
        "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        "default.replication.factor": 2,
        "offsets.topic.replication.factor": 2,
        "transaction.state.log.replication.factor": 2,
        "auto.create.topics.enable": "false",
        "zookeeper.session.timeout.ms": 6000,
    }


def install_sarama(place):
    install_module(place, "github.com/IBM/sarama", ["-tags=functional", "."])
    java_programs.install("kafka39")
    build = lambda: call(  # noqa: E731
        ["go", "install", TOXIPROXY], environment={"GOBIN": place.home / "proxy", "CGO_ENABLED": 0}
    )
    place.installed(TOXIPROXY, build, place.home / "proxy")


def tell_proxy(path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:8474{path}", json.dumps(body).encode(), {"Content-Type": "text/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()


@client(
    "sarama-tests",
    "1.61.1",
    "its own functional tests on five brokers behind toxiproxy: producers, consumers, groups, "
    "administration, cut connections",
    brokers=5,
    standard=True,
    keys=sarama_keys,
    install=install_sarama,
)
def sarama_tests(place):
    ready = lambda: harness.accepts(8474)  # noqa: E731
    log = place.directory / "toxiproxy.log"
    proxy = harness.Daemon("toxiproxy", [place.home / "proxy/server"], log, ready)
    proxy.start()
    try:
        for number in range(1, 6):
            port = f"2909{number}"
            tell_proxy(
                "/proxies",
                {
                    "name": f"kafka{number}",
                    "listen": f"127.0.0.1:{port}",
                    "upstream": f"127.0.1.{number}:{port}",
                },
            )
        services = {f"kafka-{n}": daemon for n, daemon in enumerate(place.cluster.brokers, 1)}
        with compose.docker(place.directory, services) as environment:
            environment["KAFKA_VERSION"] = "3.9.1"
            options = ("-tags=functional", "-run=^TestFunc")
            return go_test(place, ["."], *options, environment=environment)
    finally:
        proxy.kill()
