#!/usr/bin/env python3
"""Runs kazoo's own test suite, unmodified, against the coordinator or ZooKeeper.

    .venv/bin/python scripts/e2e/kazoo_suite.py [--server odradek|apache] [PYTEST-ARGUMENT...]

kazoo's harness starts, stops and replaces its servers with `java -cp ...
QuorumPeerMain zoo.cfg`. Nothing of it is changed: for the coordinator, a `java`
comes first in the PATH that hands the same zoo.cfg and system properties to our
daemon. One server is started; see `kazoo_differences.txt` for the tests that need
an ensemble, and for every other difference with its reason. Exits 0 if each test
ended as that file says, which for a test it does not name is "passed".

The suite and what it needs are installed from PyPI into PEERS (default: .peers).
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent
PEERS = pathlib.Path(os.environ.get("PEERS", TOP / ".peers"))
DIFFERENCES = HERE / "kazoo_differences.txt"
VERSION = "2.11.0"
# kazoo's extras `test` and `sasl`, as of that version. Its harness makes its
# certificates with a class that later releases of pyOpenSSL have dropped.
NEEDS = """
pytest==9.2.0 pytest-timeout==2.4.0 objgraph==3.7.0 pyjks==20.0.0 pyopenssl==24.2.1
pure-sasl==0.6.2 gevent==26.9.0 eventlet==0.41.3
""".split()
# What the coordinator does not take of kazoo's zoo.cfg: see the differences.
NOT_FOR_US = "secureClientPort="
JAVA = """#!/usr/bin/env bash
# java [OPTION...] -Dname=value... org.apache.zookeeper.server.quorum.QuorumPeerMain zoo.cfg
overrides=()
for argument in "$@"; do
  case $argument in
    -Dzookeeper.log.*|-Dzookeeper.root.*) ;;
    -Dzookeeper.*|-Djava.security.auth.login.config=*) overrides+=(--override "${argument#-D}") ;;
  esac
  config=$argument
done
grep -v '^@NOT_FOR_US@' "$config" >"$config.ours"
exec "$COORDINATOR" "$config.ours" "${overrides[@]}" 2>>"${config%zoo.cfg}zookeeper.log"
"""


def install(home):
    """kazoo's source with its tests, beside an environment that can run them."""
    source, python = home / f"kazoo-{VERSION}", home / "venv/bin/python"
    complete = home / "complete"
    if complete.exists() and complete.read_text() == " ".join(NEEDS):
        return source, python
    print(f"kazoo_suite: installing kazoo {VERSION} and what its tests need", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    pip = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *NEEDS], check=True)
    only_source = ["--no-deps", "--no-binary", ":all:", "-d", home]
    subprocess.run([*pip, "download", *only_source, f"kazoo=={VERSION}"], check=True)
    with tarfile.open(home / f"kazoo-{VERSION}.tar.gz") as archive:
        archive.extractall(home, filter="data")
    complete.write_text(" ".join(NEEDS))
    return source, python


def environment(server, directory, port):
    """What kazoo's harness reads to know which servers to start, and how."""
    jars = ":".join(str(jar) for jar in sorted((PEERS / "zookeeper/libs").glob("*.jar")))
    variables = os.environ | {
        "ZOOKEEPER_VERSION": "3.9.3",
        "ZOOKEEPER_CLASSPATH": jars if server == "apache" else "none",
        "ZOOKEEPER_CLUSTER_SIZE": "1",
        "ZOOKEEPER_PORT_OFFSET": str(port),
        "JAVA_TOOL_OPTIONS": "-Xmx192m",
        "TMPDIR": str(directory),
    }
    variables.pop("CI", None)
    if server == "odradek":
        profile = os.environ.get("PROFILE", "release")
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
        binary = target / ("debug" if profile == "dev" else profile) / "coordinator"
        java = directory / "bin/java"
        java.parent.mkdir()
        java.write_text(JAVA.replace("@NOT_FOR_US@", NOT_FOR_US))
        java.chmod(0o755)
        variables["COORDINATOR"] = str(binary)
        variables["PATH"] = f"{java.parent}:{variables['PATH']}"
    return variables


def outcomes(report):
    """What became of each test: passed, failed or skipped."""
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = {part.tag for part in case}
        failed = kinds & {"failure", "error"}
        outcome = "failed" if failed else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname').removeprefix('kazoo.tests.')}.{case.get('name')}"] = outcome
    return found


def differences(server):
    """The expected outcomes of the tests that are not simply to pass."""
    column = {"apache": 1, "odradek": 2}[server]
    expected = {}
    for line in DIFFERENCES.read_text().splitlines():
        if line and not line.startswith("#"):
            fields = [field.strip() for field in line.split("|")]
            expected[fields[0]] = fields[column]
    return expected


def judge(found, expected):
    """Says which tests ended otherwise than they should."""
    wrong = []
    for test, outcome in found.items():
        wanted = expected.get(test, "passed")
        if outcome != wanted and wanted != "either":
            wrong.append(f"{test}: {outcome}, should have {wanted}")
    return wrong


def wait(process, report):
    """Waits for the report; clients that kazoo's failed tests leave may never end."""
    while process.poll() is None and not report.exists():
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            pass
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass


def run(server, arguments, port=None, quiet=False):
    """Runs the suite; returns its outcomes by test, and pytest's output."""
    source, python = install(PEERS / "kazoo")
    port = port or 41000 + os.getpid() % 300 * 20
    with tempfile.TemporaryDirectory(prefix="kazoo-suite-") as directory:
        directory = pathlib.Path(directory)
        report, output = directory / "report.xml", directory / "output"
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-o", "log_cli=false"]
        command += ["-q", "-rfE", "--tb=short", "--timeout=180", f"--junit-xml={report}"]
        with open(output, "wb") as sink:
            process = subprocess.Popen(
                [*command, *(arguments or ["kazoo/tests"])],
                cwd=source,
                env=environment(server, directory, port),
                stdout=sink if quiet else None,
                stderr=subprocess.STDOUT if quiet else None,
                start_new_session=True,
            )
        try:
            wait(process, report)
        finally:
            # Also the servers that an interrupted run has left.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        text = output.read_text(errors="replace")
        return (outcomes(report) if report.exists() else {}), text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", choices=["odradek", "apache"], default="odradek")
    options, arguments = parser.parse_known_args()
    found, _ = run(options.server, arguments)
    wrong = judge(found, differences(options.server))
    counts = {kind: list(found.values()).count(kind) for kind in ("passed", "failed", "skipped")}
    print(f"kazoo {VERSION} on {options.server}: {counts}; otherwise than expected: {len(wrong)}")
    print("\n".join(wrong))
    sys.exit(1 if wrong or not found else 0)


if __name__ == "__main__":
    main()
