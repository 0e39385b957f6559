"""Loads one broker over raw sockets, with requests that were encoded before.

Flow: two connections, each with its own thread and its own partitions, keep a
number of requests in flight. What comes back from a fetch is checked in full once
per partition; after that only its head is read, and the kernel drops the rest
(MSG_TRUNC), so that the loader costs as little as it can. Small requests are sent
together as far as answers have made room for them.

**Invariant:** every answer is checked for its error code and its size.
"""

import collections
import dataclasses
import socket
import struct
import threading
import time

import encoding

CONNECTIONS = 2
PARTITIONS = 4
SOCKET_BUFFER = 4 * 1024 * 1024


@dataclasses.dataclass
class Plan:
    """One run: a topic, the batch that fills it, and how many go to each partition."""

    port: int
    topic: str
    batch: bytes
    records_per_batch: int
    batches_per_partition: int
    in_flight: int

    @property
    def bytes(self):
        return len(self.batch) * self.batches_per_partition * PARTITIONS


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def create_topic(plan):
    """Creates the topic and returns once all its partitions can be fetched."""
    create = encoding.create_topic(plan.topic, PARTITIONS)
    asks = [encoding.fetch(plan.topic, each, 0, 1, 1) for each in range(PARTITIONS)]
    with connect(plan.port) as connection:
        # A broker that has just started may not know itself yet.
        until_no_error(
            lambda: encoding.create_topic_error(plan.topic, encoding.answer_to(connection, create)),
            f"topic {plan.topic} cannot be created",
        )
        for ask in asks:
            until_no_error(
                lambda ask=ask: encoding.fetch_error(plan.topic, encoding.answer_to(connection, ask)),
                f"{plan.topic} has a partition without a leader",
            )


def until_no_error(attempt, what, timeout=30):
    """Repeats an attempt until its error code is 0."""
    deadline = time.monotonic() + timeout
    while error := attempt():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: error {error}")
        time.sleep(0.05)


def delete_topic(plan):
    with connect(plan.port) as connection:
        encoding.answer_to(connection, encoding.delete_topic(plan.topic))


def in_parallel(work, count=CONNECTIONS):
    """Runs `work(connection number)` in one thread each; returns the seconds taken."""
    failures = []

    def run(number):
        try:
            work(number)
        except Exception as failure:  # noqa: BLE001 - told to the caller below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(each,)) for each in range(count)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.monotonic() - started


def partitions_of(number):
    return range(number, PARTITIONS, CONNECTIONS)


def produce(plan):
    """Produces the plan with acks=all; returns the seconds taken."""
    requests = [encoding.produce(plan.topic, each, plan.batch, each) for each in range(PARTITIONS)]
    size = len(requests[0])

    def work(number):
        partitions = [requests[each] for each in partitions_of(number)]
        # Any run of requests that may be sent at once is a slice of this.
        block = memoryview(b"".join(partitions) * (2 + plan.in_flight // len(partitions)))
        total = len(partitions) * plan.batches_per_partition
        sent = answered = 0
        with connect(plan.port) as connection:
            answers = ProduceAnswers(connection, plan.topic)
            while answered < total:
                count = min(plan.in_flight - (sent - answered), total - sent)
                first = sent % len(partitions)
                connection.sendall(block[first * size : (first + count) * size])
                sent += count
                answered += answers.receive()

    return in_parallel(work)


class ProduceAnswers:
    """Reads the answers that have arrived; they all have the same size."""

    def __init__(self, connection, topic):
        self.connection = connection
        self.answer = encoding.produce_answer(topic)
        self.rest = b""

    def receive(self, flags=0):
        """Waits for bytes (unless the flags say no); returns how many answers are complete."""
        try:
            received = self.connection.recv(65536, flags)
        except BlockingIOError:
            return 0
        if not received:
            raise ConnectionError("the broker closed the connection")
        data = self.rest + received
        whole = len(data) - len(data) % self.answer.size
        self.rest = data[whole:]
        for size, error in self.answer.iter_unpack(data[:whole]):
            if size != self.answer.size - 4 or error:
                raise RuntimeError(f"produce failed with error {error}")
        return whole // self.answer.size


def fetch(plan):
    """Fetches everything back, one batch per request; returns the seconds taken."""
    size = len(plan.batch)

    def work(number):
        queue = [
            (partition, position * plan.records_per_batch)
            for position in range(plan.batches_per_partition)
            for partition in partitions_of(number)
        ]
        waiting = collections.deque()
        with connect(plan.port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
            for partition, offset in queue:
                if len(waiting) >= plan.in_flight:
                    read_fetch_answer(connection, plan, waiting.popleft())
                connection.sendall(encoding.fetch(plan.topic, partition, offset, size, 1))
                waiting.append(offset)
            while waiting:
                read_fetch_answer(connection, plan, waiting.popleft())

    return in_parallel(work)


def read_fetch_answer(connection, plan, offset):
    """Reads one answer: all of the first batch, else only as far as its base offset."""
    prefix_size = encoding.fetch_prefix_size(plan.topic)
    head = encoding.receive(connection, 4 + prefix_size + 8)
    (answer_size,) = struct.unpack_from(">i", head)
    error, size = encoding.fetch_prefix(plan.topic, head[4 : 4 + prefix_size])
    base = encoding.base_offset(head, 4 + prefix_size)
    if error or size != len(plan.batch) or answer_size != prefix_size + size or base != offset:
        raise RuntimeError(f"fetch at {offset}: error {error}, {size} bytes from offset {base}")
    rest = size - 8
    if offset == 0:
        # The broker sets base offset and leader epoch; the rest is as it was sent.
        received = encoding.receive(connection, rest)
        if received[:4] + received[8:] != plan.batch[8:12] + plan.batch[16:]:
            raise RuntimeError("a batch came back different")
        return
    while rest:
        got = connection.recv_into(_DROPPED, min(rest, len(_DROPPED)), socket.MSG_TRUNC)
        if not got:
            raise ConnectionError("the broker closed the connection")
        rest -= got


_DROPPED = bytearray(SOCKET_BUFFER)
