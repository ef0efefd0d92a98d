"""Hostile candidates of a small repository: what reaches out, stays behind, uses up and lies.

Each is run as a candidate is, with the diff policy lifted where it would be in the way, because
that is when walls and verdict have to hold. The test suite runs the same tables on every back end
that it is given.
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
from sandbox.conformance.hostile.fakes import FAKES
from sandbox.conformance.hostile.goals import LISTENING, OUTSIDE, REACHES
from sandbox.conformance.hostile.patches import BAD_PATCHES
from sandbox.conformance.hostile.plants import STATE, WAY_OUT
from sandbox.conformance.hostile.walls import USES_UP
from sandbox.contract import Patch, Sandbox, TestReport, TestSpec
from sandbox.grading import grade
from sandbox.runner import run_tests
from sandbox.settings import SandboxSettings

REPOSITORY: Mapping[str, str] = {
    "calc/__init__.py": BUGGY,
    "tests/test_calc.py": (
        "import unittest\n\nimport pytest\n\nfrom calc import add\n\n\n"
        "def test_adds():\n    assert add(1, 2) == 3\n\n\n"
        "def test_zero():\n    assert add(1, 0) == 1\n\n\n"
        "class TestMore(unittest.TestCase):\n"
        "    def test_in_a_class(self):\n        assert add(0, 0) == 0\n\n"
        '    @unittest.skip("not today")\n'
        "    def test_skipped(self):\n        raise AssertionError\n\n\n"
        '@pytest.mark.parametrize("word", ["a b", "c::d"])\n'
        "def test_words(word):\n    assert word\n\n\n"
        "@pytest.mark.xfail\ndef test_expected_to_fail():\n    assert add(1, 1) == 3\n"
    ),
}
"""A repository with one bug."""
IN_GVISOR = frozenset({"process 1's environment", "a device"})
"""What code reaches there: a variable that tells nothing, and a node of gVisor's own kernel."""
ENDS_GVISORS_BOX = frozenset({"signals for process 1", "an answer forged on the line to the host"})
"""Process 1 is in reach there: who touches it, or the line, loses the box and proves nothing."""
FORK_BOMBS = frozenset({"fork bomb", "fork bomb of the shell"})
"""What limits them is around gVisor's whole kernel: the box may end before their time does."""
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
    passing = ("tests/test_calc.py::test_zero", "tests/test_calc.py::TestMore::test_in_a_class")
    failing = ("tests/test_calc.py::test_adds",)
    return Target(sandbox, TestSpec(made.image, made.command, failing, passing))


def trials(*, bombs: bool = True) -> Mapping[str, Trial]:
    """All of them by name, with or without those that use a machine up where no wall holds them.

    Each opens boxes of its own.
    """
    walls = (*WAY_OUT, *STATE, *(USES_UP if bombs else ()))
    return {
        f"nothing outside is reached in {len(OUTSIDE)} ways": _reaches_out,
        **{f"contained: {attack.name}": partial(_stays_behind, attack) for attack in walls},
        **{f"seen through: {attack.name}": partial(_believes, attack) for attack in FAKES},
        f"{len(BAD_PATCHES)} bad patches are refused": _takes_a_bad_patch,
    }


def verdict_of(report: TestReport) -> str:
    """All that a report says in words."""
    return "\n".join(filter(None, [report.log_tail, report.refused, *report.details.values()]))


def gone_through(report: TestReport) -> bool:
    """Whether an attack says that its goal was reached, beyond its own source in a traceback."""
    return GOT_THROUGH in verdict_of(report).replace(f'("{GOT_THROUGH}")', "")


def in_gvisor(sandbox: Sandbox) -> bool:
    """Whether boxes have a kernel of gVisor's."""
    return sandbox.isolation.endswith("runsc")


def what_is_said(attack: Attack, sandbox: Sandbox) -> str:
    """The pattern that a verdict on an attack on the box must hold; any where the box may end."""
    if not in_gvisor(sandbox):
        return attack.said
    if attack.name in ENDS_GVISORS_BOX:
        return ""
    ends = attack.name in FORK_BOMBS
    return f"{attack.said}|the box ended with this command" if ends else attack.said


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
    known = IN_GVISOR if in_gvisor(target.sandbox) else frozenset()
    reached = [goal.name for goal in OUTSIDE if repr(goal.name) in said[1]]
    beyond = [name for name in reached if name not in known]
    return f"reached: {', '.join(beyond)}" if beyond else None


def _stays_behind(attack: Attack, target: Target) -> str | None:
    sandbox, suite = target.sandbox, target.suite
    report = run_tests(sandbox, suite, attack.patch, attack.limits, allowed=["*"])
    said = verdict_of(report)
    if gone_through(report):
        return said[-300:]
    fix = attack.fix and not (in_gvisor(sandbox) and attack.name in ENDS_GVISORS_BOX)
    if grade(suite, report).resolved != fix:
        return f"resolved={not fix}: {said[-300:]}"
    if not re.search(what_is_said(attack, sandbox), said):
        return f"not said to be {attack.said!r}: {said[-300:]}"
    with sandbox.open(suite.image, LIMITS) as box:
        left = box.exec(["python3", "-c", LEFT]).output.decode(errors="replace").strip()
    return f"the next box finds {left[-300:]}" if left else None


def _believes(attack: Attack, target: Target) -> str | None:
    report = run_tests(target.sandbox, target.suite, attack.patch, LIMITS)
    graded, said = grade(target.suite, report), verdict_of(report)
    if graded.resolved or graded.no_regression:
        return f"it was believed: {said[-300:]}"
    known = re.search(attack.said, said)
    return None if known else f"not said to be {attack.said!r}: {said[-300:]}"


def _takes_a_bad_patch(target: Target) -> str | None:
    """No box is opened for any: what is refused is refused before."""
    for bad in BAD_PATCHES:
        report = run_tests(target.sandbox, target.suite, Patch(bad.patch), LIMITS)
        if report.applied or not re.search(bad.said, report.refused or ""):
            return f"{bad.name}: {report.refused or 'taken'}"
    return None
