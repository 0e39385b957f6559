"""The table of README.md, and the judgement of a run's outcomes.

A line of `known/NAME.txt` is `test | on Apache's | on ours | why`; a test is the
whole name or, with a `*` at its end, the beginning of names. An outcome is passed,
failed, skipped or either. A test that no line names is to pass, or may be skipped
by the suite itself.
"""

import importlib
import re

from core import CLIENTS, HERE, KNOWN

README = HERE / "README.md"
MODULES = (
    "tutorial_commands",
    "tutorial_programs",
    "client_programs",
    "python_suites",
    "go_suites",
    "rust_suites",
    "native_suites",
    "node_clients",
    "old_javascript",
    "jvm_clients",
    "jvm_exactly_once",
    "repository_suites",
    "monitors",
)


def load_clients():
    """Imports every file that registers clients."""
    for module in MODULES:
        importlib.import_module(module)


def known(name, servers):
    """The expected outcomes of the tests that are not simply to pass."""
    path = KNOWN / f"{name}.txt"
    if not path.exists():
        return {}
    column = {"apache": 1, "odradek": 2}[servers]
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    fields = [[field.strip() for field in line.split(" | ")] for line in lines]
    assert all(len(each) == 4 and each[3] for each in fields), f"{path}: a line without a reason"
    return {each[0]: each[column] for each in fields}


def wanted(test, expected):
    """What this test's outcome is to be: the longest matching line says it."""
    lines = [
        line
        for line in expected
        if line == test or (line.endswith("*") and test.startswith(line[:-1]))
    ]
    return expected[max(lines, key=len)] if lines else None


def judge(outcomes, expected):
    """Says which tests ended otherwise than they should."""
    wrong = []
    for test, outcome in outcomes.items():
        want = wanted(test, expected)
        good = outcome in ("passed", "skipped") if want is None else want in (outcome, "either")
        if not good:
            wrong.append(f"{test}: {outcome}, should have {want or 'passed'}")
    return wrong


def result(outcomes):
    """`12 pass, 1 fails, 3 skipped`."""
    kinds = list(outcomes.values())
    passed, failed, skipped = (kinds.count(kind) for kind in ("passed", "failed", "skipped"))
    text = f"{passed} pass"
    if failed:
        text += f", {failed} fail"
    if skipped:
        text += f", {skipped} skipped by the suite"
    return text


def row(each, text):
    return f"| {each.name} | {each.version} | {each.what} | {text} |"


def rows():
    """The table's rows by client."""
    found = {}
    for line in README.read_text().splitlines():
        match = re.fullmatch(r"\| ([a-z0-9][a-z0-9.-]*) \| (.*) \|", line)
        if match and match[1] != "client":
            found[match[1]] = line
    return found


def write(each, outcomes):
    """Puts a run's result into the table."""
    lines = README.read_text().splitlines()
    new = row(each, result(outcomes))
    at = [n for n, line in enumerate(lines) if line.startswith(f"| {each.name} | ")]
    if at:
        lines[at[0]] = new
    else:
        order = list(CLIENTS)
        starts = [f"| {name} | " for name in order[: order.index(each.name)]] + ["|---"]
        last = max(n for n, line in enumerate(lines) if line.startswith(tuple(starts)))
        lines.insert(last + 1, new)
    README.write_text("\n".join(lines) + "\n")


def complaints():
    """What of the table contradicts the registered clients."""
    said, found = [], rows()
    for each in CLIENTS.values():
        line = found.pop(each.name, None)
        if line is None:
            said.append(f"{each.name} has no row in README.md: run it with --write")
        elif not line.startswith(row(each, "")[:-2]):
            said.append(f"{each.name}: README.md says otherwise: {line}")
    said += [f"README.md has a row for {name}, which is not run" for name in found]
    return said
