"""Who a client is: SASL, enforced authentication, hashes. Beside a real ZooKeeper."""

import re

import harness
import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import make_acl
from puresasl.client import SASLClient
from zookeeper_pair import Pair
from zookeeper_wire import AUTH, CREATE, EXISTS, GET, GET_ACL, OPEN, PING, SASL, WHO_AM_I
from zookeeper_wire import Client, create, i32, text, watching

PROVIDER = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
JAAS = """
Server {
   org.apache.zookeeper.server.auth.DigestLoginModule required
   user_super="topsecret"
   user_kafka="kafka-secret";
};
Client {
   org.apache.zookeeper.server.auth.DigestLoginModule required
   username="kafka"
   password="kafka-secret";
};
"""


@pytest.fixture
def keys(tmp_path):
    """What makes a server offer SASL."""
    jaas = tmp_path / "jaas.conf"
    jaas.write_text(JAAS)
    return {"authProvider.sasl": PROVIDER, "java.security.auth.login.config": jaas}


def tokens(client, answers):
    """Keeps the tokens of a server comparable: a nonce is never the same."""
    token = client.call(SASL, text(answers))[-1][2][0]
    return token, token and re.sub(rb'nonce="[^"]*"', b"nonce", token)


def log_in(client, user, password):
    """A login by hand; returns what is the same every time."""
    sasl = SASLClient("zk-sasl-md5", "zookeeper", "DIGEST-MD5", username=user, password=password)
    challenge, fixed = tokens(client, b"")
    answer = client.call(SASL, text(sasl.process(challenge)))[-1]
    if answer[0] != 0:
        return fixed, answer, client.ended()
    sasl.process(answer[2][0])
    return fixed, answer[:2], sasl.complete


def test_sasl_by_hand(tmp_path, keys):
    keys["superUser.1"] = "super"
    acls = [[(31, "sasl", who)] for who in ["kafka", "k@R", "a/b/c@R", "zoe"]]
    cases = [(CREATE, create(f"/n{n}", b"", acl)) for n, acl in enumerate(acls)]
    cases += [(CREATE, create("/auth", b"", [(31, "auth", "")])), (GET_ACL, text("/auth"))]
    cases += [(GET, watching("/n0")), (GET, watching("/n3")), (WHO_AM_I, b"")]
    with Pair(tmp_path, keys) as pair:
        for user, password in [("kafka", "kafka-secret"), ("super", "topsecret"), ("kafka", "no"), ("eve", "")]:
            ours, oracle = pair.clients()
            expected = log_in(oracle, user, password)
            assert log_in(ours, user, password) == expected
            if expected[1][0] != 0:
                continue
            for case in cases:
                assert ours.call(*case) == oracle.call(*case), (user, case)
        # A token where none is expected is passed over; what is no token ends it all.
        ours, oracle = pair.clients()
        assert tokens(ours, b"hello")[1] == tokens(oracle, b"hello")[1]
        nobody = (AUTH, i32(0) + text(None) + text("u:p"), -4)
        ours, oracle = pair.clients()
        assert ours.call(*nobody) == oracle.call(*nobody)
        for op, xid in [(SASL, 7), (AUTH, -4)]:
            for client in pair.clients():
                with pytest.raises((EOFError, ConnectionResetError)):
                    client.call(op, b"\0", xid)


def test_sasl_where_it_is_not_offered(tmp_path):
    with Pair(tmp_path) as pair:
        ours, oracle = pair.clients()
        for case in [(SASL, text(b"")), (CREATE, create("/s", b"", [(31, "sasl", "kafka")])), (WHO_AM_I, b"")]:
            assert ours.call(*case) == oracle.call(*case), case


def test_kazoo_logs_in(tmp_path, keys):
    with Pair(tmp_path, keys) as pair:
        for address in pair.addresses:
            options = {"mechanism": "DIGEST-MD5", "username": "kafka", "password": "kafka-secret"}
            client = KazooClient(address, sasl_options=options)
            client.start(15)
            client.create("/mine", b"x", acl=[make_acl("sasl", "kafka", all=True)])
            stranger = KazooClient(address)
            stranger.start(15)
            with pytest.raises(NoAuthError):
                stranger.get("/mine")
            assert client.get("/mine")[0] == b"x"
            for one in [client, stranger]:
                one.stop()
                one.close()
            states = []
            wrong = KazooClient(address, sasl_options=options | {"password": "wrong"})
            wrong.add_listener(states.append)
            wrong.start_async()
            harness.wait_until(lambda: "LOST" in states, 15, "the login fails")
            wrong.stop()
            wrong.close()


def test_the_java_client_logs_in(tmp_path, keys):
    """zkCli with a JAAS file; its FIPS mode, the default, would forbid DIGEST-MD5."""
    with Pair(tmp_path, keys) as pair:
        jaas = keys["java.security.auth.login.config"]
        options = f"-Djava.security.auth.login.config={jaas} -Dzookeeper.fips-mode=false"
        environment = {"HEAP": "64m", "JAVA_OPTS": options}
        for address in pair.addresses:
            command = [harness.PEERS / "zookeeper/run", "org.apache.zookeeper.ZooKeeperMain"]
            command += ["-server", address]
            commands = "create /j data sasl:kafka:cdrwa\nget /j\nwhoami\nquit\n"
            said = harness.run(command, stdin=commands, environment=environment)
            assert re.search(r"^data$", said, re.MULTILINE), said
            assert "sasl: kafka" in said, said


def test_authentication_can_be_enforced(tmp_path, keys):
    for extra in [
        {"sessionRequireClientSASLAuth": "true"},
        {"enforce.auth.enabled": "true", "enforce.auth.schemes": "digest,sasl"},
    ]:
        folder = tmp_path / next(iter(extra))
        folder.mkdir()
        with Pair(folder, keys | extra) as pair:
            for op, body, xid in [(CREATE, create("/x"), None), (PING, b"", -2)]:
                ours, oracle = pair.clients()
                assert ours.call(op, body, xid) == oracle.call(op, body, xid)
                assert ours.ended() and oracle.ended()
            ours, oracle = pair.clients()
            assert log_in(ours, "kafka", "wrong") == log_in(oracle, "kafka", "wrong")
            ours, oracle = pair.clients()
            digest = (AUTH, i32(0) + text("digest") + text("u:p"), -4)
            assert ours.call(*digest) == oracle.call(*digest)
            assert ours.call(EXISTS, watching("/")) == oracle.call(EXISTS, watching("/"))
            ours, oracle = pair.clients()
            assert log_in(ours, "kafka", "kafka-secret") == log_in(oracle, "kafka", "kafka-secret")
            assert ours.call(CREATE, create("/y")) == oracle.call(CREATE, create("/y"))


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA3-512", "MD5"])
def test_hashes(tmp_path, algorithm):
    keys = {"DigestAuthenticationProvider.digestAlg": algorithm, "skipACL": "yes"}
    with Pair(tmp_path, keys) as pair:
        authenticate = (AUTH, i32(0) + text("digest") + text("u:p\u00e4"), -4)
        garbage = (AUTH, i32(0) + text("digest") + text(b"u:\xff"), -4)
        mine = [(31, "auth", "")]
        cases = [authenticate, garbage, (CREATE, create("/h", b"", mine)), (GET_ACL, text("/h"))]
        pair.compare([(str(case[0]), *case) for case in cases])
        # skipACL: a stranger may see it nevertheless.
        pair.compare([("acl", GET_ACL, text("/h")), ("get", GET, watching("/h"))])


def test_passwords_can_be_switched_off(tmp_path):
    with Pair(tmp_path, {"DigestAuthenticationProvider.enabled": "false"}) as pair:
        ours, oracle = pair.clients()
        acl = [(31, "digest", "u:hash")]
        for case in [(CREATE, create("/d", b"", acl)), (AUTH, i32(0) + text("digest") + text("u:p"), -4)]:
            assert ours.call(*case) == oracle.call(*case), case
        assert ours.ended() and oracle.ended()


def test_the_super_user_is_no_matter_of_acls(tmp_path):
    keys = {"DigestAuthenticationProvider.superDigest": "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="}
    with Pair(tmp_path, keys) as pair:
        owner = [(AUTH, i32(0) + text("digest") + text("u:p"), -4), (CREATE, create("/o", b"", [(31, "auth", "")]))]
        pair.compare([(str(case[0]), *case) for case in owner])
        boss = (AUTH, i32(0) + text("digest") + text("super:admin"), -4)
        cases = [boss, (GET, watching("/o")), (GET_ACL, text("/o")), (WHO_AM_I, b"")]
        cases += [(CREATE, create("/mine", b"", [(31, "auth", "")])), (GET_ACL, text("/mine"))]
        cases += [(CREATE, create("/zookeeper/config/x", b"", OPEN))]
        pair.compare([(str(case[0]), *case) for case in cases])


def test_a_client_that_fails_may_stay(tmp_path, keys):
    with Pair(tmp_path, keys | {"allowSaslFailedClients": "true"}) as pair:
        results = []
        for client in map(Client, pair.addresses):
            tokens(client, b"")
            failed = client.call(SASL, text(b"nonsense"))
            results.append((failed, client.call(WHO_AM_I, b"")))
        assert results[0] == results[1]
