"""Tests of ours in every run: some must fail and one must pass, or the run said what it was told.

Their names and messages are made up for one run. Code that makes every test pass, or that writes a
report of its own, does not get them right; code that spares names it does not know still does,
which is what `sandbox.trial` is for.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sandbox import reported_canaries as reported
from sandbox.contract import TestStatus
from sandbox.planted import text_of
from sandbox.reports import (
    NO_TESTS,
    OK,
    TESTS_FAILED,
    USAGE_ERROR,
    Outcomes,
    contradiction,
    read_junit,
    read_report,
)

PLACE = "/tmp/evoscale"  # noqa: S108  # in the box
MADE_UP = "the results are made up"
FAILING: Mapping[str, tuple[str, ...]] = {
    "pytest": ("test_fails", "test_differs", "test_raises"),
    "unittest": ("test_differs", "test_raises"),
    **dict.fromkeys(reported.FILES, reported.FAILING),
}
"""The runners that canaries can be laid in with, and those of theirs that can only fail."""

BAD = frozenset({TestStatus.FAILED, TestStatus.ERROR})
NOT_RUN = BAD | {TestStatus.SKIPPED}
"""What a report may hold where no test was run: modules that fail or skip while they are read."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """What is laid in with one run: files, environment, and the name of the module they are in."""

    runner: str
    token: str
    files: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The name of the module that holds them."""
        return f"test_{self.token}"


def make(runner: str, *, backwards: bool = False) -> Canaries | None:
    """New canaries for a run, or None where the runner takes none.

    `backwards` has the tests run in the opposite order, which pytest alone can be made to do.
    """
    if runner not in FAILING:
        return None
    token = secrets.token_hex(6)
    if runner in reported.FILES:
        return Canaries(runner, token, reported.files(runner, token, f"{PLACE}/{token}"))
    tests = text_of("canary_tests.py").replace("TOKEN", token)
    if runner == "unittest":
        return Canaries(runner, token, {f"test_{token}.py": tests})
    place, plugin = f"{PLACE}/{token}", f"plugin_{token}"
    source = text_of("canary_plugin.py").replace("BACKWARDS = False", f"BACKWARDS = {backwards}")
    files = {
        f"{place}/{plugin}.py": source.replace("TOKEN", token),
        f"{place}/test_{token}.py": tests,
    }
    return Canaries(runner, token, files, {"PYTEST_PLUGINS": plugin, "PYTHONPATH": place})


def command_line(canaries: Canaries, argv: tuple[str, ...], *, named: bool) -> tuple[str, ...]:
    """A test command's argv with the canaries; `named` says that it names tests."""
    if canaries.runner in reported.FILES:
        return reported.command_line(canaries.runner, f"{PLACE}/{canaries.token}", argv)
    if canaries.runner == "unittest":
        return (*argv, canaries.module) if named else argv
    place = canaries.environment["PYTHONPATH"]
    own = [w.replace("PYTHONPATH=", f"PYTHONPATH={place}:", 1) for w in argv]
    return ("env", *(f"{key}={value}" for key, value in canaries.environment.items()), *own)


def hidden(canaries: Canaries, output: bytes) -> bytes:
    """What a run printed, without the lines about the canaries: people and models read it."""
    token, counting = canaries.token.encode(), reported.COUNTING.get(canaries.runner)
    lines = [line for line in output.splitlines(keepends=True) if token not in line]
    return b"".join(line for line in lines if counting is None or not counting.match(line))


def read(canaries: Canaries, report: bytes | None, exit_code: int | None) -> Outcomes:
    """What a run's report says without the canaries; never raises."""
    if canaries.runner in reported.FILES:
        outcomes = read_report(canaries.runner, report, exit_code)
        return without_reported(canaries, outcomes, exit_code)
    # Pytest's exit code is made to be the one without canaries.
    return without(
        canaries, read_junit(report, TESTS_FAILED if exit_code == OK else exit_code), exit_code
    )


def _apart(canaries: Canaries, outcomes: Outcomes) -> tuple[dict[str, TestStatus], Outcomes]:
    """The canaries, and the report without them."""
    own = {t: s for t, s in outcomes.statuses.items() if canaries.token in t}
    statuses = {t: s for t, s in outcomes.statuses.items() if t not in own}
    details = {t: d for t, d in outcomes.details.items() if t not in own}
    return own, replace(outcomes, statuses=statuses, details=details)


def without(canaries: Canaries, outcomes: Outcomes, exit_code: int | None) -> Outcomes:
    """A report as it would be without the canaries, believed only if they fared as they had to."""
    own, rest = _apart(canaries, outcomes)
    statuses = rest.statuses
    if exit_code not in {OK, TESTS_FAILED, USAGE_ERROR, NO_TESTS}:
        return rest
    # Where nothing could be collected pytest runs nothing, canaries neither.
    without_any = NOT_RUN if exit_code in {USAGE_ERROR, NO_TESTS} else BAD
    if own or any(status not in without_any for status in statuses.values()):
        caught = _caught(canaries, own, outcomes.details)
        if caught is not None:
            return replace(rest, ran=False, why=f"{MADE_UP}: {caught}")
    if not outcomes.ran:
        return rest
    failed = any(status in BAD for status in statuses.values())
    if canaries.runner == "unittest" and exit_code == TESTS_FAILED and not failed:
        return rest  # its exit code counts the canaries, pytest's does not
    why = contradiction(exit_code, statuses)
    return rest if why is None else replace(rest, ran=False, why=why)


def without_reported(canaries: Canaries, outcomes: Outcomes, exit_code: int | None) -> Outcomes:
    """The same for runners whose test files or packages have canaries each.

    Their exit code counts the canaries, so it can only say that something else went wrong as well.
    """
    own, rest = _apart(canaries, outcomes)
    sets: dict[str, dict[str, TestStatus]] = {p: {} for p in _places(canaries.runner, own, rest)}
    for test, status in own.items():
        sets.setdefault(_place_of(canaries, test)[0], {})[test] = status
    for each in sets.values():
        caught = _caught(canaries, each, outcomes.details)
        if caught is not None:
            return replace(rest, ran=False, why=f"{MADE_UP}: {caught}")
    if not outcomes.ran:
        return rest
    if not rest.statuses:
        return replace(rest, ran=False, why="the report names no test")
    failed = any(status in BAD for status in rest.statuses.values())
    if own and not failed and exit_code != reported.expected_exit_code(canaries.runner):
        why = f"exit code {exit_code} contradicts the report, in which nothing failed"
        return replace(rest, ran=False, why=why)
    return rest


def _places(runner: str, own: Mapping[str, TestStatus], rest: Outcomes) -> set[str]:
    """Where canaries have to be, as far as ids tell: a file that failed to load has none.

    For node's own runner the reporter that was laid in names the files that lack them.
    """
    told = reported.places(runner, rest.statuses)
    if told is not None:
        return told
    anywhere = any(status not in BAD for status in rest.statuses.values())
    return {""} if anywhere and not own else set()


def _place_of(canaries: Canaries, test: str) -> tuple[str, str]:
    return reported.place_and_name(canaries.runner, test, canaries.token)


def _name_of(canaries: Canaries, test: str) -> str:
    if canaries.runner in reported.FILES:
        return _place_of(canaries, test)[1]
    return test.replace("::", ".").rpartition(".")[2]


def _caught(
    canaries: Canaries, own: Mapping[str, TestStatus], details: Mapping[str, str]
) -> str | None:
    """How the canaries fared wrongly, or None."""
    by_name = {_name_of(canaries, test): test for test in own}
    for name in FAILING[canaries.runner]:
        test = by_name.get(name)
        if test is None:
            return "a test that was laid in with the run is missing from its report"
        if own[test] not in BAD:
            return f"a test that can only fail was reported as {own[test]}"
        if f"canary {canaries.token}" not in details.get(test, ""):
            return "a test that can only fail failed in another way than it does"
    holds = own.get(by_name.get("test_holds", ""))
    if holds is not TestStatus.PASSED:
        return f"a test that can only pass was reported as {holds or 'absent'}"
    return None
