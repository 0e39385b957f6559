#!/usr/bin/env python3
"""An idempotent producer whose answers get lost, beyond what fits into the suite.

cuts.py [--retries 10000] [--restarts 20] [--servers odradek] [--seed 1] [--keep]

Flow: a `CuttingProxy` stands between producer and broker. It hands requests on,
and when the answer to a Produce request comes it may drop the connection
instead: the broker has the records and the producer does not know. The broker
is killed and restarted meanwhile.

**Invariant:** every record is there once, and in the order it was sent.

Needs the release binaries and the environment that scripts/test.sh prepares.
"""

import argparse
import random
import shutil
import socket
import struct
import sys
import tempfile
import threading

from confluent_kafka import Consumer, Producer, TopicPartition
from harness import SERVERS, Cluster, Failed, Ports, wait_until

PRODUCE = 0
# How many of the Produce answers get lost.
SHARE = 0.4


def produced(frame):
    """The number of a Produce request, by which its answer is known."""
    key, _, correlation = struct.unpack_from(">hhi", frame)
    return correlation if key == PRODUCE else None


class CuttingProxy:
    """Forwards to `target` and loses a share of the answers to requests of which
    `watched` gives the number: the first word of the answer."""

    def __init__(self, port, target, seed, share=SHARE, watched=produced):
        self.lost = 0
        self.calm = False
        self.watched = watched
        self._share = share
        self._target = target
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            pair = _Pair(self, client, broker)
            for run in (pair.requests, pair.answers):
                threading.Thread(target=run, daemon=True).start()

    def must_cut(self):
        return not self.calm and self._random.random() < self._share


class _Pair:
    """A client's connection and the one to the broker behind it."""

    def __init__(self, proxy, client, broker):
        self.proxy, self.client, self.broker = proxy, client, broker
        self.under_way = set()

    def close(self):
        for each in (self.client, self.broker):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def requests(self):
        try:
            while frame := read_frame(self.client):
                number = self.proxy.watched(frame)
                if number is not None:
                    self.under_way.add(number)
                send_frame(self.broker, frame)
        except OSError:
            pass
        self.close()

    def answers(self):
        try:
            while frame := read_frame(self.broker):
                (correlation,) = struct.unpack_from(">i", frame)
                if correlation in self.under_way and self.proxy.must_cut():
                    break
                self.under_way.discard(correlation)
                send_frame(self.client, frame)
        except OSError:
            pass
        # All that were under way are sent again.
        self.proxy.lost += len(self.under_way)
        self.under_way.clear()
        self.close()


def read_frame(source):
    """The next frame's body; empty when the peer closed."""
    prefix = read(source, 4)
    return read(source, struct.unpack(">i", prefix)[0]) if prefix else b""


def read(source, count):
    data = bytearray()
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            return b""
        data += more
    return bytes(data)


def send_frame(target, frame):
    target.sendall(struct.pack(">i", len(frame)) + frame)


def new_cluster(directory, servers):
    """A cluster whose clients come through a port of their own, and that port."""
    port = Ports.take()
    advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    return Cluster(directory, servers, advertised), port


def lose_answers(cluster, port, retries, restarts, seed, report=lambda text: None):
    """Produces until so many answers were lost; the number of records checked."""
    proxy = CuttingProxy(port, cluster.broker_port, seed)
    topic, failed = "cuts", []
    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "enable.idempotence": True,
            "linger.ms": 1,
            "batch.num.messages": 20,
            "message.timeout.ms": 300000,
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 10,
            "reconnect.backoff.ms": 1,
            "reconnect.backoff.max.ms": 20,
            "log_level": 2,
        }
    )
    sent, restarted = 0, 0
    try:
        while proxy.lost < retries:
            for _ in range(100):
                producer.produce(
                    topic,
                    str(sent).encode(),
                    partition=0,
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                )
                sent += 1
            # Enough under way for several requests at a time, no more.
            wait_until(lambda: producer.poll(0.01) >= 0 and len(producer) < 400, 120, "progress")
            if failed:
                raise Failed(f"a record was given up: {failed[0]}")
            if proxy.lost * (restarts + 1) >= retries * (restarted + 1) and restarted < restarts:
                restarted += 1
                cluster.broker.kill()
                cluster.restart_broker()
                report(f"{proxy.lost} answers lost, {restarted} restarts, {sent} records")
        proxy.calm = True
        if producer.flush(120) or failed:
            raise Failed(f"records were given up: {failed[:3]}")
        check(port, topic, sent)
    finally:
        proxy.close()
    return sent


def check(port, topic, count):
    """Each number once, in order, and nothing behind the last."""
    consumer = Consumer(
        {"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "cuts", "enable.auto.commit": False}
    )
    partition = TopicPartition(topic, 0, 0)
    consumer.assign([partition])
    _, end = consumer.get_watermark_offsets(partition, timeout=30)
    if end != count:
        raise Failed(f"{count} records were sent and {end} are there")
    for number in range(count):
        got = consumer.poll(30)
        if got is None or got.error():
            raise Failed(f"record {number} cannot be read: {got and got.error()}")
        if int(got.value()) != number:
            raise Failed(f"record {int(got.value())} is in the place of {number}")
    consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--retries", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", choices=list(SERVERS), default="odradek")
    parser.add_argument("--keep", action="store_true", help="keep the data and logs")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="cuts-")
    cluster, port = new_cluster(directory, options.servers)
    try:
        cluster.start()
        count = lose_answers(
            cluster, port, options.retries, options.restarts, options.seed, report=print
        )
        cluster.close()
    except Failed as failed:
        sys.exit(f"FAILED (data and logs in {directory})\n{failed}")
    finally:
        cluster.kill()
    print(f"{options.retries} answers lost: {count} records, each there once and in order")
    if not options.keep:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
