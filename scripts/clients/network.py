"""A network of its own for clients that know only the ports of a default installation.

The runner starts itself again in new user, network and mount namespaces, with nothing
but a loopback; there the coordinator has 2181, the broker 9092 (three: to 9094), and
/etc/hosts the names that programs use for this machine.
"""

import itertools
import json
import pathlib
import subprocess
import sys

from core import HERE, harness

NAMES = "localhost kafka mybroker kafka-1 kafka-2 kafka-3"
# In the order in which a cluster takes them: coordinator, broker, the admin pages.
ONE_BROKER = [2181, 9092, 8080, 8081]


def run_inside(each, place):
    """Runs a client's function there; returns its outcomes."""
    found = place.directory / "outcomes.json"
    command = ["unshare", "--map-root-user", "--net", "--mount", sys.executable, HERE / "run.py"]
    command += [each.name, "--servers", place.servers, "--keep", place.directory]
    subprocess.run([*command, "--inside", found], check=True)
    return json.loads(found.read_text())


def enter():
    """Makes the new network usable, and gives its ports to the next cluster."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hosts = pathlib.Path("/tmp/clients-hosts")
    hosts.write_text(f"127.0.0.1 {NAMES}\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    ports = itertools.chain(ONE_BROKER, range(20000, 21000))
    harness.Ports.take = lambda: next(ports)
