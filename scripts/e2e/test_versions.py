"""Every version of every API that the broker lists, spoken by another codec.

kafka-python encodes each request and decodes each answer; what it decoded is
encoded again and must give the bytes that came, so that no field is missing,
left over or of another width. No server but a broker is needed, and a real
Kafka 3.9 passes the same tests (`--servers apache`).
"""

import uuid

import pytest
from harness import PEERS, TOP, run, wait_until
from kafka.protocol import admin, consumer, metadata, producer, sasl
from wire import REQUESTS, Connection, make, records

REQUESTS |= {each.API_KEY: each for each in (sasl.SaslHandshakeRequest, sasl.SaslAuthenticateRequest)}

# LeaderAndIsr to ControlledShutdown, AlterPartition, AllocateProducerIds.
BETWEEN_BROKERS = (4, 5, 6, 7, 56, 67)
# Delegation tokens and KIP-848: not in this codec, but in Java's.
IN_JAVA_ONLY = (38, 39, 40, 41, 68, 69)
RANGE_METADATA = b"\x00\x01\x00\x00\x00\x00\xff\xff\xff\xff"


def listed(connection):
    """What the broker lists: API key -> first and last version."""
    answer = connection.ask(make(metadata.ApiVersionsRequest, 0))
    assert answer.error_code == 0
    return {key.api_key: (key.min_version, key.max_version) for key in answer.api_keys}


class Fields:
    """The fields of one request of each API, by the API's name."""

    def __init__(self, topic, topic_id, group, unique):
        self.topic, self.topic_id, self.group, self.unique = topic, topic_id, group, unique

    def by_name_or_id(self, version, ids_from, name="topic", **fields):
        if version >= ids_from:
            return {"topic_id": self.topic_id, **fields}
        return {name: self.topic, **fields}

    def produce(self, version):
        data = [{"index": 0, "records": records()}]
        topic = self.by_name_or_id(version, 13, "name", partition_data=data)
        return {"transactional_id": None, "acks": -1, "timeout_ms": 5000, "topic_data": [topic]}

    def fetch(self, version):
        partition = {
            "partition": 0, "current_leader_epoch": -1, "fetch_offset": 0,
            "last_fetched_epoch": -1, "log_start_offset": -1, "partition_max_bytes": 1 << 20,
        }  # fmt: skip
        return {
            "replica_id": -1, "max_wait_ms": 100, "min_bytes": 1, "max_bytes": 1 << 20,
            "session_epoch": -1, "rack_id": "", "forgotten_topics_data": [],
            "topics": [self.by_name_or_id(version, 13, partitions=[partition])],
        }  # fmt: skip

    def list_offsets(self, version):
        partition = {"partition_index": 0, "current_leader_epoch": -1, "timestamp": -1}
        if version == 0:
            partition["max_num_offsets"] = 1
        topics = [{"name": self.topic, "partitions": [partition]}]
        return {"replica_id": -1, "isolation_level": 0, "topics": topics, "timeout_ms": 1000}

    def metadata(self, version):
        return {"topics": [{"name": self.topic}], "allow_auto_topic_creation": True}

    def offset_commit(self, version):
        partition = {"partition_index": 0, "committed_offset": 2, "committed_metadata": "m"}
        return {
            "group_id": self.group, "generation_id_or_member_epoch": -1, "member_id": "",
            "group_instance_id": None, "retention_time_ms": -1,
            "topics": [{"name": self.topic, "partitions": [partition]}],
        }  # fmt: skip

    def offset_fetch(self, version):
        topics = [{"name": self.topic, "partition_indexes": [0]}]
        if version >= 8:
            return {"groups": [{"group_id": self.group, "member_epoch": -1, "topics": topics}]}
        return {"group_id": self.group, "topics": topics}

    def find_coordinator(self, version):
        key = {"coordinator_keys": [self.group]} if version >= 4 else {"key": self.group}
        return {"key_type": 0, **key}

    def join_group(self, version):
        return {
            "group_id": self.unique("versions-join"), "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 10_000, "member_id": "", "group_instance_id": None,
            "protocol_type": "consumer", "reason": None,
            "protocols": [{"name": "range", "metadata": RANGE_METADATA}],
        }  # fmt: skip

    def heartbeat(self, version):
        return {"group_id": self.group, "generation_id": 1, "member_id": "nobody"}

    def leave_group(self, version):
        members = [{"member_id": "nobody", "group_instance_id": None, "reason": None}]
        return {"group_id": self.group, "member_id": "nobody", "members": members}

    def sync_group(self, version):
        return {
            "group_id": self.group, "generation_id": 1, "member_id": "nobody",
            "protocol_type": "consumer", "protocol_name": "range", "assignments": [],
        }  # fmt: skip

    def describe_groups(self, version):
        return {"groups": [self.group, "versions-none"], "include_authorized_operations": True}

    def list_groups(self, version):
        return {"states_filter": [], "types_filter": []}

    def api_versions(self, version):
        return {"client_software_name": "versions", "client_software_version": "1.0"}

    def create_topics(self, version):
        topic = {
            "name": self.unique("versions-created"), "num_partitions": 1, "replication_factor": 1,
            "assignments": [], "configs": [{"name": "retention.ms", "value": "60000"}],
        }  # fmt: skip
        return {"topics": [topic, topic | {"name": self.topic}], "timeout_ms": 10_000}

    def delete_topics(self, version):
        names = {"topic_names": ["versions-none"]}
        if version >= 6:
            names = {"topics": [{"name": "versions-none", "topic_id": uuid.UUID(int=0)}]}
        return {"timeout_ms": 5000, **names}

    def init_producer_id(self, version):
        return {
            "transactional_id": None, "transaction_timeout_ms": 60_000,
            "producer_id": -1, "producer_epoch": -1,
        }  # fmt: skip

    def offset_for_leader_epoch(self, version):
        partition = {"partition": 0, "current_leader_epoch": -1, "leader_epoch": 0}
        return {"replica_id": -2, "topics": [{"topic": self.topic, "partitions": [partition]}]}

    def describe_configs(self, version):
        keys = ["retention.ms", "cleanup.policy"]
        resources = [
            {"resource_type": 2, "resource_name": self.topic, "configuration_keys": keys},
            {"resource_type": 2, "resource_name": "versions-none", "configuration_keys": None},
            {"resource_type": 4, "resource_name": "0", "configuration_keys": ["broker.id"]},
        ]
        return {"resources": resources, "include_synonyms": True, "include_documentation": False}

    def alter_configs(self, version):
        configs = [{"name": "retention.ms", "value": "60000"}]
        resource = {"resource_type": 2, "resource_name": self.topic, "configs": configs}
        return {"resources": [resource], "validate_only": True}

    def incremental_alter_configs(self, version):
        configs = [{"name": "retention.ms", "config_operation": 0, "value": "60000"}]
        resource = {"resource_type": 2, "resource_name": self.topic, "configs": configs}
        return {"resources": [resource], "validate_only": True}

    def create_partitions(self, version):
        topic = {"name": self.topic, "count": 1, "assignments": None}
        return {"topics": [topic], "timeout_ms": 5000, "validate_only": False}

    def delete_groups(self, version):
        return {"groups_names": ["versions-none"]}

    def offset_delete(self, version):
        topics = [{"name": self.topic, "partitions": [{"partition_index": 1}]}]
        return {"group_id": self.group, "topics": topics}

    def delete_records(self, version):
        partition = {"partition_index": 0, "offset": 0}
        topics = [{"name": self.topic, "partitions": [partition]}]
        return {"topics": topics, "timeout_ms": 5000}

    def describe_log_dirs(self, version):
        return {"topics": [{"topic": self.topic, "partitions": [0]}]}

    def alter_replica_log_dirs(self, version):
        topics = [{"name": self.topic, "partitions": [0]}]
        return {"dirs": [{"path": "/nowhere", "topics": topics}]}

    def elect_leaders(self, version):
        topics = [{"topic": self.topic, "partitions": [0]}]
        return {"election_type": 0, "topic_partitions": topics, "timeout_ms": 5000}

    def alter_partition_reassignments(self, version):
        partition = {"partition_index": 0, "replicas": None}
        topics = [{"name": self.topic, "partitions": [partition]}]
        return {"timeout_ms": 5000, "topics": topics, "allow_replication_factor_change": False}

    def list_partition_reassignments(self, version):
        topics = [{"name": self.topic, "partition_indexes": [0]}]
        return {"timeout_ms": 5000, "topics": topics}

    def describe_cluster(self, version):
        return {"include_cluster_authorized_operations": True, "endpoint_type": 1}


    def sasl_handshake(self, version):
        return {"mechanism": "PLAIN"}

    def sasl_authenticate(self, version):
        return {"auth_bytes": b"\0a\0b"}

    def describe_acls(self, version):
        return {
            "resource_type_filter": 2, "pattern_type_filter": 3, "operation": 1,
            "permission_type": 1, "principal_filter": None, "host_filter": None,
        }  # fmt: skip

    def create_acls(self, version):
        acl = {
            "resource_type": 2, "resource_name": "t", "resource_pattern_type": 3,
            "principal": "User:a", "host": "*", "operation": 3, "permission_type": 3,
        }  # fmt: skip
        return {"creations": [acl]}

    def delete_acls(self, version):
        return {"filters": [self.describe_acls(version)]}

    def describe_client_quotas(self, version):
        component = {"entity_type": "client-id", "match_type": 2, "match": None}
        return {"components": [component], "strict": False}

    def alter_client_quotas(self, version):
        entity = [{"entity_type": "client-id", "entity_name": "nobody"}]
        ops = [{"key": "consumer_byte_rate", "value": 1e6, "remove": False}]
        return {"entries": [{"entity": entity, "ops": ops}], "validate_only": False}

    def describe_user_scram_credentials(self, version):
        return {"users": [{"name": "versions"}]}

    def alter_user_scram_credentials(self, version):
        upsertion = {
            "name": "versions", "mechanism": 1, "iterations": 4096,
            "salt": b"salt", "salted_password": b"password",
        }  # fmt: skip
        return {"deletions": [], "upsertions": [upsertion]}

    def update_features(self, version):
        update = {"feature": "f", "max_version_level": 1, "upgrade_type": 1}
        return {"timeout_ms": 1000, "feature_updates": [update]}

    def describe_producers(self, version):
        return {"topics": [{"name": self.topic, "partition_indexes": [0]}]}

    def add_partitions_to_txn(self, version):
        topics = [{"name": self.topic, "partitions": [0]}]
        if version < 4:
            return {f"v3_and_below_{name}": value for name, value in self.owner.items()} | {
                "v3_and_below_topics": topics
            }
        return {"transactions": [self.owner | {"verify_only": False, "topics": topics}]}

    def add_offsets_to_txn(self, version):
        return self.owner | {"group_id": self.group}

    def write_txn_markers(self, version):
        topics = [{"name": self.topic, "partition_indexes": [0]}]
        marker = {
            "producer_id": 987_654_321, "producer_epoch": 0, "transaction_result": False,
            "topics": topics, "coordinator_epoch": 0,
        }  # fmt: skip
        return {"markers": [marker]}

    def txn_offset_commit(self, version):
        partition = {"partition_index": 0, "committed_offset": 2, "committed_leader_epoch": -1}
        partition["committed_metadata"] = ""
        return self.owner | {
            "group_id": self.group, "generation_id": -1, "member_id": "",
            "group_instance_id": None,
            "topics": [{"name": self.topic, "partitions": [partition]}],
        }  # fmt: skip

    def end_txn(self, version):
        return self.owner | {"committed": True}

    def describe_transactions(self, version):
        return {"transactional_ids": [self.owner["transactional_id"]]}

    def list_transactions(self, version):
        return {"state_filters": ["Ongoing", "nonsense"], "producer_id_filters": []}


# API key -> the method that fills the request, and what the answer must show.
TABLE = {
    0: ("produce", lambda a: a.responses[0].partition_responses[0].error_code == 0),
    1: ("fetch", lambda a: len(a.responses[0].partitions[0].records) > 0),
    2: ("list_offsets", lambda a: a.topics[0].partitions[0].error_code == 0),
    3: ("metadata", lambda a: len(a.topics[0].partitions) == 1),
    8: ("offset_commit", lambda a: a.topics[0].partitions[0].error_code == 0),
    9: ("offset_fetch", lambda a: committed(a) == 2),
    10: ("find_coordinator", lambda a: (a.coordinators or [a])[0].node_id == 0),
    11: ("join_group", lambda a: a.member_id.startswith("versions-")),
    12: ("heartbeat", lambda a: a.error_code == 25),
    13: ("leave_group", lambda a: (a.members[0] if a.API_VERSION >= 3 else a).error_code == 25),
    14: ("sync_group", lambda a: a.error_code == 25),
    15: ("describe_groups", lambda a: [g.group_state for g in a.groups] == ["Empty", "Dead"]),
    16: ("list_groups", lambda a: a.error_code == 0 and a.groups),
    18: ("api_versions", lambda a: a.error_code == 0 and len(a.api_keys) > 20),
    19: ("create_topics", lambda a: sorted(t.error_code for t in a.topics) == [0, 36]),
    20: ("delete_topics", lambda a: a.responses[0].error_code == 3),
    21: ("delete_records", lambda a: a.topics[0].partitions[0].low_watermark == 0),
    22: ("init_producer_id", lambda a: a.error_code == 0 and a.producer_id >= 0),
    24: ("add_partitions_to_txn", lambda a: added(a) == 0),
    25: ("add_offsets_to_txn", lambda a: a.error_code == 0),
    27: ("write_txn_markers", lambda a: a.markers[0].topics[0].partitions[0].error_code == 0),
    28: ("txn_offset_commit", lambda a: a.topics[0].partitions[0].error_code == 0),
    # 51: its markers are on their way.
    26: ("end_txn", lambda a: a.error_code in (0, 51)),
    23: ("offset_for_leader_epoch", lambda a: a.topics[0].partitions[0].end_offset > 0),
    32: ("describe_configs", lambda a: [r.error_code for r in a.results] == [0, 3, 0]),
    33: ("alter_configs", lambda a: a.responses[0].error_code == 0),
    34: ("alter_replica_log_dirs", lambda a: a.results[0].partitions[0].error_code == 57),
    35: ("describe_log_dirs", lambda a: a.results[0].topics[0].partitions[0].partition_size > 0),
    37: ("create_partitions", lambda a: a.results[0].error_code == 37),
    42: ("delete_groups", lambda a: a.results[0].error_code == 69),
    # Nothing is to be elected, and nothing is on its way.
    43: ("elect_leaders", lambda a: first_result(a).error_code == 84),
    44: ("incremental_alter_configs", lambda a: a.responses[0].error_code == 0),
    45: ("alter_partition_reassignments", lambda a: first_result(a).error_code == 85),
    46: ("list_partition_reassignments", lambda a: a.error_code == 0 and not a.topics),
    47: ("offset_delete", lambda a: a.error_code == 0),
    17: ("sasl_handshake", lambda a: a.error_code == 34),
    36: ("sasl_authenticate", lambda a: a.error_code == 34),
    29: ("describe_acls", lambda a: a.error_code == 54),
    30: ("create_acls", lambda a: a.results[0].error_code == 54),
    31: ("delete_acls", lambda a: a.filter_results[0].error_code == 54),
    49: ("alter_client_quotas", lambda a: a.entries[0].error_code == 0),
    48: ("describe_client_quotas", lambda a: a.entries[0].values[0].value == 1e6),
    51: ("alter_user_scram_credentials", lambda a: a.results[0].error_code == 0),
    50: ("describe_user_scram_credentials", lambda a: a.results[0].credential_infos[0].iterations == 4096),
    57: ("update_features", lambda a: a.results[0].error_code == 42),
    61: ("describe_producers", lambda a: a.topics[0].partitions[0].error_code == 0),
    65: ("describe_transactions", lambda a: a.transaction_states[0].transaction_timeout_ms == 60_000),
    66: ("list_transactions", lambda a: a.unknown_state_filters == ["nonsense"]),
    60: ("describe_cluster", lambda a: a.cluster_id and a.brokers[0].broker_id == 0),
}


def first_result(answer):
    """Of answers that name partitions in different words."""
    if hasattr(answer, "replica_election_results"):
        return answer.replica_election_results[0].partition_result[0]
    return answer.responses[0].partitions[0]


def added(answer):
    results = answer.results_by_topic_v3_and_below
    if answer.API_VERSION >= 4:
        results = answer.results_by_transaction[0].topic_results
    return results[0].results_by_partition[0].partition_error_code


def committed(answer):
    group = answer.groups[0] if answer.groups else answer
    return group.topics[0].partitions[0].committed_offset


@pytest.fixture(scope="module")
def connection(cluster):
    made = Connection(cluster.broker_port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def prepared(cluster, connection):
    """A topic with records and a group with an offset."""
    topic, group, suffix = "versions-topic", "versions-group", iter(range(10_000))
    fields = Fields(topic, None, group, lambda stem: f"{stem}-{next(suffix)}")
    new = {"name": topic, "num_partitions": 1, "replication_factor": 1}
    create = make(admin.CreateTopicsRequest, 5, topics=[new], timeout_ms=10_000)
    # A Kafka that has just started may not know of itself yet.
    wait_until(lambda: connection.ask(create).topics[0].error_code == 0, 20, "the topic exists")
    described = connection.ask(make(metadata.MetadataRequest, 12, **fields.metadata(12)))
    fields.topic_id = described.topics[0].topic_id
    assert TABLE[0][1](connection.ask(make(producer.ProduceRequest, 7, **fields.produce(7))))

    def has_coordinator():
        asked = make(metadata.FindCoordinatorRequest, 3, **fields.find_coordinator(3))
        return connection.ask(asked).error_code == 0

    def commits():
        asked = make(consumer.OffsetCommitRequest, 7, **fields.offset_commit(7))
        return TABLE[8][1](connection.ask(asked))

    def has_producer_ids():
        asked = make(producer.InitProducerIdRequest, 3, **fields.init_producer_id(3))
        return TABLE[22][1](connection.ask(asked))

    def owns_transactional_id():
        owner = {"transactional_id": "versions-id"}
        asked = {"key_type": 1, "key": owner["transactional_id"]}
        connection.ask(make(metadata.FindCoordinatorRequest, 3, **asked))
        init = fields.init_producer_id(3) | owner
        answer = connection.ask(make(producer.InitProducerIdRequest, 3, **init))
        fields.owner = owner | {
            "producer_id": answer.producer_id,
            "producer_epoch": answer.producer_epoch,
        }
        return answer.error_code == 0

    wait_until(has_producer_ids, 20, "there are producer ids")
    wait_until(owns_transactional_id, 30, "a transactional id has an owner")
    wait_until(has_coordinator, 20, "the group has a coordinator")
    wait_until(commits, 20, "an offset is committed")
    return fields


def test_what_is_listed_is_served(connection, prepared):
    """Each (API, version) is answered, in the bytes that its schema says."""
    apis = listed(connection)
    served, wrong = 0, []
    for key, (name, is_right) in TABLE.items():
        first, last = apis[key]
        for version in range(first, min(last, REQUESTS[key].max_version) + 1):
            request = make(REQUESTS[key], version, **getattr(prepared, name)(version))
            answer = connection.ask(request)
            served += 1
            if not is_right(answer):
                wrong.append(f"{name} version {version}: {answer}")
    assert not wrong
    assert served > 100


def test_a_reassignment_may_keep_the_number_of_replicas(cluster, connection, prepared):
    """Of Kafka 4.1: KIP-860."""
    if not cluster.our_broker:
        pytest.skip("Kafka 3.9 does not know this version")
    moved = {"partition_index": 0, "replicas": [0, 1]}
    fields = {"topics": [{"name": prepared.topic, "partitions": [moved]}], "timeout_ms": 5000}
    for may_change, code in ((False, 38), (True, 39)):
        request = make(REQUESTS[45], 1, allow_replication_factor_change=may_change, **fields)
        answer = connection.ask(request)
        assert answer.allow_replication_factor_change == may_change
        # 39: there is no broker 1.
        assert first_result(answer).error_code == code


@pytest.mark.parametrize("peer", ["kafka39", "kafka4"])
def test_the_java_classes_decode_it_too(cluster, connection, prepared, peer, tmp_path):
    """Requests and responses of each (API, version), by kafka-clients 3.9.1 and 4.1.1."""
    if not (PEERS / peer).is_dir():
        run([TOP / "scripts/peers/install.sh", peer], timeout=600)
    lines = []
    for key, (first, last) in listed(connection).items():
        known = REQUESTS[key].max_version if key in REQUESTS else -1
        for version in range(first, last + 1):
            if key in TABLE and version <= known:
                fields = getattr(prepared, TABLE[key][0])(version)
                connection.ask(make(REQUESTS[key], version, **fields))
                sent, came = connection.exchange
                lines.append(f"{key} {version} {sent.hex()} {came.hex()}")
            elif key in IN_JAVA_ONLY:
                lines.append(f"{key} {version}")
    exchanges = tmp_path / "exchanges"
    exchanges.write_text("\n".join(lines))
    libraries = f"{PEERS / peer}/libs/*"
    source = TOP / "scripts/e2e/programs/Decoder.java"
    run(["javac", "-nowarn", "-d", tmp_path, "-cp", libraries, source], timeout=120)
    java = ["java", "-Xmx128m", "-cp", f"{tmp_path}:{libraries}", "Decoder"]
    said = run([*java, exchanges, cluster.broker_port], timeout=120)
    assert int(said.splitlines()[-1].split()[0]) > 100, said


def test_nothing_is_listed_that_is_not_asked(cluster, connection):
    if not cluster.our_broker:
        pytest.skip("this suite does not ask all that Kafka serves")
    apis = listed(connection)
    # What brokers say to each other is not in the clients' codec; its bytes are
    # compared with Kafka's own in Rust.
    for key in BETWEEN_BROKERS + IN_JAVA_ONLY:
        first, last = apis.pop(key)
        assert first <= last
    assert sorted(apis) == sorted(TABLE)
    known = {key: REQUESTS[key].max_version for key in apis}
    assert all(last <= known[key] for key, (_, last) in apis.items())
