"""A producer without habits of its own, to tell what a broker makes a client wait
from what a client's library does: it pauses, backs off and remembers nothing.

Its records are `WORD`, which a `History` does not count.
"""

import threading
import time

from kafka.protocol import metadata, producer
from wire import Closed, Connection, make, records_of

WORD = b"-1"
# How long an answer is waited for, by the broker and here, in seconds.
PATIENCE = 1
BETWEEN = 0.3


class Witness(threading.Thread):
    """Sends a record to one partition again and again, each with acks=all."""

    def __init__(self, trio, topic, partition):
        super().__init__(daemon=True)
        self.trio, self.topic, self.partition = trio, topic, partition
        self.ending = threading.Event()
        self.connection, self.leader, self.turn = None, None, 0
        self.last, self.gap = time.monotonic(), 0.0
        # What kept it waiting in the longest gap.
        self.heard, self.reasons = [], []

    def run(self):
        while not self.ending.is_set():
            try:
                code = self.produce()
            except (OSError, Closed) as error:
                code = repr(error)
            if code == 0:
                self.take_note()
                self.ending.wait(BETWEEN)
                continue
            self.heard.append((time.monotonic(), self.leader, code))
            if self.connection:
                self.connection.close()
            self.connection, self.leader = None, None
            self.ending.wait(BETWEEN)

    def take_note(self):
        now = time.monotonic()
        if now - self.last > self.gap:
            self.gap, self.reasons = now - self.last, self.heard
        self.last, self.heard = now, []

    def produce(self):
        """The code of one produce, or why there was none."""
        if not self.connection:
            self.leader = self.find_leader()
            if self.leader is None:
                return "no leader"
            self.connection = self.connect(self.leader)
        part = {"index": self.partition, "records": records_of([WORD])}
        data = {"name": self.topic, "partition_data": [part]}
        asked = make(
            producer.ProduceRequest, 9,
            transactional_id=None, acks=-1, timeout_ms=PATIENCE * 1000, topic_data=[data],
        )  # fmt: skip
        return self.connection.ask(asked).responses[0].partition_responses[0].error_code

    def connect(self, number):
        host, port = self.trio.endpoint(number).split(":")
        # The broker's patience ends first.
        return Connection(int(port), client_id="witness", timeout=PATIENCE + 1, host=host)

    def find_leader(self):
        """The leader, as the first broker tells that knows of one; another is asked
        first each time, for one may be cut off and tell of the past."""
        ids = list(self.trio.ids)
        self.turn = (self.turn + 1) % len(ids)
        for number in ids[self.turn :] + ids[: self.turn]:
            try:
                connection = self.connect(number)
            except OSError:
                continue
            try:
                told = connection.ask(make(metadata.MetadataRequest, 4, topics=[{"name": self.topic}]))
            except (OSError, Closed):
                continue
            finally:
                connection.close()
            for topic in told.topics:
                for each in topic.partitions:
                    if each.partition_index == self.partition and each.leader_id >= 0:
                        return each.leader_id
        return None

    def take_gap(self):
        """The longest wait for an acknowledgement since the last call, and its reasons."""
        gap, reasons = max((self.gap, self.reasons), (time.monotonic() - self.last, self.heard))
        self.gap, self.reasons = 0.0, []
        return gap, reasons

    def end(self):
        self.ending.set()
        self.join(PATIENCE * 10)
