"""Hostile candidates of a small repository: what reaches out of a box, and what stays behind.

Each is run as a candidate is, with the diff policy lifted, because that is when walls and verdict
have to hold. The test suite runs the same tables, and those that use a machine up, on every back
end that it is given.
"""

import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sandbox import images
from sandbox.conformance.hostile.attack import BUGGY, GOT_THROUGH, LIMITS, Attack
from sandbox.conformance.hostile.goals import LISTENING, OUTSIDE, REACHES
from sandbox.conformance.hostile.plants import STATE, WAY_OUT
from sandbox.contract import Sandbox, TestReport, TestSpec
from sandbox.grading import grade
from sandbox.runner import run_tests
from sandbox.settings import SandboxSettings

REPOSITORY: Mapping[str, str] = {
    "calc/__init__.py": BUGGY,
    "tests/test_calc.py": (
        "from calc import add\n\n\n"
        "def test_adds():\n    assert add(1, 2) == 3\n\n\n"
        "def test_zero():\n    assert add(1, 0) == 1\n"
    ),
}
"""A repository with one bug."""
IN_GVISOR = frozenset({"process 1's environment", "a device"})
"""What code reaches there: a variable that tells nothing, and a node of gVisor's own kernel."""
LEFT = """
import os, subprocess
left = [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid())]
for top in ("/repo", "/tmp", "/dev/shm", "/opt"):
    for parent, names, files in os.walk(top):
        found = {"left", "filler", "many", "left.py"}.intersection((*names, *files))
        left += [os.path.join(parent, name) for name in found]
if open("/repo/calc/__init__.py").read() != open("/opt/repo/calc/__init__.py").read():
    left.append("another source")
status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout
print(*left, status)
"""
STOLEN = "neighbours-secret"


@dataclass(frozen=True, slots=True)
class Target:
    """A sandbox and the suite whose product hostile code takes the place of."""

    sandbox: Sandbox
    suite: TestSpec


Trial = Callable[[Target], str | None]
"""Runs a candidate; says what got through, or None."""


def prepare(sandbox: Sandbox, settings: SandboxSettings) -> Target:
    """The repository's environment; cached by content, as every environment is.

    Raises:
        ImageBuildError: it cannot be built.
        SandboxUnavailableError: the back end does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="evoscale-check-") as name:
        for path, text in REPOSITORY.items():
            Path(name, path).parent.mkdir(exist_ok=True)
            Path(name, path).write_text(text, encoding="utf-8")
        made = images.prepare(sandbox, Path(name), test_command=None, settings=settings)
    failing, passing = ("tests/test_calc.py::test_adds",), ("tests/test_calc.py::test_zero",)
    return Target(sandbox, TestSpec(made.image, made.command, failing, passing))


def trials() -> Mapping[str, Trial]:
    """All of them by name; each opens boxes of its own."""
    planted = {
        f"contained: {attack.name}": partial(_stays_behind, attack) for attack in (*WAY_OUT, *STATE)
    }
    return {f"nothing outside is reached in {len(OUTSIDE)} ways": _reaches_out, **planted}


def verdict_of(report: TestReport) -> str:
    """All that a report says in words."""
    return "\n".join(filter(None, [report.log_tail, report.refused, *report.details.values()]))


def gone_through(report: TestReport) -> bool:
    """Whether an attack says that its goal was reached, beyond its own source in a traceback."""
    return GOT_THROUGH in verdict_of(report).replace(f'("{GOT_THROUGH}")', "")


def _reaches_out(target: Target) -> str | None:
    """Beside a neighbour with something to steal, and a socket of the machine's without a file."""
    with (
        target.sandbox.open(target.suite.image, LIMITS) as neighbour,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        listening.bind(LISTENING)
        listening.listen()
        neighbour.write_file(f"/tmp/{STOLEN}", b"secret")  # noqa: S108  # the box's own
        neighbour.write_file(STOLEN, b"secret")
        report = run_tests(target.sandbox, target.suite, REACHES.patch, LIMITS, allowed=["*"])
    said = re.search(rf"{REACHES.said}\[(.*?)\]", verdict_of(report))
    if said is None:
        return f"nothing is known: {verdict_of(report)[-300:]}"
    known = IN_GVISOR if "runsc" in target.sandbox.isolation else frozenset()
    reached = [goal.name for goal in OUTSIDE if repr(goal.name) in said[1]]
    beyond = [name for name in reached if name not in known]
    return f"reached: {', '.join(beyond)}" if beyond else None


def _stays_behind(attack: Attack, target: Target) -> str | None:
    sandbox, suite = target.sandbox, target.suite
    report = run_tests(sandbox, suite, attack.patch, attack.limits, allowed=["*"])
    said = verdict_of(report)
    if gone_through(report):
        return said[-300:]
    if grade(suite, report).resolved != attack.fix:
        return f"resolved={not attack.fix}: {said[-300:]}"
    if not re.search(attack.said, said):
        return f"not said to be {attack.said!r}: {said[-300:]}"
    with sandbox.open(suite.image, LIMITS) as box:
        left = box.exec(["python3", "-c", LEFT]).output.decode(errors="replace").strip()
    return f"the next box finds {left[-300:]}" if left else None
