"""What watches a cluster from outside: exporters for Prometheus."""

import urllib.request

from core import HERE, checks, client, create_topic, harness, virtual_environment

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
