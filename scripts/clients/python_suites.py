"""Python clients' own tests, from the sources that PyPI serves."""

import tarfile

from core import call, client, junit, virtual_environment


def install_source(place, package, folder, packages):
    """A package's source with its tests, and an environment that runs them."""

    def install():
        virtual_environment(place.home, packages)
        pip = [place.home / "venv/bin/python", "-m", "pip", "-q", "--disable-pip-version-check"]
        only_source = ["--no-deps", "--no-binary", ":all:", "-d", place.home]
        call([*pip, "download", *only_source, f"{package}=={place.client.version}"])
        with tarfile.open(place.home / f"{folder}.tar.gz") as archive:
            archive.extractall(place.home, filter="data")

    place.installed(f"{package} {place.client.version}: {' '.join(packages)}", install)
    return place.home / folder, place.home / "venv/bin/python"


# What the tests import and their distribution leaves out: here the servers run already.
SERVICE = """
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    def close(self):
        pass

    def is_alive(self):
        return True


class SpawnedService:
    pass
"""
PYTHON_TESTS = ["pytest==9.2.0", "pytest-mock==3.15.1", "pytest-timeout==2.4.0", "py==1.11.0"]
CODECS = ["lz4==4.4.4", "python-snappy==0.7.3", "zstandard==0.23.0", "crc32c==2.7.1"]


def install_kafka_python(place):
    folder = f"kafka_python-{place.client.version}"
    source, _ = install_source(place, "kafka-python", folder, PYTHON_TESTS + CODECS)
    (source / "test/__init__.py").touch()
    (source / "test/service.py").write_text(SERVICE)
    # It wants to see a Kafka that it could start.
    (source / "servers/3.9.1/kafka-bin").mkdir(parents=True, exist_ok=True)


@client(
    "kafka-python-tests",
    "3.0.12",
    "its own integration tests: producers, consumers, groups, administration",
    # As its fixture starts Kafka.
    keys={"num.partitions": 4, "group.initial.rebalance.delay.ms": 0},
    install=lambda place: install_kafka_python(place),
)
def kafka_python_tests(place):
    source, python = place.home / "kafka_python-3.0.12", place.home / "venv/bin/python"
    report = place.directory / "report.xml"
    environment = {
        "KAFKA_VERSION": "3.9.1",
        "KAFKA_URI": f"plaintext://{place.bootstrap}",
    }
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--junit-xml={report}"]
    call(
        [*command, "--tb=short", "--timeout=120", "test/integration"],
        place.directory / "pytest.log",
        cwd=source,
        environment=environment,
        check=False,
    )
    return junit(report, "test.integration.")
