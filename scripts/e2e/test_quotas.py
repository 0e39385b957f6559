"""Quotas in effect: the same pauses as Kafka 3.9 asks for, and a connection that keeps them.

Each test is another client, so none inherits what another used. A pause is
compared to what Kafka answers, give or take what the clock moved in between.
"""

import time

import pytest
from beside_kafka import Beside
from harness import wait_until
from wire import REQUESTS, Closed, Connection, make, records

PRODUCE, FETCH, METADATA, API_VERSIONS, ALTER_QUOTAS = 0, 1, 3, 18, 49
CREATE, DELETE, PARTITIONS = 19, 20, 37
THROTTLED = 89


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside")) as both:
        new = {"name": "t", "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
        create = {"topics": [new], "timeout_ms": 5000}
        exists = lambda: all(a["topics"][0]["error_code"] in (0, 36) for a in both.both(CREATE, 5, **create))  # noqa: E731
        wait_until(exists, 60, "both have a topic")
        yield both


def set_quotas(beside, entity, **quotas):
    """Sets them on both, and waits until both keep to them."""
    probe = f"probe-{time.monotonic_ns()}"
    only = [("user", "ANONYMOUS"), ("client-id", probe)]
    entries = [entry(entity, quotas), entry(only, {"request_percentage": 1e-9})]
    for answer in beside.both(ALTER_QUOTAS, 1, entries=entries, validate_only=False):
        assert [each["error_code"] for each in answer["entries"]] == [0, 0]
    for cluster in (beside.ours, beside.kafka):
        connection = Connection(cluster.broker_port, probe)
        request = lambda: make(REQUESTS[METADATA], 7, topics=[], allow_auto_topic_creation=False)  # noqa: E731
        wait_until(lambda: connection.ask(request()).throttle_time_ms > 0, 20, "quotas in effect")
        connection.close()
    removed = [entry(only, {"request_percentage": None})]
    beside.both(ALTER_QUOTAS, 1, entries=removed, validate_only=False)


def entry(entity, quotas):
    entity = [{"entity_type": kind, "entity_name": name} for kind, name in entity]
    ops = [{"key": k, "value": v or 0.0, "remove": v is None} for k, v in quotas.items()]
    return {"entity": entity, "ops": ops}


def clients(beside, name):
    return [Connection(each.broker_port, name) for each in (beside.ours, beside.kafka)]


def produce(connection, count, acks=-1):
    data = [{"index": 0, "records": records(count, size=100)}]
    fields = {"transactional_id": None, "acks": acks, "timeout_ms": 5000}
    request = make(REQUESTS[PRODUCE], 7, topic_data=[{"name": "t", "partition_data": data}], **fields)
    return connection.ask(request).throttle_time_ms


def fetch(connection, bytes_max=1 << 20):
    partition = {
        "partition": 0, "current_leader_epoch": -1, "fetch_offset": 0, "last_fetched_epoch": -1,
        "log_start_offset": -1, "partition_max_bytes": bytes_max,
    }  # fmt: skip
    fields = {
        "replica_id": -1, "max_wait_ms": 100, "min_bytes": 1, "max_bytes": bytes_max,
        "session_epoch": -1, "rack_id": "", "forgotten_topics_data": [],
        "topics": [{"topic": "t", "partitions": [partition]}],
    }  # fmt: skip
    return connection.ask(make(REQUESTS[FETCH], 11, **fields))


def ask_anything(connection):
    request = make(REQUESTS[METADATA], 7, topics=[], allow_auto_topic_creation=False)
    return connection.ask(request)


def near(ours, kafka, pause=200):
    return abs(ours - kafka) <= pause


def test_produced_bytes(beside):
    set_quotas(beside, [("client-id", "producer")], producer_byte_rate=3000)
    pauses = []
    for connection in clients(beside, "producer"):
        first, second = produce(connection, 10), 0
        before = time.monotonic()
        second = produce(connection, 200)
        ask_anything(connection)
        # What is asked next is answered when the pause is over.
        assert time.monotonic() - before >= second / 1000
        pauses.append((first, second))
    (mine, my_second), (theirs, their_second) = pauses
    assert mine == theirs == 0
    assert my_second > 500 and near(my_second, their_second), pauses


def test_fetched_bytes(beside):
    for each in clients(beside, "plain"):
        for _ in range(10):
            produce(each, 20)
    set_quotas(beside, [("client-id", "consumer")], consumer_byte_rate=2500)
    pauses = []
    for connection in clients(beside, "consumer"):
        # What is under ten windows' worth comes, and then nothing before the pause is over.
        answers = [fetch(connection, 18_000) for _ in range(2)]
        lengths = [len(answer.responses[0].partitions[0].records) if answer.responses else 0 for answer in answers]
        assert lengths[0] > 0 == answers[0].throttle_time_ms, lengths
        assert lengths[1] == 0 < answers[1].throttle_time_ms, lengths
        pauses.append(answers[1].throttle_time_ms)
    assert near(*pauses), pauses


def test_time_of_requests(beside):
    set_quotas(beside, [("client-id", "busy")], request_percentage=1e-6)
    for connection in clients(beside, "busy"):
        before = time.monotonic()
        # Never more than a window.
        assert ask_anything(connection).throttle_time_ms == 1000
        assert ask_anything(connection).throttle_time_ms == 1000
        assert time.monotonic() - before >= 1


def test_every_api_tells_the_pause(beside):
    """Also those which have the field elsewhere."""
    set_quotas(beside, [("client-id", "any")], request_percentage=1e-6)
    asked = [
        (API_VERSIONS, 1, {}), (API_VERSIONS, 3, {"client_software_name": "a", "client_software_version": "1"}),
        (47, 0, {"group_id": "g", "topics": []}),
        (16, 4, {"states_filter": []}), (48, 1, {"components": [], "strict": False}),
        (32, 4, {"resources": []}), (60, 0, {"include_cluster_authorized_operations": False}),
    ]  # fmt: skip
    for key, version, fields in asked:
        for connection, whose in zip(clients(beside, "any"), ("ours", "Kafka's")):
            answer = connection.ask(make(REQUESTS[key], version, **fields))
            assert answer.throttle_time_ms == 1000, (whose, key, version, answer)
            connection.close()


def topics(stem, count, partitions):
    new = {"replication_factor": 1, "assignments": [], "configs": [], "num_partitions": partitions}
    return [new | {"name": f"{stem}-{number}"} for number in range(count)]


def test_controller_mutations(beside):
    set_quotas(beside, [("client-id", "admin")], controller_mutation_rate=1)

    def create(connection, version, stem, count, partitions):
        fields = {"topics": topics(stem, count, partitions), "timeout_ms": 10_000}
        answer = connection.ask(make(REQUESTS[CREATE], version, **fields))
        return [topic.error_code for topic in answer.topics], answer.throttle_time_ms

    seen = []
    for connection in clients(beside, "admin"):
        # Eleven windows' worth is there: more is borrowed once, then refused.
        strict = create(connection, 6, "strict", 3, 6)
        assert sorted(strict[0]) == [0, 0, THROTTLED]
        named = {"topic_names": ["strict-0", "strict-1"], "timeout_ms": 10_000}
        connection.close()
        seen.append((strict, named))
    (mine, _), (theirs, _) = seen
    assert near(mine[1], theirs[1], 900), seen
    assert mine[1] > 0
    set_quotas(beside, [("client-id", "old-admin")], controller_mutation_rate=2)
    for connection in clients(beside, "old-admin"):
        # What is older is only made to pause.
        codes, pause = create(connection, 5, "permissive", 2, 12)
        assert codes == [0, 0] and pause >= 0
        connection.close()
    for connection in clients(beside, "old-admin"):
        named = {"topic_names": ["permissive-0"], "timeout_ms": 10_000}
        answer = connection.ask(make(REQUESTS[DELETE], 5, **named))
        assert answer.responses[0].error_code in (0, THROTTLED)
        connection.close()


def test_the_most_specific_quota_counts(beside):
    set_quotas(beside, [("client-id", None)], request_percentage=1e-6)
    set_quotas(beside, [("client-id", "free")], request_percentage=1e9)
    for connection in clients(beside, "free"):
        assert ask_anything(connection).throttle_time_ms == 0
    for connection in clients(beside, "someone"):
        assert ask_anything(connection).throttle_time_ms == 1000
    set_quotas(beside, [("user", None)], request_percentage=1e9)
    for connection in clients(beside, "someone"):
        assert ask_anything(connection).throttle_time_ms == 0
    set_quotas(beside, [("user", "ANONYMOUS"), ("client-id", "someone")], request_percentage=1e-6)
    for connection in clients(beside, "someone"):
        assert ask_anything(connection).throttle_time_ms == 1000
    for entity in ([("client-id", None)], [("user", None)], [("user", "ANONYMOUS"), ("client-id", "someone")]):
        set_quotas(beside, entity, request_percentage=None)


def test_connections_of_an_address(beside):
    set_quotas(beside, [("ip", "127.0.0.1")], connection_creation_rate=1)
    served = []
    for cluster in (beside.ours, beside.kafka):
        count = 0
        for _ in range(15):
            try:
                connection = Connection(cluster.broker_port, "many")
                ask_anything(connection)
                connection.close()
                count += 1
            except (Closed, ConnectionError):
                pass
        served.append(count)
    for each in beside.connections:
        each.close()
    # Ten windows' worth, and what the time in between allowed.
    assert all(9 <= count < 15 for count in served), served
