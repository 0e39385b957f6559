"""Transactions that no coordinator will end are found and aborted, by our tool and
by Kafka 3.9.1's own on the same broker.

They hang for the reason that KIP-890 tells of: a batch is late, and reaches the
partition when its transaction is over already. That needs a broker that does not
ask the coordinator first.
"""

import time

import harness
import pytest
from confluent_kafka import Producer
from harness import PEERS, wait_until
from kafka.record import MemoryRecordsBuilder
from test_transactions_tool import KAFKAS, both
from transactions import create, end_offset, read
from wire import REQUESTS, Connection, make

PRODUCE, FIND, INIT, ADD, END, DESCRIBE = 0, 10, 22, 24, 26, 65
TOPIC = "hung"
# Late enough for the longest transaction that is allowed, and not at a minute's turn.
AGE_MS = 20 * 60_000 + 30_000


@pytest.fixture(scope="module")
def cluster(servers, tmp_path_factory):
    keys = {"transaction.partition.verification.enable": "false"}
    made = harness.Cluster(tmp_path_factory.mktemp("hanging"), servers, keys).start()
    create(made.bootstrap, TOPIC, partitions=3)
    yield made
    made.close()


class Late:
    """A producer whose batches may come when its transaction is over."""

    def __init__(self, port, transactional_id):
        self.connection = Connection(port)
        self.id = transactional_id
        found = {"key_type": 1, "key": transactional_id}
        # The coordinator's partitions are made by the first who asks.
        wait_until(lambda: self.ask(FIND, 3, **found).error_code == 0, 60, "a coordinator")
        nobody = {"producer_id": -1, "producer_epoch": -1}
        wanted = {"transactional_id": self.id, "transaction_timeout_ms": 60_000, **nobody}

        def begun():
            answer = self.ask(INIT, 4, **wanted)
            self.owner = {name: getattr(answer, name) for name in nobody}
            return answer.error_code == 0

        wait_until(begun, 60, "the coordinator is loaded")
        self.sequences = {}

    def ask(self, api, version, **fields):
        return self.connection.ask(make(REQUESTS[api], version, **fields))

    def add(self, *partitions):
        named = [{"name": TOPIC, "partitions": list(partitions)}]
        fields = {"transactional_id": self.id, **self.owner, "topics": named}
        fields = {f"v3_and_below_{name}": value for name, value in fields.items()}
        answer = self.ask(ADD, 3, **fields)
        (topic,) = answer.results_by_topic_v3_and_below
        assert {each.partition_error_code for each in topic.results_by_partition} == {0}

    def write(self, partition, value, timestamp):
        sequence = self.sequences.get(partition, 0)
        self.sequences[partition] = sequence + 1
        builder = MemoryRecordsBuilder(
            magic=2,
            compression_type=0,
            batch_size=100_000,
            transactional=True,
            **self.owner,
            base_sequence=sequence,
        )
        builder.append(timestamp=timestamp, key=None, value=value, headers=[])
        builder.close()
        data = [{"index": partition, "records": bytes(builder.buffer())}]
        # An older version: a broker tells new clients more of what went wrong.
        answer = self.ask(
            PRODUCE,
            9,
            transactional_id=self.id,
            acks=-1,
            timeout_ms=30_000,
            topic_data=[{"name": TOPIC, "partition_data": data}],
        )
        (written,) = answer.responses[0].partition_responses
        assert written.error_code == 0
        return written.base_offset

    def end(self, committed):
        fields = {"transactional_id": self.id, **self.owner, "committed": committed}
        assert self.ask(END, 3, **fields).error_code == 0

        def ended():
            state = self.ask(DESCRIBE, 0, transactional_ids=[self.id]).transaction_states[0]
            return state.transaction_state.startswith("Complete")

        wait_until(ended, 60, "the transaction is over")


def test_what_hangs_is_found_and_aborted_by_either_tool(cluster):
    now_ms = int(time.time() * 1000)
    late = Late(cluster.broker_port, "late")
    late.add(0, 1, 2)
    for partition in range(3):
        late.write(partition, b"in time", now_ms)
    late.end(False)
    starts = [late.write(partition, b"too late", now_ms - AGE_MS) for partition in range(3)]
    plain = Producer({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    for partition in range(3):
        plain.produce(TOPIC, b"waits", partition=partition)
    plain.flush(60)

    # Nobody who reads what is committed gets beyond it.
    for partition, start in enumerate(starts):
        assert end_offset(cluster.bootstrap, TOPIC, "read_committed", partition) == start
    search = f"find-hanging --topic {TOPIC}"
    for command in (search, f"{search} --partition 1", "find-hanging --broker-id 0"):
        ours, kafkas = both(cluster, command)
        assert ours == kafkas, command
        assert sum(line.startswith(TOPIC) for line in ours[1]) == (1 if "1" in command else 3)
    ours, kafkas = both(cluster, f"{search} --max-transaction-timeout 30")
    assert ours == kafkas
    assert len(ours[1]) == 1, "it is not that old"

    at = ["--bootstrap-server", cluster.bootstrap]
    tools = [
        [harness.TARGET / "kafka", "transactions", *at],
        [PEERS / "kafka39" / "run", KAFKAS, *at],
    ]
    for partition, tool in enumerate(tools):
        where = ["--topic", TOPIC, "--partition", str(partition)]
        assert harness.run([*tool, "abort", *where, "--start-offset", str(starts[partition])]) == ""
        assert read(cluster.bootstrap, TOPIC, partitions=[partition]) == [b"waits"]
    # As for brokers that cannot tell where a transaction begins.
    told = [f"--{name.replace('_', '-')}={value}" for name, value in late.owner.items()]
    where = ["--topic", TOPIC, "--partition", "2"]
    assert harness.run([*tools[0], "abort", *where, *told, "--coordinator-epoch=0"]) == ""
    assert read(cluster.bootstrap, TOPIC, partitions=[2]) == [b"waits"]

    ours, kafkas = both(cluster, search)
    assert ours == kafkas
    assert len(ours[1]) == 1, "none hangs any more"
    for partition in range(3):
        ours, kafkas = both(cluster, f"describe-producers --topic {TOPIC} --partition {partition}")
        assert ours == kafkas
    # The producer is as good as before.
    late.add(0)
    late.write(0, b"again", now_ms)
    late.end(True)
    assert read(cluster.bootstrap, TOPIC) == [b"waits", b"again"]
