"""The group protocol answer by answer, with requests that no client sends in this
order. A real Kafka 3.9 passes the same tests (`--servers apache`), which is where
the expected answers come from."""

import struct

import pytest
from harness import Cluster, wait_until
from kafka.protocol import admin, consumer, metadata
from wire import Connection, make

NONE, TOO_LARGE = 0, 12
ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP, UNKNOWN_MEMBER = 22, 23, 24, 25
INVALID_SESSION_TIMEOUT, REBALANCE = 26, 27
NON_EMPTY, NOT_FOUND, ID_REQUIRED, FULL, FENCED, SUBSCRIBED = 68, 69, 79, 81, 82, 86
SIZE_MAX = 3


def subscription(*topics):
    """The consumer protocol's metadata, version 0."""
    out = struct.pack(">hi", 0, len(topics))
    for topic in topics:
        out += struct.pack(">h", len(topic)) + topic.encode()
    return out + struct.pack(">i", -1)


class Member:
    """A member on a connection of its own; joins and syncs may be left waiting."""

    def __init__(self, port, group, topic, **own):
        self.connection = Connection(port)
        self.group, self.topic = group, topic
        self.instance_id = own.get("instance_id")
        self.version = own.get("version", 9)
        self.protocols = own.get("protocols", ["range"])
        self.protocol_type = own.get("protocol_type", "consumer")
        self.session_timeout_ms = own.get("session_timeout_ms", 30_000)
        self.member_id, self.generation, self.waiting = "", -1, None

    def send_join(self, member_id=None):
        self.waiting = make(
            consumer.JoinGroupRequest,
            self.version,
            group_id=self.group,
            session_timeout_ms=self.session_timeout_ms,
            rebalance_timeout_ms=30_000,
            member_id=self.member_id if member_id is None else member_id,
            group_instance_id=self.instance_id,
            protocol_type=self.protocol_type,
            protocols=[
                {"name": name, "metadata": subscription(self.topic)} for name in self.protocols
            ],
            reason="to see",
        )
        self.connection.send(self.waiting)

    def joined(self):
        answer = self.connection.answer(self.waiting)
        if answer.error_code in (NONE, ID_REQUIRED):
            self.member_id = answer.member_id
        if answer.error_code == NONE:
            self.generation = answer.generation_id
        return answer

    def join(self, member_id=None):
        """Joins, coming back with the id that it was given."""
        self.send_join(member_id)
        answer = self.joined()
        if answer.error_code == ID_REQUIRED:
            self.send_join()
            answer = self.joined()
        return answer

    def send_sync(self, assignments=(), **changed):
        fields = {
            "group_id": self.group,
            "generation_id": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance_id,
            "protocol_type": self.protocol_type,
            "protocol_name": self.protocols[0],
            "assignments": [{"member_id": m, "assignment": a} for m, a in assignments],
        }
        version = min(self.version, 5)
        self.waiting = make(consumer.SyncGroupRequest, version, **fields | changed)
        self.connection.send(self.waiting)

    def sync(self, assignments=(), **changed):
        self.send_sync(assignments, **changed)
        return self.connection.answer(self.waiting)

    def heartbeat(self, **changed):
        fields = {
            "group_id": self.group,
            "generation_id": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance_id,
        }
        request = make(consumer.HeartbeatRequest, 4, **fields | changed)
        return self.connection.ask(request).error_code

    def commit(self, offset=1, metadata="", **changed):
        partition = {"partition_index": 0, "committed_offset": offset}
        partition |= {"committed_leader_epoch": -1, "committed_metadata": metadata}
        fields = {
            "group_id": self.group,
            "generation_id_or_member_epoch": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance_id,
            "topics": [{"name": self.topic, "partitions": [partition]}],
        }
        answer = self.connection.ask(make(consumer.OffsetCommitRequest, 8, **fields | changed))
        return answer.topics[0].partitions[0].error_code

    def leave(self, *members):
        """Each member is (member id, instance id); the codes of each."""
        members = members or [(self.member_id, self.instance_id)]
        listed = [
            {"member_id": member, "group_instance_id": instance, "reason": "enough"}
            for member, instance in members
        ]
        request = make(consumer.LeaveGroupRequest, 5, group_id=self.group, members=listed)
        answer = self.connection.ask(request)
        assert answer.error_code == NONE
        return [each.error_code for each in answer.members]

    def fetch(self, topic=None, stable=True):
        topics = [{"name": topic or self.topic, "partition_indexes": [0]}]
        asked = {"group_id": self.group, "topics": topics}
        request = make(consumer.OffsetFetchRequest, 8, groups=[asked], require_stable=stable)
        group = self.connection.ask(request).groups[0]
        assert group.error_code == NONE
        partition = group.topics[0].partitions[0]
        return partition.committed_offset, partition.metadata, partition.error_code


@pytest.fixture(scope="module")
def port(servers, tmp_path_factory):
    limits = {"group.max.size": SIZE_MAX, "offset.metadata.max.bytes": 10}
    made = Cluster(tmp_path_factory.mktemp("groups"), servers, limits)
    made.start()
    yield made.broker_port
    made.close()


@pytest.fixture
def member(port, unique):
    """Makes members of one group; the group's coordinator is there."""
    group, topic = unique("protocol"), unique("protocol-topic")
    connection = Connection(port)
    for name in (topic, topic + "-other"):
        new = {"name": name, "num_partitions": 1, "replication_factor": 1}
        new |= {"assignments": [], "configs": []}
        request = make(admin.CreateTopicsRequest, 4, topics=[new], timeout_ms=10_000)
        wait_until(lambda: connection.ask(request).topics[0].error_code in (NONE, 36), 30, name)  # noqa: B023
    made = []

    def make_member(**own):
        made.append(Member(port, group, topic, **own))
        return made[-1]

    first = make_member()
    ask = make(metadata.FindCoordinatorRequest, 3, key=group, key_type=0)
    wait_until(lambda: first.connection.ask(ask).error_code == NONE, 30, "a coordinator")
    wait_until(lambda: first.heartbeat() == UNKNOWN_MEMBER, 30, "the group is loaded")
    yield make_member
    for each in [*made, connection]:
        getattr(each, "connection", each).close()


def stable(*members):
    """Joins and syncs all; the first leads. Gives their answers to the join."""
    first, rest = members[0], members[1:]
    answers = [first.join()]
    if not rest:
        assert first.sync([(first.member_id, b"all")]).error_code == NONE
        return answers
    first.sync([(first.member_id, b"all")])
    for each in rest:
        each.send_join()
        answer = each.joined() if each.instance_id is None and each.version >= 4 else None
        if answer is not None and answer.error_code == ID_REQUIRED:
            each.send_join()
    wait_until(lambda: first.heartbeat() == REBALANCE, 30, "a rebalance")
    first.send_join()
    answers = [each.joined() for each in members]
    assert {answer.error_code for answer in answers} == {NONE}
    assert len({answer.generation_id for answer in answers}) == 1
    for each in rest:
        each.send_sync()
    shares = [(each.member_id, each.member_id.encode()) for each in members]
    synced = [first.sync(shares)]
    synced += [each.connection.answer(each.waiting) for each in rest]
    assert [each.assignment for each in synced] == [share for _, share in shares]
    return answers


def test_who_joins_first_gets_an_id_and_leads(member):
    one = member()
    one.send_join()
    answer = one.joined()
    assert (answer.error_code, answer.generation_id, answer.leader) == (ID_REQUIRED, -1, "")
    assert one.member_id.startswith("versions-")
    assert one.heartbeat() == UNKNOWN_MEMBER, "an id alone is no membership"
    one.send_join()
    answer = one.joined()
    assert (answer.error_code, answer.generation_id) == (NONE, 1)
    assert (answer.leader, answer.protocol_type) == (one.member_id, "consumer")
    assert [each.member_id for each in answer.members] == [one.member_id]
    # Before the assignment: beats count, commits do not.
    assert one.heartbeat() == NONE
    assert one.commit() == REBALANCE
    assert one.sync(protocol_name="other").error_code == INCONSISTENT_PROTOCOL
    assert one.sync(protocol_type="other").error_code == INCONSISTENT_PROTOCOL
    assert one.sync(protocol_name=None).error_code == INCONSISTENT_PROTOCOL
    assert one.sync(generation_id=7).error_code == ILLEGAL_GENERATION
    assert one.sync(member_id="nobody").error_code == UNKNOWN_MEMBER
    assert one.sync([(one.member_id, b"share")]).assignment == b"share"
    assert one.heartbeat(generation_id=0) == ILLEGAL_GENERATION
    assert one.heartbeat(group_id="") == INVALID_GROUP


def test_an_old_client_joins_at_once_and_shares_with_a_new_one(member):
    old, new = member(version=3), member()
    answers = stable(old, new)
    assert answers[0].generation_id == 2
    assert {each.member_id for each in answers[0].members} == {old.member_id, new.member_id}
    assert len(answers[1].members) == 0
    # Who is there already and joins again with the same protocols gets the same answer,
    again = new.join()
    assert (again.error_code, again.generation_id, again.leader) == (NONE, 2, old.member_id)
    # except the leader, who wants a new generation.
    old.send_join()
    wait_until(lambda: new.heartbeat() == REBALANCE, 30, "a rebalance")
    # While it prepares, commits of the generation before still count.
    assert new.commit(5) == NONE
    assert new.fetch() == (5, "", NONE)
    new.send_join()
    assert (old.joined().generation_id, new.joined().generation_id) == (3, 3)


def test_joins_that_are_refused(member):
    assert member(session_timeout_ms=5_999).join().error_code == INVALID_SESSION_TIMEOUT
    assert member(session_timeout_ms=1_800_001).join().error_code == INVALID_SESSION_TIMEOUT
    assert member(protocol_type="").join().error_code == INCONSISTENT_PROTOCOL
    assert member(protocols=[]).join().error_code == INCONSISTENT_PROTOCOL
    assert member().join("nobody").error_code == UNKNOWN_MEMBER
    stable(member())
    assert member().join("nobody").error_code == UNKNOWN_MEMBER
    assert member(protocols=["other"]).join().error_code == INCONSISTENT_PROTOCOL
    assert member(protocol_type="connect").join().error_code == INCONSISTENT_PROTOCOL


def test_a_full_group_takes_nobody_else(member):
    members = [member(version=3) for _ in range(SIZE_MAX)]
    stable(*members)
    late = member()
    answer = late.join()
    assert (answer.error_code, answer.member_id) == (FULL, "")
    assert {each.heartbeat() for each in members} == {NONE}


def test_a_static_member_comes_back_and_its_old_self_is_fenced(member):
    leader, other = member(instance_id="a"), member(instance_id="b")
    stable(leader, other)
    old_id, share = other.member_id, other.member_id.encode()
    back = member(instance_id="b")
    answer = back.join()
    assert (answer.error_code, answer.generation_id) == (NONE, other.generation)
    assert (answer.leader, answer.skip_assignment) == (leader.member_id, False)
    assert back.member_id != old_id
    assert back.sync().assignment == share
    assert leader.heartbeat() == NONE, "nobody rebalances"
    assert other.heartbeat() == FENCED
    assert other.commit() == FENCED
    assert other.sync().error_code == FENCED
    assert other.join().error_code == FENCED
    assert other.leave() == [FENCED]
    assert other.heartbeat(group_instance_id=None) == UNKNOWN_MEMBER
    assert back.heartbeat(group_instance_id="c") == UNKNOWN_MEMBER


@pytest.mark.parametrize(("version", "skips"), [(9, True), (8, False)])
def test_a_static_leader_keeps_the_assignment(member, version, skips):
    leader, other = member(instance_id="a"), member(instance_id="b")
    stable(leader, other)
    back = member(instance_id="a", version=version)
    answer = back.join()
    assert (answer.error_code, answer.generation_id) == (NONE, leader.generation)
    if skips:
        assert (answer.leader, answer.skip_assignment) == (back.member_id, True)
        assert len(answer.members) == 2
    else:
        # It is shown who led before, so that it does not make an assignment.
        assert (answer.leader, len(answer.members)) == (leader.member_id, 0)
    assert back.sync().assignment == leader.member_id.encode()
    assert other.heartbeat() == NONE
    # When it joins once more as the leader that it is, there is a rebalance.
    back.send_join()
    wait_until(lambda: other.heartbeat() == REBALANCE, 30, "a rebalance")
    other.send_join()
    assert (back.joined().error_code, other.joined().error_code) == (NONE, NONE)


def test_a_static_member_with_other_protocols_makes_a_rebalance(member):
    leader = member(instance_id="a", protocols=["range", "roundrobin"])
    stable(leader)
    back = member(instance_id="a", protocols=["roundrobin"])
    answer = back.join()
    assert (answer.error_code, answer.generation_id) == (NONE, leader.generation + 1)
    assert answer.protocol_name == "roundrobin"


def test_members_are_put_out_by_name(member):
    leader, other = member(instance_id="a"), member(instance_id="b")
    stable(leader, other)
    outcomes = leader.leave(("", "none"), ("nobody", None), ("nobody", "b"), ("", "b"), ("", None))
    assert outcomes == [UNKNOWN_MEMBER, UNKNOWN_MEMBER, FENCED, NONE, UNKNOWN_MEMBER]
    wait_until(lambda: leader.heartbeat() == REBALANCE, 30, "a rebalance")
    answer = leader.join()
    assert [each.group_instance_id for each in answer.members] == ["a"]
    # An id that was given out and not used yet is given up by leaving.
    late = member()
    late.send_join()
    late.joined()
    assert late.leave() == [NONE]
    assert late.join(late.member_id).error_code == UNKNOWN_MEMBER


def test_who_may_commit(member):
    one = member()
    outside = {"generation_id_or_member_epoch": -1, "member_id": "", "group_instance_id": None}
    assert one.commit(generation_id_or_member_epoch=0) == ILLEGAL_GENERATION, "there is no group"
    assert one.commit(3, **outside) == NONE
    assert one.commit(4, **outside | {"member_id": "anybody"}) == NONE
    assert one.commit(5, generation_id_or_member_epoch=0, member_id="a") == UNKNOWN_MEMBER
    stable(one)
    assert one.fetch() == (4, "", NONE)
    assert one.commit(6, **outside) == UNKNOWN_MEMBER, "members alone commit now"
    assert one.commit(6, generation_id_or_member_epoch=-1) == ILLEGAL_GENERATION
    assert one.commit(6, generation_id_or_member_epoch=9) == ILLEGAL_GENERATION
    assert one.commit(6, member_id="nobody") == UNKNOWN_MEMBER
    assert one.commit(6, group_instance_id="none") == UNKNOWN_MEMBER
    assert one.commit(6, metadata="x" * 11) == TOO_LARGE
    assert one.commit(7, metadata="\u00e4" * 10) == NONE, "characters count, not bytes"
    assert one.fetch() == (7, "\u00e4" * 10, NONE)
    assert one.fetch("no-such-topic") == (-1, "", NONE)
    assert one.leave() == [NONE]
    assert one.commit(8, **outside) == NONE, "the group is empty again"


def describe(one, version=5):
    request = make(admin.DescribeGroupsRequest, version, groups=[one.group])
    return one.connection.ask(request).groups[0]


def listed(one, states=(), types=()):
    version = 5
    request = make(
        admin.ListGroupsRequest, version, states_filter=list(states), types_filter=list(types)
    )
    answer = one.connection.ask(request)
    assert answer.error_code == NONE
    found = [each for each in answer.groups if each.group_id == one.group]
    return [(each.protocol_type, each.group_state, each.group_type) for each in found]


def test_what_is_told_of_a_group(member):
    one = member()
    group = describe(one)
    assert (group.error_code, group.group_state, group.protocol_type) == (NONE, "Dead", "")
    assert one.join().error_code == NONE
    group = describe(one)
    assert (group.group_state, group.protocol_type) == ("CompletingRebalance", "consumer")
    assert group.protocol_data == "", "not yet"
    [told] = group.members
    assert (told.member_id, told.client_id, told.client_host) == (
        one.member_id, "versions", "/127.0.0.1",
    )  # fmt: skip
    assert (told.member_metadata, told.member_assignment) == (b"", b"")
    one.sync([(one.member_id, b"share")])
    group = describe(one)
    assert (group.group_state, group.protocol_data) == ("Stable", "range")
    [told] = group.members
    assert told.member_metadata == subscription(one.topic)
    assert told.member_assignment == b"share"
    whole = [("consumer", "Stable", "classic")]
    assert listed(one) == listed(one, ["sTaBlE"]) == listed(one, ["Dead", "Stable"]) == whole
    assert listed(one, [], ["Classic"]) == whole
    assert listed(one, ["Empty"]) == listed(one, [], ["consumer"]) == []
    assert listed(one, ["NoSuchState"]) == listed(one, [], ["nothing"]) == []
    assert one.leave() == [NONE]
    wait_until(lambda: describe(one).group_state == "Empty", 30, "an empty group")
    group = describe(one)
    assert (group.protocol_type, group.protocol_data, list(group.members)) == ("consumer", "", [])


def delete(one, *groups):
    request = make(admin.DeleteGroupsRequest, 2, groups_names=list(groups))
    return [each.error_code for each in one.connection.ask(request).results]


def delete_offsets(one, topic):
    topics = [{"name": topic, "partitions": [{"partition_index": 0}]}]
    request = make(consumer.OffsetDeleteRequest, 0, group_id=one.group, topics=topics)
    answer = one.connection.ask(request)
    if answer.error_code:
        return answer.error_code
    return answer.topics[0].partitions[0].error_code


def test_groups_and_offsets_are_deleted(member):
    one = member()
    other_topic = one.topic + "-other"
    assert delete(one, one.group) == [NOT_FOUND]
    assert delete_offsets(one, one.topic) == NOT_FOUND
    stable(one)
    partition = {"partition_index": 0, "committed_offset": 2, "committed_metadata": ""}
    partition["committed_leader_epoch"] = -1
    assert one.commit(1) == NONE
    assert one.commit(topics=[{"name": other_topic, "partitions": [partition]}]) == NONE
    assert delete(one, one.group) == [NON_EMPTY]
    assert delete_offsets(one, one.topic) == SUBSCRIBED
    assert delete_offsets(one, other_topic) == NONE
    assert one.fetch(other_topic) == (-1, "", NONE)
    assert one.fetch() == (1, "", NONE)
    assert one.leave() == [NONE]
    assert delete_offsets(one, one.topic) == NONE
    assert one.fetch() == (-1, "", NONE)
    assert delete(one, one.group) in ([NONE], [NOT_FOUND])
    assert describe(one).group_state == "Dead"
    stable(one_more(one, member))


def one_more(one, member):
    """A group of that name begins anew."""
    fresh = member()
    answer = fresh.join()
    assert answer.generation_id == 1
    fresh.leave()
    return member()


def test_a_group_of_another_kind_keeps_its_offsets_while_it_lives(member):
    one = member(protocol_type="connect")
    stable(one)
    assert one.commit(1) == NONE
    assert delete_offsets(one, one.topic) == NON_EMPTY
