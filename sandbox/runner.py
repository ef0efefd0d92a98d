"""A fresh box, a patch, the trusted files over it, the tests, a report."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from sandbox.contract import (
    Box,
    ExecResult,
    Limits,
    Patch,
    Sandbox,
    TestCommand,
    TestFile,
    TestReport,
    TestSpec,
    TestStatus,
)
from sandbox.policy import check_patch
from sandbox.recipes.python import REPORT
from sandbox.reports import NOT_THERE, OK, REPORT_BYTES, Outcomes, read_junit
from sandbox.unified_diff import parse

LOG_TAIL_BYTES = 4000
LAY_S = 60.0
ARGV_BYTES = 1_000_000  # Linux takes two million for arguments and environment together
SCRIPT = "/tmp/evoscale/script.py"  # noqa: S108  # in the box
COMMAND = "command"
"""The one test id of a command that reports nothing but its exit code."""


def run_tests(
    sandbox: Sandbox,
    spec: TestSpec,
    patch: Patch | None,
    limits: Limits,
    *,
    tests: Sequence[str] = (),
    allowed: Sequence[str] = (),
) -> TestReport:
    """Run a repository's tests, or only `tests`, with a patch applied to it (None: as it is).

    `allowed` holds globs of paths that the patch may touch although policy protects them. Where the
    runner refuses `tests` because one is not there, the whole suite is run in another box.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    refused = None if patch is None else check_patch(patch, allowed=allowed)
    if refused is not None:
        return TestReport(applied=False, timed_out=False, ran=False, refused=refused)
    report = _run(sandbox, spec, patch, limits, tests)
    if tests and report.applied and not report.ran and not report.statuses and not report.timed_out:
        # A test that is not there makes pytest refuse to run the others that were named with it.
        return _run(sandbox, spec, patch, limits, ())
    return report


def _run(
    sandbox: Sandbox, spec: TestSpec, patch: Patch | None, limits: Limits, tests: Sequence[str]
) -> TestReport:
    with sandbox.open(spec.image, limits) as box:
        obstacle = lay(box, patch, spec.files)
        if obstacle is not None:
            return TestReport(applied=False, timed_out=False, ran=False, log_tail=obstacle)
        result = box.exec(command_line(spec.command, tests))
        outcomes = _outcomes(box, spec.command, result)
    return _report(result, outcomes)


def run_script(
    sandbox: Sandbox, image: str, source: str, *, patch: Patch | None, limits: Limits
) -> ExecResult:
    """Run a Python program in a fresh box of an image, with a patch applied.

    A patch that is refused or does not apply gives exit code 125 and the reason as output.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    refused = None if patch is None else check_patch(patch)
    if refused is not None:
        return ExecResult(125, refused.encode(), truncated=False, duration_s=0.0)
    with sandbox.open(image, limits) as box:
        obstacle = lay(box, patch, ())
        if obstacle is not None:
            return ExecResult(125, obstacle.encode(), truncated=False, duration_s=0.0)
        box.write_file(SCRIPT, source.encode())
        return box.exec(["python", SCRIPT])


def lay(box: Box, patch: Patch | None, files: Sequence[TestFile]) -> str | None:
    """Apply a patch that policy let through, then lay files over it; says why it does not apply.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    if patch is None and not files:
        return None
    changes = () if patch is None else parse(patch)
    order = {
        "changes": [asdict(change) for change in changes],
        "files": {file.path: file.text for file in files},
    }
    program = Path(__file__).with_name("lay.py").read_text(encoding="utf-8")
    result = box.exec(
        ["python3", "-I", "-S", "-c", program], stdin=json.dumps(order).encode(), wall_clock_s=LAY_S
    )
    said = result.output[-2000:].decode(errors="replace").strip()
    return (
        None
        if result.exit_code == 0 and said == "ok"
        else (said or "the patch could not be applied")
    )


def command_line(command: TestCommand, tests: Sequence[str]) -> tuple[str, ...]:
    """A test command's argv with test ids in the place of `{tests}`, where they fit in."""
    fits = sum(len(test.encode()) + 9 for test in tests) < ARGV_BYTES
    argv: list[str] = []
    for word in command.argv:
        argv += (tests if fits else ()) if word == "{tests}" else (word,)
    return tuple(argv)


def _outcomes(box: Box, command: TestCommand, result: ExecResult) -> Outcomes:
    if result.exit_code is None or result.out_of_memory:
        why = "the tests ran out of " + ("memory" if result.out_of_memory else "time")
        return Outcomes(ran=False, why=why)
    if command.runner == COMMAND and result.exit_code not in NOT_THERE:
        passed = result.exit_code == OK
        status = TestStatus.PASSED if passed else TestStatus.FAILED
        return Outcomes(ran=True, statuses={COMMAND: status})
    return read_junit(box.read_file(REPORT, REPORT_BYTES), result.exit_code)


def _report(result: ExecResult, outcomes: Outcomes) -> TestReport:
    tail = result.output[-LOG_TAIL_BYTES:].decode(errors="replace")
    report = TestReport(
        applied=True,
        timed_out=result.exit_code is None,
        ran=outcomes.ran,
        statuses=outcomes.statuses,
        details=outcomes.details,
        log_tail=tail,
        duration_s=result.duration_s,
    )
    return replace(report, log_tail=f"{tail}\n[{outcomes.why}]") if outcomes.why else report
