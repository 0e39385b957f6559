"""JavaScript's clients of Kafka 0.8 to 1.0, from npm: kafka-node and no-kafka."""

from core import HERE, call, checks, client, create_topic, junit
from node_clients import npm_install

# What no-kafka's tests are written for.
MOCHA = ("mocha@3", "mocha-junit-reporter@1", "chai@3", "chai-as-promised@5")
MOCHA += ("sinon@1", "sinon-chai@2")


def install_kafka_node(place):
    """Without the optional snappy, which is to be compiled."""
    install = lambda: npm_install(place, "kafka-node", "--ignore-scripts", "--no-optional")  # noqa: E731
    place.installed(f"kafka-node {place.client.version}", install)


def tour_of(place, kind, server):
    def whole():
        create_topic(place.bootstrap, "old-tour", 3)
        modules = {"NODE_PATH": place.home / "node_modules"}
        command = ["node", HERE / "node/old_tour.js", kind, server, "old-tour"]
        text, _ = call(command, timeout=120, environment=modules)
        assert text.rstrip().endswith("done"), text

    return checks([("tour", whole)])


@client(
    "kafka-node",
    "5.0.0",
    "a program that produces, reads as a group, looks up offsets and commits, describes the group",
    install=install_kafka_node,
)
def kafka_node(place):
    return tour_of(place, "broker", place.bootstrap)


@client(
    "kafka-node-2.6",
    "2.6.1",
    "a program that finds brokers by ZooKeeper, produces, and reads as a group of the high level "
    "consumer, which meets in ZooKeeper",
    install=install_kafka_node,
)
def kafka_node_by_zookeeper(place):
    return tour_of(place, "zookeeper", place.zookeeper)


def install_no_kafka(place):
    def install():
        npm_install(place, "no-kafka", "--ignore-scripts")
        options = ["--no-audit", "--legacy-peer-deps", "--ignore-scripts"]
        call(["npm", "install", *options, *MOCHA], cwd=place.home)

    place.installed(f"no-kafka {place.client.version}", install)


@client(
    "no-kafka",
    "3.4.3",
    "its own tests: producers, simple and group consumers, strategies, compression, administration",
    keys={"auto.create.topics.enable": "false"},
    standard=True,
    install=install_no_kafka,
)
def no_kafka(place):
    create_topic(place.bootstrap, "kafka-test-topic", 3)
    source = place.home / "node_modules/no-kafka"
    report = place.directory / "mocha.xml"
    command = [place.home / "node_modules/.bin/mocha", "--opts", "test/mocha.opts"]
    command += ["--reporter", "mocha-junit-reporter", "test"]
    environment = {"MOCHA_FILE": report}
    call(command, cwd=source, timeout=300, environment=environment, check=False)
    return junit(report)
