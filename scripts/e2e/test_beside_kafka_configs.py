"""Configurations: described, changed and refused as Kafka 3.9 does it."""

import pytest
from beside_kafka import Beside, differences
from harness import wait_until

TOPIC, BROKER, LOGGER, METRICS = 2, 4, 8, 16
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
DESCRIBE, ALTER, INCREMENTAL = 32, 33, 44

# What each broker has for itself.
OWN = {"listeners", "advertised.listeners", "log.dirs", "zookeeper.connect"}
# Keys that only we have.
OURS = ("admin.", "log.level")
# A flag of version 0 that Kafka never sets; ours says what it means.
FLAG = "is_default"


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside")) as both:
        wait_until(lambda: is_ready(both), 60, "both have a controller and a topic")
        yield both


def is_ready(both):
    configs = [{"name": "retention.ms", "value": "60000"}, {"name": "cleanup.policy", "value": "compact"}]
    new = {"name": "t", "num_partitions": 2, "replication_factor": 1, "assignments": [], "configs": configs}
    answers = both.both(19, 5, topics=[new], timeout_ms=5000, validate_only=False)
    return all(answer["topics"][0]["error_code"] in (0, 36) for answer in answers)


def described(beside, version, kind, name, keys=None):
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    fields = {"resources": [resource], "include_synonyms": True, "include_documentation": True}
    answers = beside.both(DESCRIBE, version, **fields)
    return [[comparable(result) for result in answer["results"]] for answer in answers]


def comparable(result):
    """Documentation is ours, in our words; that there is some must agree."""
    configs = {}
    for config in result["configs"] or []:
        if config["name"].startswith(OURS):
            continue
        config.pop(FLAG, None)
        if "documentation" in config:
            config["documentation"] = bool(config["documentation"])
        configs[config["name"]] = config
    return result | {"configs": configs}


def different_keys(beside, version, kind, name, keys=None):
    ours, kafka = described(beside, version, kind, name, keys)
    found = []
    for mine, theirs in zip(ours, kafka, strict=True):
        for key in sorted(mine["configs"].keys() | theirs["configs"].keys()):
            one, other = mine["configs"].get(key), theirs["configs"].get(key)
            if key in OWN and one and other:
                one, other = ({k: v for k, v in each.items() if k not in ("value", "synonyms")} for each in (one, other))
            if one != other:
                parts = [k for k in one if one[k] != other.get(k)] if one and other else "missing"
                shown = [{k: each[k] for k in parts} if one and other else each for each in (one, other)]
                found.append((key, *shown))
        if mine | {"configs": 0} != theirs | {"configs": 0}:
            found.append((mine | {"configs": 0}, theirs | {"configs": 0}))
    return found


@pytest.mark.parametrize("version", range(5))
def test_every_key_of_a_topic(beside, version):
    assert not different_keys(beside, version, TOPIC, "t")


@pytest.mark.parametrize("version", range(5))
def test_every_key_of_a_broker(beside, version):
    assert not different_keys(beside, version, BROKER, "0")


def test_what_cannot_be_described(beside):
    def cases():
        resources = [(TOPIC, "none"), (TOPIC, "a b"), (TOPIC, ""), (BROKER, "1"), (BROKER, "x")]
        resources += [(BROKER, ""), (METRICS, "m"), (METRICS, ""), (99, "t"), (0, "t"), (LOGGER, "1"), (LOGGER, "")]
        for kind, name in resources:
            for keys in (None, [], ["retention.ms", "nonsense"]):
                resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
                yield f"{kind} {name!r} {keys}", DESCRIBE, 4, {"resources": [resource]}
        for keys in ([], ["retention.ms"], ["nonsense", "cleanup.policy"], ["retention.ms"] * 2):
            resource = {"resource_type": TOPIC, "resource_name": "t", "configuration_keys": keys}
            yield f"t {keys}", DESCRIBE, 4, {"resources": [resource]}
            yield f"t {keys} twice", DESCRIBE, 4, {"resources": [resource] * 2}
        yield "nothing", DESCRIBE, 4, {"resources": []}

    assert not differences(beside, cases())


# kind, name, [(key, value)]: set by AlterConfigs and by IncrementalAlterConfigs
CHANGES = [
    (TOPIC, "t", [("retention.ms", "1000")]),
    (TOPIC, "t", [("retention.ms", "-1")]),
    (TOPIC, "t", [("retention.ms", "-2")]),
    (TOPIC, "t", [("retention.ms", "x")]),
    (TOPIC, "t", [("retention.ms", "")]),
    (TOPIC, "t", [("retention.ms", " 5 ")]),
    (TOPIC, "t", [("retention.ms", "9223372036854775808")]),
    (TOPIC, "t", [("retention.ms", None)]),
    (TOPIC, "t", [("nonsense", "1")]),
    (TOPIC, "t", [("nonsense", None)]),
    (TOPIC, "t", []),
    (TOPIC, "t", [("retention.ms", "1"), ("retention.ms", "2")]),
    (TOPIC, "t", [("cleanup.policy", "delete,compact")]),
    (TOPIC, "t", [("cleanup.policy", "delete, compact")]),
    (TOPIC, "t", [("cleanup.policy", "nonsense")]),
    (TOPIC, "t", [("cleanup.policy", "")]),
    (TOPIC, "t", [("compression.type", "zip")]),
    (TOPIC, "t", [("compression.type", "zstd")]),
    (TOPIC, "t", [("compression.gzip.level", "10")]),
    (TOPIC, "t", [("compression.lz4.level", "0")]),
    (TOPIC, "t", [("compression.zstd.level", "23")]),
    (TOPIC, "t", [("min.cleanable.dirty.ratio", "1.5")]),
    (TOPIC, "t", [("min.cleanable.dirty.ratio", "0.25")]),
    (TOPIC, "t", [("min.cleanable.dirty.ratio", "x")]),
    (TOPIC, "t", [("segment.bytes", "13")]),
    (TOPIC, "t", [("segment.bytes", "3000000000")]),
    (TOPIC, "t", [("segment.ms", "0")]),
    (TOPIC, "t", [("index.interval.bytes", "-1")]),
    (TOPIC, "t", [("segment.index.bytes", "3")]),
    (TOPIC, "t", [("max.message.bytes", "-1")]),
    (TOPIC, "t", [("min.insync.replicas", "0")]),
    (TOPIC, "t", [("min.insync.replicas", "5")]),
    (TOPIC, "t", [("message.timestamp.type", "Sometimes")]),
    (TOPIC, "t", [("message.timestamp.type", "LogAppendTime")]),
    (TOPIC, "t", [("message.format.version", "2.1")]),
    (TOPIC, "t", [("message.format.version", "9.9")]),
    (TOPIC, "t", [("message.downconversion.enable", "maybe")]),
    (TOPIC, "t", [("unclean.leader.election.enable", "TRUE")]),
    (TOPIC, "t", [("preallocate", "yes")]),
    (TOPIC, "t", [("follower.replication.throttled.replicas", "0:1,1:0")]),
    (TOPIC, "t", [("follower.replication.throttled.replicas", "*")]),
    (TOPIC, "t", [("leader.replication.throttled.replicas", "x")]),
    (TOPIC, "t", [("remote.storage.enable", "true")]),
    (TOPIC, "t", [("local.retention.ms", "-3")]),
    (TOPIC, "t", [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
    (TOPIC, "none", [("retention.ms", "1")]),
    (TOPIC, "a b", [("retention.ms", "1")]),
    (TOPIC, "", [("retention.ms", "1")]),
    (BROKER, "0", [("log.cleaner.threads", "1")]),
    (BROKER, "0", [("log.cleaner.threads", "0")]),
    (BROKER, "0", [("log.cleaner.threads", "x")]),
    (BROKER, "0", [("broker.id", "1")]),
    (BROKER, "0", [("nonsense", "1")]),
    (BROKER, "0", [("message.max.bytes", "2000000")]),
    (BROKER, "0", [("max.connections", "1000")]),
    (BROKER, "0", [("max.connections", "0")]),
    (BROKER, "0", [("max.connection.creation.rate", "0")]),
    (BROKER, "0", [("listener.name.plaintext.max.connections", "0")]),
    (BROKER, "0", [("listener.name.plaintext.max.connections", "500")]),
    (BROKER, "", [("listener.name.plaintext.max.connection.creation.rate", "500")]),
    (BROKER, "", [("listener.name.plaintext.max.connection.creation.rate", "0")]),
    (BROKER, "0", [("num.io.threads", "3")]),
    (BROKER, "0", [("num.io.threads", "17")]),
    (BROKER, "0", [("num.network.threads", "7")]),
    (BROKER, "0", [("num.replica.fetchers", "3")]),
    (BROKER, "0", [("num.replica.fetchers", "0")]),
    (BROKER, "", [("num.replica.fetchers", "2")]),
    (BROKER, "", [("num.recovery.threads.per.data.dir", "9")]),
    (BROKER, "", [("producer.id.expiration.ms", "1000")]),
    (BROKER, "0", [("log.retention.ms", "86400000")]),
    (BROKER, "0", [("zookeeper.connect", "elsewhere:1")]),
    (BROKER, "0", [("advertised.listeners", "nonsense")]),
    (BROKER, "0", [("leader.replication.throttled.rate", "1000")]),
    (BROKER, "0", [("leader.replication.throttled.rate", "-1")]),
    (BROKER, "1", [("log.cleaner.threads", "1")]),
    (BROKER, "x", [("log.cleaner.threads", "1")]),
    (BROKER, "", [("log.cleaner.threads", "1")]),
    (BROKER, "", [("min.insync.replicas", "1")]),
    (BROKER, "", [("unclean.leader.election.enable", "false")]),
    (BROKER, "", [("background.threads", "0")]),
    (BROKER, "", [("advertised.listeners", "PLAINTEXT://a:1")]),
    (BROKER, "", [("log.retention.ms", "x")]),
    (BROKER, "", [("nonsense", "1")]),
    (METRICS, "m", [("interval.ms", "100")]),
    (METRICS, "", [("interval.ms", "100")]),
    (LOGGER, "0", [("kafka", "INFO")]),
    (LOGGER, "1", [("kafka", "INFO")]),
    (99, "t", [("retention.ms", "1")]),
    (0, "t", [("retention.ms", "1")]),
]

# key, operation, value: on the topic
EDITS = [
    ("cleanup.policy", APPEND, "delete"),
    ("cleanup.policy", APPEND, "nonsense"),
    ("cleanup.policy", SUBTRACT, "compact"),
    ("cleanup.policy", SUBTRACT, "nonsense"),
    ("retention.ms", APPEND, "1"),
    ("retention.ms", SUBTRACT, "1"),
    ("nonsense", APPEND, "1"),
    ("nonsense", DELETE, None),
    ("retention.ms", DELETE, "5"),
    ("retention.ms", DELETE, None),
    ("retention.ms", 4, "5"),
    ("retention.ms", -1, "5"),
    ("leader.replication.throttled.replicas", APPEND, "0:0"),
    ("leader.replication.throttled.replicas", APPEND, "0:0,1:0"),
    ("leader.replication.throttled.replicas", SUBTRACT, "0:0"),
]




def altered(only):
    for kind, name, pairs in CHANGES:
        configs = [{"name": key, "value": value} for key, value in pairs]
        edits = [each | {"config_operation": SET} for each in configs]
        resource = {"resource_type": kind, "resource_name": name}
        title = f"{kind} {name!r} {pairs}"
        for version in (1, 2):
            whole = {"resources": [resource | {"configs": configs}], "validate_only": only}
            yield f"alter {title}", ALTER, version, whole
        for version in (0, 1):
            whole = {"resources": [resource | {"configs": edits}], "validate_only": only}
            yield f"edit {title}", INCREMENTAL, version, whole


def edited(only):
    for key, operation, value in EDITS:
        edit = {"name": key, "config_operation": operation, "value": value}
        resource = {"resource_type": TOPIC, "resource_name": "t", "configs": [edit]}
        yield f"{edit}", INCREMENTAL, 1, {"resources": [resource], "validate_only": only}


# What is answered differently on purpose, by the beginning of the case's name.
ON_PURPOSE = (
    # Kafka divides by it.
    "alter 4 '0' [('log.cleaner.threads', '0')]",
    "edit 4 '0' [('log.cleaner.threads', '0')]",
    # Listeners do not change while a broker runs here.
    "alter 4 '0' [('advertised.listeners', 'nonsense')]",
    "edit 4 '0' [('advertised.listeners', 'nonsense')]",
    # Kafka says that it expected what it received.
    "edit 8 '1' [('kafka', 'INFO')]",
)


def unexpected(beside, cases):
    found = differences(beside, cases)
    return [each for each in found if each[0] not in ON_PURPOSE]


def test_changes_that_are_only_asked(beside):
    assert not unexpected(beside, [*altered(True), *edited(True)])


def test_changes(beside):
    assert not unexpected(beside, [*altered(False), *edited(False)])
    # What stands now is the same, once both have read it.
    stands = [(TOPIC, "t"), (BROKER, ""), (BROKER, "0")]
    found = lambda: [each for of in stands for each in different_keys(beside, 4, *of)]  # noqa: E731
    wait_until(lambda: not found(), 60, f"both have the same configurations: {found()}")


def test_a_resource_twice(beside):
    """By IncrementalAlterConfigs: AlterConfigs is never answered by Kafka then."""
    edit = {"name": "retention.ms", "value": "5000", "config_operation": SET}
    resource = {"resource_type": TOPIC, "resource_name": "t", "configs": [edit]}
    other = {"resource_type": TOPIC, "resource_name": "none"}

    def cases():
        for rest in ([resource], [resource, resource | other], [resource | other], []):
            fields = {"resources": [resource, *rest], "validate_only": False}
            yield f"edit {rest}", INCREMENTAL, 1, fields

    assert not differences(beside, cases())
