"""kafka-cluster, kafka-features, kafka-client-metrics, kafka-acls and
kafka-e2e-latency beside Kafka 3.9.1's own, on the same broker: the same lines, the
same exit codes. What the JVM adds (stacks, a table's wording) is left out.
"""

import json
import re
import subprocess

import harness
import pytest
from harness import PEERS

MAIN = {
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "acls": "kafka.admin.AclCommand",
    "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "delegation-tokens": "org.apache.kafka.tools.DelegationTokenCommand",
}


def run(whose, tool, *words, stdin=""):
    """(exit code, standard output, standard error)."""
    if whose == "ours":
        command = [harness.TARGET / "kafka", tool, *words]
    else:
        command = [PEERS / "kafka39" / "run", MAIN[tool], *words]
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env={"HEAP": "128m", "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stdout, done.stderr


def both(tool, *words, stdin=""):
    return [run(whose, tool, *words, stdin=stdin) for whose in ("ours", "kafkas")]


def shown(text):
    """Lines in any order, as a JVM takes them out of hash tables."""
    stack = re.compile(r"^(\tat |Caused by|\t\.\.\. )")
    return sorted(line.strip() for line in text.splitlines() if line.strip() and not stack.match(line))


def same(tool, *words):
    ours, kafkas = both(tool, *words)
    assert ours[0] == kafkas[0], (ours, kafkas)
    assert shown(ours[1]) == shown(kafkas[1])
    return ours


def refused(tool, *words):
    """The first line tells what is wrong; a table of options follows."""
    ours, kafkas = both(tool, *words)
    assert ours[0] == kafkas[0] == 1
    first = [(out + err).splitlines()[0] for _, out, err in (ours, kafkas)]
    assert first[0] == first[1]


def told(tool, *words):
    """argparse4j justifies its lines: blanks do not count."""
    ours, kafkas = both(tool, *words)
    assert ours[0] == kafkas[0]
    pressed = [re.sub(r"\s", "", err) for _, _, err in (ours, kafkas)]
    assert pressed[0] == pressed[1]


def server(cluster):
    return ["--bootstrap-server", cluster.bootstrap]


def test_the_cluster_and_its_brokers(cluster):
    said = same("cluster", "cluster-id", *server(cluster))[1]
    assert re.fullmatch(r"Cluster ID: [\w-]{22}\n", said)
    same("cluster", "unregister", "-b", cluster.bootstrap, "-i", "5")
    for words in (
        [],
        ["nope"],
        ["cluster-id"],
        ["cluster-id", "-b", "a:1", "--bogus"],
        ["cluster-id", "-b", "a:1", "-C", "b:1"],
        ["unregister", "-b", "a:1"],
        ["unregister", "-b", "a:1", "-i", "x"],
    ):
        told("cluster", *words)


def test_features(cluster):
    same("features", *server(cluster), "describe")
    for words in (
        ["upgrade"],
        ["upgrade", "--metadata", "9.9"],
        ["upgrade", "--metadata", "3.9-IV0"],
        ["upgrade", "--metadata", "3.7", "--dry-run"],
        ["upgrade", "--feature", "x"],
        ["upgrade", "--feature", "x=a"],
        ["upgrade", "--feature", "x=1", "--feature", "x=2"],
        ["upgrade", "--feature", "x=1"],
        ["downgrade", "--feature", "x=1", "--unsafe"],
        ["downgrade", "--feature", "x=1", "--dry-run"],
        ["disable", "--feature", "x", "--feature", "y"],
        ["disable"],
    ):
        _, _, err = same("features", *server(cluster), *words)
        assert shown(err) == shown(run("kafkas", "features", *server(cluster), *words)[2]), words
    for words in ([], server(cluster), [*server(cluster), "nope"], [*server(cluster), "disable", "--bogus"]):
        told("features", *words)


def test_client_metrics(cluster):
    for words in (
        ["--list"],
        ["--describe"],
        ["--describe", "--name", "x"],
        ["--alter", "--name", "x", "--interval", "1000", "--metrics", "a,b"],
        ["--delete", "--name", "x"],
    ):
        same("client-metrics", *server(cluster), *words)
    for words in ([], ["--list"], ["--list", "--name", "x"], ["--alter"], ["--delete"]):
        refused("client-metrics", *(server(cluster) if words != ["--list"] else []), *words)


def test_tokens_need_somebody_who_asks(cluster, tmp_path):
    """On a plain connection every broker refuses them; both tools say so."""
    config = tmp_path / "client.properties"
    config.write_text("client.id=tokens\n")
    at = [*server(cluster), "--command-config", config]
    for words in (
        ["--create", "--max-life-time-period", "-1"],
        ["--create", "--max-life-time-period", "5", "--renewer-principal", "User:a", "--renewer-principal", "User:b"],
        ["--create", "--max-life-time-period", "5", "--owner-principal", "User:a"],
        ["--create", "--max-life-time-period", "5", "--owner-principal", "nobody"],
        ["--create", "--max-life-time-period", "x"],
        ["--create", "--max-life-time-period"],
        ["--renew", "--hmac", "c2VjcmV0", "--renew-time-period", "-1"],
        ["--renew", "--hmac", "c2Vj-", "--renew-time-period", "-1"],
        ["--expire", "--hmac", "c2VjcmV0", "--expiry-time-period", "-1"],
        ["--describe"],
        ["--describe", "--owner-principal", "User:a"],
    ):
        code, _, err = same("delegation-tokens", *at, *words)
        assert code == 1
        kafkas = run("kafkas", "delegation-tokens", *at, *words)[2]
        assert err.splitlines()[0] == kafkas.splitlines()[0], words
    for words in (
        [],
        ["--create", "--describe"],
        ["--describe"],
        [*at],
        [*at, "--create"],
        [*at, "--renew", "--hmac", "x"],
        [*at, "--expire", "--expiry-time-period", "1"],
        [*at, "--describe", "--hmac", "x"],
        [*at, "--create", "--max-life-time-period", "1", "--hmac", "x"],
        [*at, "--nope"],
    ):
        refused("delegation-tokens", *words)


def test_how_long_a_record_takes(cluster, unique):
    topic = unique("latency")
    words = [cluster.bootstrap, topic, "20", "all", "100"]
    # The second finds the topic that the first made.
    for whose in ("ours", "ours", "kafkas"):
        code, out, err = run(whose, "e2e-latency", *words)
        assert code == 0, err
        lines = out.splitlines()
        assert re.fullmatch(r"0\t\d+\.\d+(E-\d)?", lines[-3])
        assert re.fullmatch(r"Avg latency: \d+\.\d{4} ms", lines[-2])
        assert re.fullmatch(r"Percentiles: 50th = \d+, 99th = \d+, 99.9th = \d+", lines[-1])
    other = unique("latency")
    created = [run(whose, "e2e-latency", cluster.bootstrap, f"{other}-{whose}", "1", "1", "1")[1] for whose in ("ours", "kafkas")]
    first = [text.splitlines()[0].replace("ours", "X").replace("kafkas", "X") for text in created]
    assert first[0] == first[1]
    for words in (["x"], ["a:1", "t", "x", "1", "1"], ["a:1", "t", "1", "0", "1"]):
        refused("e2e-latency", *words)


# ---- access control lists ---------------------------------------------------

ADDED = [
    ["--topic", "t", "--allow-principal", "User:a"],
    ["--topic", "t", "--deny-principal", "User:b", "--deny-host", "1.2.3.4", "--operation", "Read"],
    ["--producer", "--topic", "p", "--transactional-id", "x", "--idempotent", "--allow-principal", "User:p"],
    ["--consumer", "--topic", "p", "--group", "g", "--allow-principal", "User:c"],
    ["--topic", "f", "--resource-pattern-type", "prefixed", "--allow-principal", "User:f"],
    ["--cluster", "--allow-principal", "User:k", "--operation", "Alter", "--operation", "ClusterAction"],
    ["--delegation-token", "d", "--allow-principal", "User:d", "--operation", "Describe"],
    ["--user-principal", "User:u", "--allow-principal", "User:d", "--operation", "CreateTokens"],
    ["--topic", "*", "--allow-principal", 'User:with "quotes"', "--operation", "describeconfigs"],
]
LISTED = [
    [],
    ["--topic", "t"],
    ["--topic", "foo"],
    ["--topic", "foo", "--resource-pattern-type", "match"],
    ["--topic", "f", "--resource-pattern-type", "any"],
    ["--group", "g", "--cluster"],
    ["--principal", "User:c"],
    ["--principal", "User:c", "--principal", "User:nobody"],
]
REMOVED = [
    ["--topic", "t", "--deny-principal", "User:b", "--deny-host", "1.2.3.4", "--operation", "Read"],
    ["--topic", "foo", "--resource-pattern-type", "match"],
    ["--producer", "--topic", "p", "--allow-principal", "User:p"],
    ["--consumer", "--topic", "p", "--group", "g", "--allow-principal", "User:c"],
]


def test_a_broker_without_an_authorizer_says_so(cluster):
    for words in (["--list"], ["--add", *ADDED[0]], ["--remove", "--force", "--topic", "t"]):
        code, out, _ = same("acls", *server(cluster), *words)
        assert code == 1
        assert "No Authorizer is configured" in out


def tree(cluster, whose):
    """What the tools wrote under a chroot; the order of entries and notes is that of
    hash tables there."""
    shell = harness.TOP / "scripts" / "zookeeper-shell.sh"
    ask = lambda *words: harness.run([shell, f"{cluster.zookeeper}/{whose}", *words]).splitlines()  # noqa: E731
    found = {}
    for path in ask("ls", "-R", "/"):
        if not path.startswith("/kafka-acl"):
            continue
        lines = [line for line in ask("get", path) if re.match(r"\{|[A-Z_]+:", line)]
        data = next((line for line in lines if not line.startswith("WATCHER")), "")
        if data.startswith("{"):
            data = json.loads(data)
            data["acls"] = sorted(json.dumps(entry) for entry in data.get("acls", []))
            data = json.dumps(data)
        if "/acl_changes_" in path:
            path = re.sub(r"\d+$", "", path)
            data = sorted([*found.get(path, []), data])
        found[path] = data
    return found


def test_znodes_are_written_as_by_kafkas_tool(cluster):
    def on(whose):
        return ["--authorizer-properties", f"zookeeper.connect={cluster.zookeeper}/{whose}"]

    def both_do(*words, stdin=""):
        answers = [run(whose, "acls", *on(whose), *words, stdin=stdin) for whose in ("ours", "kafkas")]
        assert answers[0][0] == answers[1][0], answers
        assert shown(answers[0][1]) == shown(answers[1][1])
        return answers[0]

    for words in ADDED:
        assert both_do("--add", *words)[0] == 0
    assert tree(cluster, "ours") == tree(cluster, "kafkas")
    for words in LISTED:
        both_do("--list", *words)
    both_do("--remove", "--topic", "t", stdin="n\n")
    both_do("--remove", "--topic", "t", "--allow-principal", "User:a", stdin="y\n")
    for words in REMOVED:
        both_do("--remove", "--force", *words)
    assert tree(cluster, "ours") == tree(cluster, "kafkas")
    # Each reads what the other wrote.
    swapped = [run(whose, "acls", *on(other), "--list") for whose, other in (("ours", "kafkas"), ("kafkas", "ours"))]
    assert shown(swapped[0][1]) == shown(swapped[1][1])
    assert "principal=User:k," in swapped[0][1]


@pytest.mark.parametrize("words", [
    [],
    ["--list"],
    ["SERVER"],
    ["SERVER", "--list", "--add"],
    ["SERVER", "--authorizer", "x", "--list"],
    ["SERVER", "--authorizer-properties", "a=b", "--list"],
    ["SERVER", "--add"],
    ["SERVER", "--add", "--topic", "t"],
    ["SERVER", "--add", "--topic", "t", "--allow-principal", "bob"],
    ["SERVER", "--add", "--topic", "t", "--allow-principal", "User:bob", "--resource-pattern-type", "any"],
    ["SERVER", "--add", "--topic", "t", "--allow-principal", "User:bob", "--resource-pattern-type", "nope"],
    ["SERVER", "--list", "--producer"],
    ["SERVER", "--add", "--producer", "--allow-principal", "User:a"],
    ["SERVER", "--add", "--topic", "t", "--idempotent", "--allow-principal", "User:a"],
    ["SERVER", "--add", "--consumer", "--topic", "t", "--allow-principal", "User:a"],
], ids=" ".join)
def test_what_does_not_go_together(words):
    refused("acls", *("--bootstrap-server=127.0.0.1:1" if word == "SERVER" else word for word in words))
