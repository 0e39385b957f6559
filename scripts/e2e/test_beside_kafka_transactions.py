"""The transaction coordinator answers as Kafka 3.9 does, in every version.

Both are led through the same story. Producer ids are not the same on both, so
each is compared by the order in which it came.
"""

import pytest
from beside_kafka import Beside, normal
from harness import wait_until
from wire import REQUESTS, make

OVERRIDES = {
    "transaction.state.log.num.partitions": 3,
    # A producer whose transaction is fenced must not be timed out as well.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100,
}
OURS, KAFKA = 0, 1
FIND, INIT, ADD, ADD_OFFSETS, END, DESCRIBE, LIST, CONFIGS = 10, 22, 24, 25, 26, 65, 66, 32
NOBODY = {"producer_id": -1, "producer_epoch": -1}


class Both:
    """Asks both and compares; remembers who owns which transactional id where."""

    def __init__(self, beside):
        self.beside = beside
        self.owners = [{}, {}]
        self.seen = [[], []]

    def ask(self, key, version, fields):
        """Both answers; `fields` is called with a function from a transactional id to
        its owner on that side."""
        answers = []
        for side, connection in enumerate(self.beside.connections):
            filled = fields(lambda name: dict(self.owners[side][name]))
            answer = connection.ask(make(REQUESTS[key], version, **filled))
            answers.append(self.without_ids(side, normal(answer.to_dict())))
        return answers

    def same(self, name, key, version, fields):
        ours, kafka = self.ask(key, version, fields)
        assert ours == kafka, f"{name} in version {version}"
        return ours

    def without_ids(self, side, value):
        if isinstance(value, list):
            return [self.without_ids(side, part) for part in value]
        if not isinstance(value, dict):
            return value
        found = {name: self.without_ids(side, part) for name, part in value.items()}
        if found.get("producer_id", -1) >= 0:
            if found["producer_id"] not in self.seen[side]:
                self.seen[side].append(found["producer_id"])
            found["producer_id"] = f"id {self.seen[side].index(found['producer_id'])}"
        for name in ("port", "transaction_start_time_ms"):
            if name in found:
                found[name] = "some" if found[name] > 0 else found[name]
        return found

    def init(self, transactional_id, version=4, timeout=60_000, claims=None):
        """Makes a producer the owner; what was answered, without its id."""
        fields = lambda owner: {  # noqa: E731
            "transactional_id": transactional_id,
            "transaction_timeout_ms": timeout,
            **(claims(owner) if claims else NOBODY),
        }
        answers = []
        for side, connection in enumerate(self.beside.connections):
            filled = fields(lambda name: dict(self.owners[side][name]))
            answer = connection.ask(make(REQUESTS[INIT], version, **filled)).to_dict()
            if answer["error_code"] == 0:
                owner = {name: answer[name] for name in NOBODY}
                self.owners[side][transactional_id] = owner
            answers.append(self.without_ids(side, normal(answer)))
        assert answers[OURS] == answers[KAFKA], f"init of {transactional_id} in {version}"
        return answers[OURS]

    def reaches(self, transactional_id, state):
        def have():
            fields = lambda _: {"transactional_ids": [transactional_id]}  # noqa: E731
            answers = self.ask(DESCRIBE, 0, fields)
            states = [answer["transaction_states"][0]["transaction_state"] for answer in answers]
            return states == [state] * 2

        wait_until(have, 30, f"{transactional_id} is {state}")

    def described(self, *transactional_ids):
        fields = lambda _: {"transactional_ids": list(transactional_ids)}  # noqa: E731
        return self.same("describe", DESCRIBE, 0, fields)

    def owner(self, transactional_id, **other):
        """Fields that name the owner of an id, or somebody who is like it."""
        change = lambda old, key: old[key] + other.get(key, 0)  # noqa: E731
        return lambda owner: {
            "transactional_id": transactional_id,
            **{key: change(owner(transactional_id), key) for key in NOBODY},
        }


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside"), OVERRIDES) as beside:
        made = Both(beside)
        wait_until(lambda: has_topic(beside), 60, "both have a topic")
        wait_until(lambda: coordinates(made), 60, "both coordinate groups and transactions")
        made.seen = [[], []]
        yield made


def has_topic(beside):
    new = {"name": "t", "num_partitions": 3, "replication_factor": 1, "assignments": [], "configs": []}
    answers = beside.both(19, 5, topics=[new], timeout_ms=5000, validate_only=False)
    return all(answer["topics"][0]["error_code"] in (0, 36) for answer in answers)


def coordinates(both):
    """Every partition of both internal topics has a coordinator that has loaded it."""
    for key_type in (0, 1):
        fields = lambda _: {"key_type": key_type, "key": "any"}  # noqa: E731, B023
        if any(answer["error_code"] for answer in both.ask(FIND, 3, fields)):
            return False
    # Kafka fetches its first producer ids when somebody asks for one.
    fields = {"transactional_id": None, "transaction_timeout_ms": 1, **NOBODY}
    if any(answer["error_code"] for answer in both.ask(INIT, 3, lambda _: fields)):
        return False
    ids = [f"any-{number}" for number in range(20)]
    answers = both.ask(DESCRIBE, 0, lambda _: {"transactional_ids": ids})
    codes = [each["error_code"] for answer in answers for each in answer["transaction_states"]]
    return set(codes) == {105}


def topics(*named):
    return [{"name": name, "partitions": list(partitions)} for name, partitions in named]


def adding(version, who, *named, verify=False):
    """The fields of an AddPartitionsToTxn."""

    def fields(owner):
        if version < 4:
            return {f"v3_and_below_{name}": value for name, value in who(owner).items()} | {
                "v3_and_below_topics": topics(*named)
            }
        return {"transactions": [who(owner) | {"verify_only": verify, "topics": topics(*named)}]}

    return fields


def test_find_coordinator(both):
    for version in range(7):
        for key_type in (0, 1, 2, 7):
            keys = {"key": "k", "coordinator_keys": ["k", "", "other"], "key_type": key_type}
            if version < 4 or key_type < 2:
                answers = [
                    without_texts(answer) for answer in both.ask(FIND, version, lambda _: keys)
                ]
                assert answers[OURS] == answers[KAFKA], (version, key_type)


def without_texts(answer):
    return {name: part for name, part in answer.items() if name != "error_message"}


def test_init_in_every_version(both):
    for version in range(6):
        name = f"init-{version}"
        assert both.init(name, version)["producer_epoch"] == 0
        assert both.init(name, version)["producer_epoch"] == 1
        for timeout in (0, -1, 900_001, 900_000):
            both.init(name, version, timeout)
        both.init("", version)
        both.init(None, version)
        both.init(None, version, timeout=-1)
        if version >= 3:
            last = lambda owner: owner(name)  # noqa: E731, B023
            assert both.init(name, version, claims=last)["error_code"] == 0
            before = [dict(owners[name]) for owners in both.owners]
            assert both.init(name, version, claims=last)["error_code"] == 0
            for side, owners in enumerate(both.owners):
                owners["former"] = before[side]
            former = lambda owner: owner("former")  # noqa: E731
            assert both.init(name, version, claims=former)["error_code"] == 0, "it came again"
            assert both.init(name, version)["error_code"] == 0
            assert both.init(name, version, claims=former)["error_code"] in (47, 90)
            for wrong in ({"producer_id": 1}, {"producer_epoch": 5}, {"producer_epoch": -9}):
                both.init(name, version, claims=lambda owner: shifted(owner(name), wrong))  # noqa: B023
            for half in ({"producer_id": 5, "producer_epoch": -1}, {"producer_id": -1, "producer_epoch": 0}):
                assert both.init(name, version, claims=lambda _: half)["error_code"] == 42  # noqa: B023
            new = f"init-new-{version}"
            assert both.init(new, version, claims=last)["error_code"] == 0, "of somebody new"


def shifted(owner, by):
    return {key: value + by.get(key, 0) for key, value in owner.items()}


def test_add_partitions_in_every_version(both):
    for version in range(6):
        name = f"add-{version}"
        both.init(name)
        who = both.owner(name)
        same = lambda what, fields: both.same(what, ADD, version, fields)  # noqa: E731, B023
        same("nothing", adding(version, who))
        same("two partitions", adding(version, who, ("t", [0, 1])))
        same("the same", adding(version, who, ("t", [1])))
        same("an internal topic", adding(version, who, ("__consumer_offsets", [0])))
        same("one that is not there", adding(version, who, ("t", [2, 7])))
        same("a topic that is not there", adding(version, who, ("none", [0]), ("t", [2])))
        same("a name that cannot be", adding(version, who, ("a b", [0])))
        same("an older epoch", adding(version, both.owner(name, producer_epoch=-1), ("t", [0])))
        same("a newer epoch", adding(version, both.owner(name, producer_epoch=1), ("t", [0])))
        same("another id", adding(version, both.owner(name, producer_id=1_000_000), ("t", [0])))
        somebody = lambda _: {"transactional_id": "nobody", **NOBODY}  # noqa: E731
        same("nobody", adding(version, somebody, ("t", [0])))
        unnamed = lambda _: {"transactional_id": "", **NOBODY}  # noqa: E731
        same("without a name", adding(version, unnamed, ("t", [0])))
        both.described(name)
        if version >= 4:
            check_verification(both, version, name)


def check_verification(both, version, name):
    def verifying(who, *named):
        return adding(version, who, *named, verify=True)

    who = both.owner(name)
    same = lambda what, fields: both.same(what, ADD, version, fields)  # noqa: E731
    same("in it", verifying(who, ("t", [0, 1])))
    same("partly in it", verifying(who, ("t", [1, 2])))
    same("not there", verifying(who, ("none", [1])))
    same("older", verifying(both.owner(name, producer_epoch=-1), ("t", [0])))
    same("another", verifying(both.owner(name, producer_id=1_000_000), ("t", [0])))
    same("nobody", verifying(lambda _: {"transactional_id": "nobody", **NOBODY}, ("t", [0])))
    same("unnamed", verifying(lambda _: {"transactional_id": "", **NOBODY}, ("t", [0])))
    other = f"{name}-other"
    both.init(other)

    def several(owner):
        parts = [verifying(who, ("t", [0, 2])), adding(version, both.owner(other), ("t", [2]))]
        parts.append(verifying(both.owner(name, producer_epoch=3), ("t", [1])))
        [first, second, _] = [part(owner)["transactions"][0] for part in parts]
        return {"transactions": [first, second]}

    same("several", several)


def test_add_offsets_in_every_version(both):
    for version in range(5):
        name = f"offsets-{version}"
        both.init(name)
        for what, other in [
            ("the owner", {}),
            ("again", {}),
            ("older", {"producer_epoch": -1}),
            ("newer", {"producer_epoch": 1}),
            ("another", {"producer_id": 1_000_000}),
        ]:
            who = both.owner(name, **other)
            for group in ("group", ""):
                fields = lambda owner: who(owner) | {"group_id": group}  # noqa: E731, B023
                both.same(what, ADD_OFFSETS, version, fields)
        for unknown in ("nobody", ""):
            fields = lambda _: {"transactional_id": unknown, **NOBODY, "group_id": "g"}  # noqa: E731, B023
            both.same("nobody", ADD_OFFSETS, version, fields)
        both.described(name)


def ending(who, committed):
    return lambda owner: who(owner) | {"committed": committed}


def test_end_in_every_version_and_state(both):
    for version in range(5):
        name = f"end-{version}"
        both.init(name)
        who = both.owner(name)
        same = lambda what, fields: both.same(what, END, version, fields)  # noqa: E731, B023
        for committed, state in ((True, "CompleteCommit"), (False, "CompleteAbort")):
            if committed:
                same("nothing begun", ending(who, True))
                same("nothing begun", ending(who, False))
            both.same("begin", ADD, 3, adding(3, who, ("t", [0, 1])))
            both.described(name)
            for other in ({"producer_epoch": -1}, {"producer_epoch": 1}, {"producer_id": 1_000_000}):
                same("not the owner", ending(both.owner(name, **other), committed))
            assert same("the end", ending(who, committed))["error_code"] == 0
            both.reaches(name, state)
            same("again", ending(who, committed))
            same("otherwise", ending(who, not committed))
            both.described(name)
        for unknown in ("nobody", ""):
            same("nobody", ending(lambda _: {"transactional_id": unknown, **NOBODY}, True))  # noqa: B023


def test_a_second_producer_fences_the_first(both):
    for version in range(6):
        name = f"fence-{version}"
        both.init(name, version)
        who = both.owner(name)
        both.same("begin", ADD, 3, adding(3, who, ("t", [0])))
        for owners in both.owners:
            owners["first"] = dict(owners[name])
        first = lambda owner: {"transactional_id": name, **owner("first")}  # noqa: E731, B023
        assert both.init(name, version)["error_code"] == 51
        both.reaches(name, "CompleteAbort")
        assert both.init(name, version)["producer_epoch"] == 2
        for older in range(6):
            both.same("add", ADD, older, adding(older, first, ("t", [0])))
        for older in range(5):
            fields = lambda owner: first(owner) | {"group_id": "g"}  # noqa: E731, B023
            both.same("add offsets", ADD_OFFSETS, older, fields)
            both.same("end", END, older, ending(first, True))
        both.described(name)


def test_a_transaction_that_takes_too_long(both):
    both.init("late", timeout=300)
    who = both.owner("late")
    both.same("begin", ADD, 3, adding(3, who, ("t", [0])))
    both.reaches("late", "CompleteAbort")
    both.same("end", END, 3, ending(who, True))
    both.same("end", END, 3, ending(who, False))
    both.same("add", ADD, 3, adding(3, who, ("t", [0])))
    both.described("late")
    assert both.init("late", claims=lambda owner: owner("late"))["error_code"] == 90
    both.init("late")


@pytest.mark.long
def test_epochs_that_are_used_up(both):
    """A producer id has 32 766 epochs that it can give away."""
    name = "worn"
    both.init(name)
    for connection, owners in zip(both.beside.connections, both.owners):
        epoch = owners[name]["producer_epoch"]
        while epoch < 32_766:
            fields = {"transactional_id": name, "transaction_timeout_ms": 1000, **NOBODY}
            answer = connection.ask(make(REQUESTS[INIT], 4, **fields))
            assert answer.error_code == 0
            epoch = answer.producer_epoch
        owners[name]["producer_epoch"] = epoch
    last = lambda owner: owner(name)  # noqa: E731
    for owners in both.owners:
        owners["last"] = dict(owners[name])
    assert both.init(name, claims=last)["producer_epoch"] == 0
    assert both.init(name, claims=lambda owner: owner("last"))["producer_epoch"] == 0
    both.described(name)


def test_descriptions_of_what_is_not_there(both):
    both.described("nobody", "", "nobody")
    both.described()


def test_lists(both):
    both.init("list-empty")
    both.init("list-open")
    both.same("begin", ADD, 3, adding(3, both.owner("list-open"), ("t", [0])))
    states = ([], ["Ongoing"], ["Empty", "Ongoing"], ["Ongoing", "none", "Dead", ""], ["ongoing"])
    for filters in states:
        for version in (0, 1):
            for duration in (-1, 0, 3_600_000):
                fields = lambda _: {  # noqa: E731
                    "state_filters": filters,  # noqa: B023
                    "producer_id_filters": [],
                    "duration_filter": duration,  # noqa: B023
                }
                both.same(f"{filters} {duration}", LIST, version, fields)
    for name in ("list-empty", "list-open"):
        fields = lambda owner: {  # noqa: E731
            "state_filters": [],
            "producer_id_filters": [owner(name)["producer_id"], 987_654_321],  # noqa: B023
            "duration_filter": -1,
        }
        listed = both.same(name, LIST, 1, fields)["transaction_states"]
        assert [each["transactional_id"] for each in listed] == [name]


def test_the_configuration_of_the_internal_topic(both):
    resource = {"resource_type": 2, "resource_name": "__transaction_state", "configuration_keys": None}
    fields = {"resources": [resource], "include_synonyms": True, "include_documentation": False}
    both.same("configuration", CONFIGS, 4, lambda _: fields)
