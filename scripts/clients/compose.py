"""`docker` and `docker compose` for suites that start, stop and enter containers by them.

The runner has started the daemons already; a program named docker, first on the
suite's path, does with them what the suite asks for: `start` and `stop` of a
service by the runner, which answers on a port; `exec` on this machine, where
Kafka's scripts are the classes of Kafka 3.9.1, or ours for what is asked of
ZooKeeper; `logs` prints the daemon's log; `up`, `down` and `rm` have nothing to do.
"""

import contextlib
import http.server
import os
import sys
import threading

from core import TOP, harness
from java_programs import java

# The folder in the image, and what its scripts start.
IMAGE_BIN = "/opt/kafka-3.9.1/bin"
SCRIPTS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-verifiable-consumer.sh": "org.apache.kafka.tools.VerifiableConsumer",
}

# Without their endings, as some images have them; these go by ZooKeeper.
OURS = ("kafka-topics", "kafka-configs")

DOCKER = """#!{python}
import os, sys, urllib.request

words = [word for word in sys.argv[1:] if word not in ("compose", "-T")]
if words[0] == "--profile":
    del words[:2]
verb, *rest = words
if verb == "exec":
    command = [word.replace("{image}", "{scripts}") for word in rest[1:]]
    os.environ["PATH"] = "{scripts}:" + os.environ["PATH"]
    os.execvp(command[0], command)
elif verb in ("start", "stop", "logs"):
    address = "http://127.0.0.1:{port}/" + verb + "/" + rest[-1]
    with urllib.request.urlopen(address, timeout=120) as answer:
        sys.stdout.write(answer.read().decode(errors="replace"))
elif verb == "ps":
    print("{first}")
else:
    assert verb in ("up", "down", "rm"), words
"""


class Orders(http.server.BaseHTTPRequestHandler):
    """What the program asks of the runner."""

    services = {}

    def do_GET(self):  # noqa: N802 - the library's name
        verb, service = self.path.strip("/").split("/")
        daemon, text = self.services[service], ""
        if verb == "stop":
            daemon.stop(60)
        elif verb == "start":
            if not daemon.running():
                daemon.start(60)
        else:
            text = daemon.log.read_text(errors="replace")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Nothing is to be said."""


@contextlib.contextmanager
def docker(directory, services):
    """The environment of a suite whose docker has these daemons as its services."""
    folder = directory / "docker"
    scripts = folder / "scripts"
    scripts.mkdir(parents=True)
    for name, main in SCRIPTS.items():
        words = " ".join(str(word) for word in java("kafka39", main))
        program(scripts / name, f'#!/bin/sh\nexec {words} "$@"\n')
    for name in OURS:
        (scripts / name).symlink_to(TOP / f"scripts/{name}.sh")
    port = harness.Ports.take()
    handler = type("Handler", (Orders,), {"services": services})
    # One thread for all: what it starts ends with it.
    server = http.server.HTTPServer(("127.0.0.1", port), handler)
    names = {"scripts": scripts, "port": port, "first": next(iter(services))}
    text = DOCKER.format(python=sys.executable, image=IMAGE_BIN, **names)
    program(folder / "docker", text)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"PATH": f"{folder}:{os.environ['PATH']}"}
    finally:
        server.shutdown()
        server.server_close()


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)
