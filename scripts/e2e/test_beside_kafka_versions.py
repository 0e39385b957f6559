"""What our broker lists and what Kafka 3.9 lists; the table in README's words.

Where the two differ, `DIFFERENT` says how and why: a difference that is not
there, or one that is there no more, fails.
"""

import struct

import pytest
from beside_kafka import Beside, normal
from harness import wait_until
from kafka.protocol import metadata
from wire import make

OF_4_1 = "Kafka 4.1 has more versions, whose clients are served too"

# API key -> (ours, Kafka's, why)
DIFFERENT = {
    0: ((0, 13), (0, 11), OF_4_1),
    1: ((0, 18), (0, 17), OF_4_1),
    2: ((0, 10), (0, 9), OF_4_1),
    3: ((0, 13), (0, 12), OF_4_1),
    15: ((0, 6), (0, 5), OF_4_1),
    45: ((0, 1), (0, 0), OF_4_1),
    60: ((0, 2), (0, 1), OF_4_1),
    66: ((0, 2), (0, 1), OF_4_1),
    58: (None, (0, 0), "Kafka lists it, and closes the connection of who uses it"),
}


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with Beside(tmp_path_factory.mktemp("beside")) as both:
        wait_until(lambda: have_features(both), 60, "both have a controller")
        yield both


def ask(both, version, **fields):
    fields = {"client_software_name": "a", "client_software_version": "1"} | fields
    request = lambda: make(metadata.ApiVersionsRequest, version, **fields)  # noqa: E731
    return [each.ask(request()).to_dict() for each in both.connections]


def have_features(both):
    """The first controller of a cluster makes the node of its features."""
    return all(answer.get("finalized_features_epoch") == 0 for answer in ask(both, 3))


def test_listed_versions(beside):
    ours, kafka = ({key["api_key"]: (key["min_version"], key["max_version"]) for key in
                    answer["api_keys"]} for answer in ask(beside, 3))  # fmt: skip
    different = {
        key: (ours.get(key), kafka.get(key))
        for key in ours.keys() | kafka.keys()
        if ours.get(key) != kafka.get(key)
    }
    assert different == {key: (mine, theirs) for key, (mine, theirs, _) in DIFFERENT.items()}


def test_the_rest_of_the_answer(beside):
    for version in range(5):
        ours, kafka = ask(beside, version)
        assert ours.pop("api_keys") and kafka.pop("api_keys")
        assert normal(ours) == normal(kafka), version


def test_names_of_clients(beside):
    legal = b"a"
    for name in [b"", b"-a", b"a-", b"a b", b"a.b", b"a" * 90, "ä".encode(), b"a_b"]:
        for names in [(name, legal), (legal, name)]:
            body = b"".join(bytes([len(each) + 1]) + each for each in names) + b"\0"
            ours, kafka = beside.raw(18, 3, body, flexible=True)
            (mine, theirs) = (struct.unpack_from(">h", each, 4)[0] for each in (ours, kafka))
            assert mine == theirs, names
            if theirs:
                assert ours == kafka, names


def test_versions_from_the_future(beside):
    """KIP-511: ApiVersions is answered in version 0; everything else ends the connection."""
    for version in (5, 6, 1000, -1):
        ours, kafka = beside.raw(18, version, b"\0\2a\0021\0", flexible=False)
        assert ours == kafka, version
    for key, version in [(3, 14), (19, 99), (999, 0), (-1, 0), (75, 0), (55, 0), (64, 0)]:
        ours, kafka = beside.raw(key, version, b"\0" * 8, flexible=False)
        assert ours == kafka == None, (key, version)  # noqa: E711
