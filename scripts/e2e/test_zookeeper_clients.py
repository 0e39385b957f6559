"""Programs of other languages on the coordinator: Java with Curator's recipes, Apache's
own shell, Go with go-zookeeper, and the C client.

Each program checks what it is told and prints "ok ..." for each part.
"""

import os
import pathlib
import re
import shutil
import subprocess

import harness
import pytest
from harness import PEERS, run

PROGRAMS = pathlib.Path(__file__).parent / "programs"
KEYS = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 500}


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    """The address of a coordinator, with TTL nodes."""
    directory = tmp_path_factory.mktemp("clients")
    ports = harness.Ports.take(), harness.Ports.take()
    daemon = harness.odradek_coordinator(directory, *ports, KEYS)
    daemon.start()
    yield f"127.0.0.1:{ports[0]}"
    daemon.kill()
    assert not daemon.panics()


def test_curators_recipes(coordinator, tmp_path):
    libraries = f"{PEERS}/curator/libs/*"
    source = PROGRAMS / "CuratorRecipes.java"
    run(["javac", "-nowarn", "-d", tmp_path, "-cp", libraries, source], timeout=120)
    java = ["java", "-Xmx128m", "-cp", f"{tmp_path}:{libraries}", "CuratorRecipes"]
    done = run([*java, coordinator, "ttl"], timeout=180)
    assert done.splitlines() == [
        "ok leader latch",
        "ok mutex",
        "ok path cache",
        "ok tree cache",
        "ok curator cache",
        "ok persistent node",
        "ok container",
        "ok transaction",
        "ok persistent TTL node",
    ]


@pytest.mark.skipif(not shutil.which("go"), reason="go is not installed")
def test_go_zookeeper(coordinator, tmp_path):
    program = tmp_path / "program"
    # The shell goes there, since old releases of go cannot.
    build = f'cd "{PROGRAMS}/go" && go build -o "{program}" .'
    run(["bash", "-c", build], timeout=300)
    done = run([program, coordinator], timeout=120)
    parts = ["data", "ephemerals", "multi", "acl", "lock", "size"]
    assert done.splitlines() == [f"ok {part}" for part in parts]


COMMANDS = """
create /shell one
create /shell
create -s /shell/s- a
create -s /shell/s- b
create -e /shell/e mine
create -c /shell/c
create -t 600000 /shell/t later
ls /shell
ls -s /shell
ls -R /shell
get /shell
get -s /shell
get /nothing
set /shell two
set -v 0 /shell three
set -v 1 -s /shell three
stat /shell
stat -w /shell
set /shell four
getAcl /shell
addauth digest me:secret
whoami
create /shell/mine x auth::cdrwa
getAcl /shell/mine
setAcl /shell/mine digest:nobody:x:r
get /shell/mine
setAcl -s /shell world:anyone:cdra
getAcl -s /shell
set /shell five
sync /shell
getEphemerals
getEphemerals /shell/e
getAllChildrenNumber /shell
setquota -n 10 -b 100 /shell
listquota /shell
delquota /shell
addWatch -m PERSISTENT /shell
create /shell/watched
delete /shell/watched
removewatches /shell
delete /shell
delete /shell/none
delete -v 7 /shell/c
deleteall /shell/c
deleteall /
history
version
bad command
create bad
delete /shell/s-0000000000
ls /shell
ls /zookeeper
close
ls /
connect
ls /
quit
""".strip().splitlines()


def shell(address, directory, name):
    """What Apache's shell says to the commands, without what must differ."""
    command = [PEERS / "zookeeper/run", "org.apache.zookeeper.ZooKeeperMain", "-server", address]
    script = "".join(f"{line}\n" for line in COMMANDS)
    with open(directory / name, "w") as output:
        subprocess.run(
            [str(part) for part in command],
            input=script,
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HEAP": "96m"},
            timeout=120,
            check=False,
        )
    text = (directory / name).read_text()
    text = text.replace(address, "SERVER")
    text = re.sub(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}", "TIME", text)
    text = re.sub(r"\[\d{4}-[^\]]*\]", "[TIME]", text)
    text = re.sub(r"0x[0-9a-f]{12,}", "SESSION", text)
    # Where events, prompts and echoes fall among the output is the shell's own race.
    lines = [re.sub(r"^\[zk: .*?\] ?", "", line).strip() for line in text.splitlines()]
    apart = ("SLF4J", "Connecting", "Welcome", "JLine", "[TIME]", "Exiting", *COMMANDS)
    lines = [line for line in lines if line and not line.startswith(apart)]
    # Children and identities come in no order.
    return sorted(in_order(line) for line in lines)


def in_order(line):
    if line.startswith("[") and line.endswith("]"):
        return f"[{', '.join(sorted(line.strip('[]').split(', ')))}]"
    return re.sub(r"zxid: \S+", "zxid", line)


def test_apaches_shell_says_the_same(tmp_path):
    from zookeeper_pair import Pair

    with Pair(tmp_path, KEYS | {"znode.container.checkIntervalMs": 10**8}) as pair:
        ours, oracle = pair.addresses
        said, expected = shell(ours, tmp_path, "ours"), shell(oracle, tmp_path, "oracle")
    assert len(expected) > 100, expected
    assert said == expected


HEADER = "/usr/include/zookeeper/zookeeper.h"


@pytest.mark.skipif(not os.path.exists(HEADER), reason="libzookeeper-mt-dev is not installed")
def test_the_c_client(coordinator, tmp_path):
    program = tmp_path / "client"
    threads = ["-DTHREADED", "-Wall", "-Werror"]
    run(["cc", *threads, "-o", program, PROGRAMS / "client.c", "-lzookeeper_mt", "-lpthread"])
    parts = ["data", "ephemerals", "multi", "children", "acl"]
    assert run([program, coordinator]).splitlines() == [f"ok {part}" for part in parts]
