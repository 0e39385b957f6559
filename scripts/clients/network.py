"""A network of its own for clients that know only the ports of a default installation.

The runner starts itself again in new user, network and mount namespaces, with nothing
but a loopback; there the coordinator has 2181, a single broker 9092, and /etc/hosts the
names that programs use for this machine.
"""

import itertools
import json
import pathlib
import subprocess
import sys

from core import HERE, harness

HOSTS = ["127.0.0.1 localhost kafka mybroker zookeeper"]
HOSTS += [f"127.0.1.{number} kafka-{number}" for number in range(1, 6)]
# In the order in which a cluster takes them: coordinator, broker, the admin pages.
ONE_BROKER = [2181, 9092, 8080, 8081]


def run_inside(each, place):
    """Runs a client's function there; returns its outcomes."""
    found = place.directory / "outcomes.json"
    command = ["unshare", "--map-root-user", "--net", "--mount", sys.executable, HERE / "run.py"]
    command += [each.name, "--servers", place.servers, "--keep", place.directory]
    subprocess.run([*command, "--inside", found], check=True)
    return json.loads(found.read_text())


def enter(each):
    """Makes the new network usable, and gives its ports to the next cluster."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hosts = pathlib.Path("/tmp/clients-hosts")
    hosts.write_text("".join(f"{line}\n" for line in HOSTS))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    first = ONE_BROKER if each.brokers == 1 else ONE_BROKER[:1]
    ports = itertools.chain(first, range(20000, 21000))
    harness.Ports.take = lambda: next(ports)
