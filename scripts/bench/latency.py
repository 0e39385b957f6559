"""Measures how long a record takes from its producer to a consumer that waits.

Flow: a process of its own sends one record per batch at fixed moments, whether or
not earlier ones were answered (open loop), so that a stall of the broker delays
every record that was due in it. The consumer keeps one long-polling fetch in
flight. A record's offset is its number, so its latency is the moment when it was
received minus the moment when it was due; both sides read the same clock.

**Invariant:** every answer is checked, and every record is received once.
"""

import ctypes
import dataclasses
import multiprocessing
import select
import socket
import time

import loader
import encoding

FETCH_BYTES = 1024 * 1024
PR_SET_TIMERSLACK = 29
PARTITION = 0


@dataclasses.dataclass
class Rate:
    """One run: how many records, and how many of them in a second."""

    port: int
    topic: str
    batch: bytes
    records: int
    per_second: int


def measure(rate):
    """Produces and consumes; returns the latencies in milliseconds, in order of offset."""
    process = multiprocessing.get_context("fork")
    start = time.monotonic() + 0.2
    failed = process.Event()
    producer = process.Process(target=_guard, args=(failed, rate, start))
    producer.start()
    try:
        received = _consume(rate, start + rate.records / rate.per_second + 30, failed)
    finally:
        producer.terminate()
        producer.join()
    return [(at - start - number / rate.per_second) * 1000 for number, at in enumerate(received)]


def _guard(failed, rate, start):
    try:
        _produce(rate, start)
    except BaseException:
        failed.set()
        raise


def _produce(rate, start):
    # A sleep may end 50 us late by default.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1)
    request = encoding.produce(rate.topic, PARTITION, rate.batch, 1)
    answered = 0
    with loader.connect(rate.port) as connection:
        answers = loader.ProduceAnswers(connection, rate.topic)
        for number in range(rate.records):
            due = start + number / rate.per_second
            while (now := time.monotonic()) < due:
                if select.select([connection], [], [], due - now)[0]:
                    answered += answers.receive()
            connection.sendall(request)
            answered += answers.receive(socket.MSG_DONTWAIT)
        while answered < rate.records:
            answered += answers.receive()


def _consume(rate, deadline, failed):
    """The moment when each record was received."""
    received = []
    prefix_size = encoding.fetch_prefix_size(rate.topic)
    with loader.connect(rate.port) as connection:
        while len(received) < rate.records:
            ask = encoding.fetch(rate.topic, PARTITION, len(received), FETCH_BYTES, 1)
            answer = encoding.answer_to(connection, ask)
            now = time.monotonic()
            error, size = encoding.fetch_prefix(rate.topic, answer[:prefix_size])
            count, cut = divmod(size, len(rate.batch))
            if error or cut or len(answer) != prefix_size + size:
                raise RuntimeError(f"fetch at {len(received)}: error {error}, {size} bytes")
            if count and encoding.base_offset(answer, prefix_size) != len(received):
                raise RuntimeError(f"fetch at {len(received)} answered another offset")
            if now > deadline or failed.is_set():
                raise RuntimeError(f"{len(received)} of {rate.records} records arrived")
            received += [now] * count
    return received


def percentile(values, share):
    """The smallest value that is not below this share of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
