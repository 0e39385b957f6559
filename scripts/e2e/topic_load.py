"""Topics that come and go while brokers are struck, and what must be left of them."""

import itertools
import threading

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until

# A topic lives until so many others were created after it.
ALIVE = 5


class TopicLoad(threading.Thread):
    """Creates topics and deletes the oldest, until it is ended."""

    def __init__(self, trio):
        super().__init__(daemon=True)
        self.trio = trio
        self.ending = threading.Event()
        # Acknowledged creations without a deletion that was asked for, and
        # acknowledged deletions.
        self.present, self.absent = [], []
        # Of unknown outcome.
        self.unknown = 0
        self.crashed = None

    def run(self):
        try:
            admin = AdminClient({"bootstrap.servers": self.trio.bootstrap, "log_level": 0})
            for number in itertools.count():
                if self.ending.is_set():
                    return
                self.create(admin, f"load-{number}")
                if len(self.present) > ALIVE:
                    self.delete(admin, self.present.pop(0))
        except Exception as crashed:  # noqa: BLE001
            self.crashed = crashed

    def create(self, admin, name):
        new = NewTopic(name, 2, len(self.trio.ids))
        if self.is_done(lambda: admin.create_topics([new], request_timeout=10)[name]):
            self.present.append(name)

    def delete(self, admin, name):
        if self.is_done(lambda: admin.delete_topics([name], request_timeout=10)[name]):
            self.absent.append(name)

    def is_done(self, ask):
        try:
            ask().result(15)
            return True
        except (KafkaException, TimeoutError):
            self.unknown += 1
            self.ending.wait(0.2)
            return False

    def check(self):
        """Ends it: what was created is there, what was deleted is gone; the counts."""
        self.ending.set()
        self.join(60)
        assert not self.crashed, self.crashed

        def is_so():
            there = set(self.trio.metadata().topics)
            return there.issuperset(self.present) and there.isdisjoint(self.absent)

        wait_until(is_so, 60, f"{self.present} are there and {self.absent[-5:]} gone", 0.5)
        return len(self.present), len(self.absent), self.unknown
