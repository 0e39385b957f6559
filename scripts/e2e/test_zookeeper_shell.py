"""ZooKeeper's own shell says the same about our coordinator and about ZooKeeper."""

import re

import harness
from zookeeper_pair import Pair

COMMANDS = """
create /a one
create -s /a/s- seq
create -e /a/e ephemeral
create -s -e /a/se- both
create -c /a/c container
create -t 600000 /a/t ttl
create -s -t 600000 /a/st- ttl
create /a again
create /none/x
create /null
get -s /a
get /null
stat /a/t
stat /a/c
ls /a
ls -s /a
ls -R /
set /a two
set -v 1 /a three
set -v 7 /a four
set -s /a five
getEphemerals
getEphemerals /a/e
getAllChildrenNumber /
getAllChildrenNumber /a
addauth digest user:password
create /secret data auth::cdrwa
getAcl /secret
getAcl -s /secret
setAcl /secret world:anyone:r
getAcl /secret
get /secret
set /secret no
setAcl -R /a world:anyone:cdrwa
whoami
create /q quota
create /q/x 12345
setquota -n 2 /q
setquota -b 100 /q
listquota /q
setquota -N 4 /q
setquota -B 20 /q
listquota /q
create /q/y 1234567
create /q/z 1234567
create /q/y/z 1
create /q/y/zz
listquota /q
setquota -n 5 /q/x
delquota -n /q
listquota /q
delquota /q
listquota /q
ls -R /zookeeper
addWatch /a
addWatch -m PERSISTENT /q
set /a watched
create /q/watched x
removewatches /q
get -w /a
set /a fires
ls -w /q
deleteall /q
delete -v 9 /a
delete /a
deleteall /a
sync /
config
reconfig -remove 3
version
close
ls /
quit
"""
KEYS = {"extendedTypesEnabled": "true", "enforceQuota": "true"}


def shell(address):
    command = [harness.PEERS / "zookeeper/run", "org.apache.zookeeper.ZooKeeperMain"]
    command += ["-server", address]
    done = harness.subprocess.run(
        list(map(str, command)),
        input=COMMANDS,
        stdout=harness.subprocess.PIPE,
        stderr=harness.subprocess.STDOUT,
        text=True,
        timeout=120,
        env=harness.os.environ | {"HEAP": "64m"},
    )
    return done.returncode, comparable(done.stdout)


def comparable(said):
    """What two servers with the same history say alike: no times, addresses or ids.
    Events come when they come, between any two lines, and sets in any order."""
    lines, events = [], []
    for line in said.splitlines():
        line = re.sub(r"127\.0\.0\.1:\d+", "SERVER", line)
        # An event may come between the prompt and the command.
        line = re.sub(r"^(\[zk: SERVER\(\w+\) \d+\] ?)+", "", line)
        line = re.sub(r"^(ctime|mtime) = .*", r"\1", line)
        line = re.sub(r"0x100[0-9a-f]{12}", "SESSION", line)
        line = re.sub(r"^(ephemeralOwner) = 0x[0-9a-f]{8,}", r"\1 = SESSION", line)
        line = re.sub(r"^\[(/.*)\]$", lambda set: str(sorted(set[1].split(", "))), line)
        if re.match("WatchedEvent|ip: |digest: ", line):
            events.append(line)
        elif line.strip() and line != "WATCHER::" and not re.match("SLF4J|Welcome|JLine", line):
            lines.append(line)
    return lines, sorted(events)


def test_the_shell_says_the_same(tmp_path):
    with Pair(tmp_path, KEYS) as pair:
        ours, oracle = map(shell, pair.addresses)
    assert ours == oracle
    lines, events = ours[1]
    # The shell has come to its end, and has not only complained.
    assert lines[-1] == "quit" and len(lines) > 200 and len(events) > 10
    assert "Output stat for /q count=4,bytes=18" in lines
