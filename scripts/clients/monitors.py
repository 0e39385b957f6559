"""What watches a cluster from outside: exporters for Prometheus."""

import json
import urllib.request

from core import HERE, checks, client, create_topic, end_group, harness, virtual_environment

PACKAGE = "prometheus-kafka-consumer-group-exporter"
# The newest release of its client that it knows.
NEEDS = ["kafka-python==2.0.2", "six==1.17.0", "setuptools==80.9.0"]


def install_exporter(place):
    def install():
        wanted = f"{PACKAGE}=={place.client.version}"
        virtual_environment(place.home, [wanted, *NEEDS])

    place.installed(f"{PACKAGE} {place.client.version}", install)


@client(
    "group-exporter",
    "0.5.5",
    "the offsets and the lag of a group, read from __consumer_offsets, as Prometheus sees them",
    when="long",
    install=install_exporter,
)
def group_exporter(place):
    port = harness.Ports.take()
    url = f"http://127.0.0.1:{port}/metrics"

    def metrics():
        try:
            return urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
        except OSError:
            return []

    def value(metric, *labels):
        """The value of the metric that has all these labels, or None."""
        for line in metrics():
            if line.startswith(f"{metric}{{") and all(label in line for label in labels):
                return float(line.rsplit(" ", 1)[1])
        return None

    def commit(offset):
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": place.bootstrap, "group.id": "watched"})
        consumer.commit(offsets=[TopicPartition("lagging", 1, offset)], asynchronous=False)
        consumer.close()

    def offsets_and_lag():
        from confluent_kafka import Producer

        create_topic(place.bootstrap, "lagging", 2)
        producer = Producer({"bootstrap.servers": place.bootstrap})
        for number in range(10):
            producer.produce("lagging", f"{number}", partition=1)
        producer.flush(30)
        commit(4)
        command = [place.home / f"venv/bin/{PACKAGE}", "--bootstrap-brokers", place.bootstrap]
        command += ["--port", port, "--from-start", "--high-water-interval", 1]
        command += ["--low-water-interval", 1]
        environment = {"PYTHONPATH": str(HERE / "tutorials/shim")}
        log = place.directory / "exporter.log"
        ready = lambda: bool(metrics())  # noqa: E731
        daemon = harness.Daemon("exporter", command, log, ready, environment)
        daemon.start()
        try:
            at = ('group="watched"', 'topic="lagging"', 'partition="1"')
            offset = lambda: value("kafka_consumer_group_offset", *at)  # noqa: E731
            lag = lambda: value("kafka_consumer_group_lag", *at)  # noqa: E731
            harness.wait_until(lambda: offset() == 4, 60, "the committed offset is seen", 0.5)
            harness.wait_until(lambda: lag() == 6, 60, "the lag is seen", 0.5)
            commit(9)
            harness.wait_until(lambda: (offset(), lag()) == (9, 1), 60, "it follows", 0.5)
        finally:
            daemon.kill()

    return checks([("offsets and lag", offsets_and_lag)])


OVERWATCH = "kafka-overwatch"


def install_overwatch(place):
    wanted = f"{OVERWATCH}=={place.client.version}"
    place.installed(wanted, lambda: virtual_environment(place.home, [wanted]))


@client(
    OVERWATCH,
    "0.5.0.post0",
    "the numbers of topics, partitions and groups, and the lag of a group, by the administrator's "
    "requests, as Prometheus sees them",
    # It listens on 8000 and nowhere else.
    standard=True,
    install=install_overwatch,
)
def overwatch(place):
    from confluent_kafka import Consumer, Producer, TopicPartition

    def values():
        """Each metric with its labels, and its value; none while it does not serve."""
        try:
            text = urllib.request.urlopen("http://127.0.0.1:8000/metrics", timeout=10).read()
        except OSError:
            return {}
        lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def found(metric, *labels):
        chosen = [
            value
            for name, value in values().items()
            if name.startswith(f"{metric}{{") and all(label in name for label in labels)
        ]
        return sum(chosen) if chosen else None

    def counts_and_lag():
        create_topic(place.bootstrap, "watched", 3)
        create_topic(place.bootstrap, "other", 2)
        producer = Producer({"bootstrap.servers": place.bootstrap})
        for number in range(30):
            producer.produce("watched", f"{number}", partition=number % 3)
        producer.flush(30)
        consumer = Consumer({"bootstrap.servers": place.bootstrap, "group.id": "readers"})
        at = [TopicPartition("watched", index, offset) for index, offset in enumerate((4, 10, 1))]
        consumer.commit(offsets=at, asynchronous=False)
        consumer.close()
        settings = {
            "global": {"cluster_scan_interval_in_seconds": 10},
            "clusters": {
                "here": {
                    "cluster_scan_interval_in_seconds": 10,
                    "cluster_config": {"kafka": {"bootstrap.servers": place.bootstrap}},
                    "reporting_config": {
                        "evaluation_period_in_seconds": 3600,
                        "exports": {"local": str(place.directory / "reports")},
                    },
                }
            },
        }
        config = place.directory / "overwatch.yaml"
        # JSON is YAML, too.
        config.write_text(json.dumps(settings))
        command = [place.home / f"venv/bin/{OVERWATCH}", "-c", config]
        log = place.directory / "overwatch.log"
        # Nothing of the cloud that it may also watch is to be looked for.
        environment = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "eu-west-1"}
        daemon = harness.Daemon(OVERWATCH, command, log, lambda: bool(values()), environment)
        daemon.start(120)
        try:
            at = ('consumer_group="readers"', 'topic_name="watched"')
            lag = lambda: found("consumer_group_lag", *at)  # noqa: E731
            harness.wait_until(lambda: lag() == 15, 120, f"the lag is seen: {log}", 1)
            # With __consumer_offsets, which has five.
            assert found("cluster_topics_count") == 3, values()
            assert found("cluster_partitions_count") == 5 + 5, values()
            assert found("cluster_consumer_groups_count") == 1, values()
        finally:
            # It has children of its own.
            end_group(daemon.process)

    return checks([("counts and lag", counts_and_lag)])
