"""What operators see of our coordinator and of a real ZooKeeper is the same.

Both start from one zoo.cfg, one program talks to both, and then the four-letter
words and the commands of the admin port are compared: the text with what must
differ taken out (addresses, times, sizes of files), the JSON by its fields, and
both by the numbers that the program decides.
"""

import json
import re

import harness
import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

WORDS = "ruok srvr stat conf cons dirs dump gtmk isro wchc wchp wchs mntr envi hash nope".split()
COMMANDS = """configuration conf connections cons dirs dump get_trace_mask gtmk
    initial_configuration icfg is_read_only last_snapshot lsnp leader monitor observers obsr
    observer_connection_stat_reset ruok server_stats srvr stats stat system_properties
    voting_view watches wchc watches_by_path wchp watch_summary wchs zabstate hash
    set_trace_mask set_trace_mask?traceMask=x set_trace_mask?traceMask=9
    get_trace_mask connection_stat_reset stat_reset nosuch""".split()
# Numbers that follow from what the program does, and from nothing else.
DECIDED = """ephemerals_count num_alive_connections znode_count global_sessions watch_count
    packets_received packets_sent last_client_response_size min_client_response_size
    max_client_response_size approximate_data_size auth_failed_count bytes_received_count
    response_bytes watch_bytes connection_request_count connection_rejected
    cnt_updatelatency cnt_readlatency cnt_node_changed_watch_count
    sum_node_changed_watch_count sum_node_children_watch_count sum_node_created_watch_count
    cnt_node_deleted_watch_count large_requests_rejected stale_sessions_expired""".split()
# ZooKeeper's own of a JVM, and one metric for each node below the root.
NOT_OURS = re.compile(r"_(read|write)_per_namespace$|^java\.")


def zoo_cfg(directory, client_port, admin_port):
    """As an existing installation has it."""
    return harness.write_properties(
        directory / "zoo.cfg",
        {
            "tickTime": 2000,
            "initLimit": 10,
            "syncLimit": 5,
            "dataDir": directory / "data",
            "clientPort": client_port,
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": 60,
            "autopurge.snapRetainCount": 3,
            "autopurge.purgeInterval": 1,
            "4lw.commands.whitelist": "*",
            "admin.serverPort": admin_port,
            "admin.serverAddress": "127.0.0.1",
            "server.1": "localhost:2888:3888",
        },
    )


class Server:
    """A daemon, its two ports, and a client that has used it."""

    def __init__(self, name, directory, binary):
        directory.mkdir()
        self.port, self.admin_port = harness.Ports.take(), harness.Ports.take()
        config = zoo_cfg(directory, self.port, self.admin_port)
        ready = lambda: "Mode:" in self.word("srvr")  # noqa: E731
        self.daemon = harness.Daemon(name, [*binary, config], directory / "log", ready)

    def start(self):
        self.daemon.start()
        self.client = KazooClient(f"127.0.0.1:{self.port}")
        self.client.start()
        use(self.client)
        # What was counted until the server was seen to serve differs.
        self.word("srst"), self.word("crst")
        use(self.client)

    def close(self):
        self.daemon.kill()
        if client := getattr(self, "client", None):
            client.stop()

    def word(self, word):
        return harness.four_letter(self.port, word)

    def command(self, name):
        status, body = harness.http_get(self.admin_port, f"/commands/{name}")
        assert status == 200, body
        return json.loads(body)


def use(client):
    """Every kind of thing that is counted, always in the same number."""
    changed = client.handler.event_object()
    root = f"/{'u' if client.exists('/t') else 't'}"
    client.create(root, b"value")
    client.create(f"{root}/ephemeral", b"", ephemeral=True)
    client.get(root, watch=lambda event: changed.set())
    client.get_children(root, watch=lambda event: None)
    client.exists("/missing", watch=lambda event: None)
    client.set(root, b"other")
    assert changed.wait(10)
    for _ in range(20):
        client.create(f"{root}/q-", b"x", sequence=True)
    client.get(root, watch=lambda event: None)
    try:
        client.get("/no/such")
    except Exception as error:
        assert type(error).__name__ == "NoNodeError"
    client.delete(f"{root}/q-0000000001")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("admin")
    run = [harness.PEERS / "zookeeper/run", "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
    ours = Server("coordinator", directory / "ours", [harness.TARGET / "coordinator"])
    oracle = Server("zookeeper", directory / "zookeeper", run)
    try:
        oracle.start()
        ours.start()
        yield ours, oracle
    finally:
        ours.close()
        oracle.close()


def plain(word, text):
    """The text without what differs from run to run and from server to server."""
    text = re.sub(r"version: .*|zk_version\t.*|zookeeper.version=.*", "version", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "address", text)
    text = re.sub(r"(sid=|sessionId: |\t|^)0x[0-9a-f]{10,}", r"\1session", text, flags=re.M)
    # ZooKeeper keeps the times at which nothing expires any more for a while.
    text = re.sub(r"^0 expire at .*\n", "", text, flags=re.M)
    text = re.sub(r"Sets \(\d+\)", "Sets", text)
    text = re.sub(r"expire at .* UTC \d{4}:", "expire at date:", text)
    text = re.sub(r"((?:data|log)dir_size: |data(?:Dir|Log)Size=|clientPort=)\d+", r"\1n", text)
    text = re.sub(r"(data(?:Log)?Dir=).*", r"\1path", text)
    text = re.sub(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+", r"\1=n", text)
    text = re.sub(r"Latency min/avg/max: \d+/\d+\.\d+/\d+", "latency", text)
    # A client pings when it likes.
    text = re.sub(r"lop=PING", "lop=ping or else", text)
    if word in ("stat", "cons", "dump"):
        # The order of connections is nobody's promise.
        return sorted(text.split("\n"))
    return text


@pytest.mark.parametrize("word", [word for word in WORDS if word not in ("mntr", "envi")])
def test_words_say_the_same(servers, word):
    ours, oracle = servers
    expected = plain(word, oracle.word(word))
    assert plain(word, ours.word(word)) == expected


def lines(text, separator):
    return dict(line.split(separator, 1) for line in text.splitlines() if separator in line)


def test_mntr_has_the_same_names_and_numbers(servers):
    ours, oracle = servers
    expected = lines(oracle.word("mntr"), "\t")
    found = lines(ours.word("mntr"), "\t")
    missing = {name for name in expected.keys() - found.keys() if not NOT_OURS.search(name)}
    assert not missing
    assert not found.keys() - expected.keys()
    different = {
        name: (expected[f"zk_{name}"], found[f"zk_{name}"])
        for name in DECIDED
        if expected[f"zk_{name}"] != found[f"zk_{name}"]
    }
    assert not different
    form = lambda value: re.sub(r"\d+", "0", value)  # noqa: E731
    for name in found.keys() - {"zk_version"}:
        assert form(found[name]) == form(expected[name]), name


def test_envi_has_what_is_not_of_a_jvm(servers):
    ours, oracle = servers
    expected = [name for name in lines(oracle.word("envi"), "=") if not NOT_OURS.search(name)]
    assert list(lines(ours.word("envi"), "=")) == expected


def test_the_trace_mask_is_kept(servers):
    for server in servers:
        assert server.word("stmk" + "\0" * 7 + "\5") == "5"
        assert server.word("gtmk") == "5"
        server.word("stmk" + "\0" * 6 + "\1\x32")


def shape(value):
    """Fields and types; objects whose fields are ids or paths only by their number."""
    if isinstance(value, dict):
        if all(re.fullmatch(r"-?\d+|/.*", name) for name in value):
            return [shape(value[name]) for name in sorted(value) if value[name]]
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted((shape(part) for part in value), key=repr)
    return type(value).__name__


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_the_same_fields(servers, command):
    ours, oracle = servers
    expected, found = oracle.command(command), ours.command(command)
    if command == "system_properties":
        # There is no JVM; what is shown are the keys, under the names of properties.
        assert found["zookeeper.admin.serverPort"] == str(ours.admin_port)
        return
    for answer in (expected, found):
        for name in [name for name in answer if NOT_OURS.search(name)]:
            del answer[name]
    assert shape(found) == shape(expected)
    assert list(found) == list(expected) or command == "monitor"
    for name in ("command", "error", "tracemask", "node_count", "read_only", "zabstate"):
        assert found.get(name) == expected.get(name), name


def test_the_list_of_commands_is_the_same(servers):
    pages = [harness.http_get(server.admin_port, "/commands") for server in servers]
    assert pages[0] == pages[1]


def test_the_world_sees_what_the_world_may_read(servers):
    ours, _ = servers
    acl = [make_digest_acl("someone", "password", all=True)]
    ours.client.create("/secret", b"hidden value", acl=acl)
    ours.client.create("/shown", b'{"a": "<b>"}')
    for path in ("/tree?path=/secret", "/tree?path=/", "/tree?path=/&depth=3"):
        status, body = harness.http_get(ours.admin_port, path)
        assert status == 200
        assert "hidden value" not in body
    status, body = harness.http_get(ours.admin_port, "/tree?path=/secret")
    secret = json.loads(body)
    assert secret["readable"] is False
    assert secret["stat"]["data_length"] == 12
    assert "data" not in secret and "acl" not in secret
    status, body = harness.http_get(ours.admin_port, "/tree?path=/shown")
    assert json.loads(body)["data"] == {"json": {"a": "<b>"}}
    ours.client.delete("/shown")


def test_metrics_are_those_of_prometheus(servers):
    ours, _ = servers
    status, text = harness.http_get(ours.admin_port, "/metrics")
    assert status == 200
    sample = re.compile(r'[a-z_0-9]+(\{quantile="0\.\d+",\})? (-?\d+(\.\d+)?(e-?\d+)?|NaN)')
    for line in text.splitlines():
        assert line.startswith("#") or sample.fullmatch(line), line
    mntr = lines(ours.word("mntr"), "\t")
    for name in ("znode_count", "watch_count", "ephemerals_count", "bytes_received_count"):
        assert f"\n{name} " in text and f"zk_{name}" in mntr
    assert "\nupdatelatency_count " in text


def test_pages_are_readable_without_scripts(servers):
    ours, _ = servers
    status, page = harness.http_get(ours.admin_port, "/")
    assert status == 200
    assert "<script" not in page
    links = set(re.findall(r'href="(/[^"?]*)', page))
    assert {"/brokers", "/sessions", "/tree", "/metrics", "/commands/monitor"} <= links
    for link in links - {"/commands/restore", "/commands/snapshot", "/backup"}:
        status, body = harness.http_get(ours.admin_port, link)
        assert status == 200, (link, body)
