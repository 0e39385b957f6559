"""Brokers in network namespaces of the test's own, whose links can be cut.

Each broker has a namespace with one link to a bridge, on which clients and
the coordinator are. `Isolated` is a `Trio` with that between them; its faults
cut a link both ways or let one broker's packets to another get lost.
"""

import os
import subprocess
import time

import harness
from harness import wait_until
from replicated import HEAL, IDS, Trio


def refusal():
    """Why namespaces cannot be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"odr{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    ip("netns", "del", name)
    link = subprocess.run(
        ["ip", "link", "add", name, "type", "bridge"], capture_output=True, text=True
    )
    if link.returncode != 0:
        return f"no bridges here: {link.stderr.strip()}"
    ip("link", "del", name)
    return None


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Isolated(Trio):
    """Three brokers, each in its own namespace."""

    # What was sent into a cut network is not waited for.
    request_seconds = 5

    def __init__(self, directory, keys=None):
        self.tag = f"o{os.getpid() % 100_000}"
        self.net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        ip("link", "add", self.tag, "type", "bridge")
        ip("addr", "add", f"{self.net}.1/24", "dev", self.tag)
        ip("link", "set", self.tag, "up")
        for number in IDS:
            self.plug_in(number)
        super().__init__(directory, keys=keys)

    def namespace(self, number):
        return f"{self.tag}n{number}"

    def address(self, number):
        return f"{self.net}.{number + 10}"

    def plug_in(self, number):
        space, outer = self.namespace(number), f"{self.tag}v{number}"
        ip("netns", "add", space)
        ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", outer, "master", self.tag, "up")
        ip("-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "eth0", "up")

    def broker(self, number, kind):
        listener = f"PLAINTEXT://{self.address(number)}:{self.ports[number]}"
        self.keys = self.keys | {
            "listeners": listener,
            "zookeeper.connect": f"{self.net}.1:{self.zookeeper_port}",
        }
        daemon = super().broker(number, kind)
        daemon.command = ["ip", "netns", "exec", self.namespace(number), *daemon.command]
        address = (self.address(number), self.ports[number])
        daemon.ready = lambda: harness.accepts(address[1], address[0])
        return daemon

    def endpoint(self, number):
        return f"{self.address(number)}:{self.ports[number]}"

    def isolate(self, number):
        """Nothing gets in or out."""
        ip("-n", self.namespace(number), "link", "set", "eth0", "down")

    def lose_packets(self, number, to):
        """What one broker sends to another gets lost; the other way is open."""
        route = ("route", "add", "blackhole", f"{self.address(to)}/32")
        ip("-n", self.namespace(number), *route)

    def degrade(self, number, seconds):
        """3 Mbit/s, and a fifth of the time everything that it sends gets lost."""
        space = self.namespace(number)
        bucket = ("tbf", "rate", "3mbit", "burst", "32kbit", "latency", "400ms")
        command = ["tc", "-n", space, "qdisc", "add", "dev", "eth0", "root", *bucket]
        subprocess.run(command, check=True, capture_output=True)
        others = [f"{self.net}.1", *(self.address(other) for other in IDS if other != number)]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for other in others:
                ip("-n", space, "route", "add", "blackhole", f"{other}/32")
            time.sleep(0.2)
            subprocess.run(
                ["ip", "-n", space, "route", "flush", "type", "blackhole"], capture_output=True
            )
            time.sleep(0.8)

    def heal(self):
        for number in IDS:
            space = self.namespace(number)
            subprocess.run(
                ["tc", "-n", space, "qdisc", "del", "dev", "eth0", "root"], capture_output=True
            )
            ip("-n", space, "link", "set", "eth0", "up")
            subprocess.run(
                ["ip", "-n", space, "route", "flush", "type", "blackhole"], capture_output=True
            )

    def wait_for_other_leader(self, topic, old):
        def other():
            known = self.metadata().topics.get(topic)
            return known and known.partitions[0].leader not in (-1, old)

        wait_until(other, HEAL, "another leader", 0.2)

    def end(self):
        super().end()
        for number in IDS:
            subprocess.run(["ip", "netns", "del", self.namespace(number)], capture_output=True)
        subprocess.run(["ip", "link", "del", self.tag], capture_output=True)
