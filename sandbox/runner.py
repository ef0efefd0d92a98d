"""A fresh box, a patch, the trusted files over it, the tests, a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sandbox import canaries as canary
from sandbox.canaries import Canaries
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
from sandbox.lay import HELD_BACK
from sandbox.masking import is_masked, masked
from sandbox.planted import text_of
from sandbox.policy import Exceptions, check_patch, judged
from sandbox.protected import NAMES, TEST_NAMES, TEST_PLACES
from sandbox.recipes.place import REPORT
from sandbox.reports import NOT_THERE, OK, REPORT_BYTES, Outcomes, read_report
from sandbox.unified_diff import FileChange, parse

LOG_TAIL_BYTES = 4000
LAY_S = 60.0
ARGV_BYTES = 1_000_000  # Linux takes two million for arguments and environment together
PATHS = TypeAdapter(list[str])
SCRIPT = "/tmp/evoscale/script.py"  # noqa: S108  # in the box
EVERYTHING = "*"
"""As a suite's churn: it changes now this of its trusted files, now that."""
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
    runner refuses `tests` because one is not there, the whole suite is run in another box. It is
    run at once where one of them stands for all tests of a shape, which no runner knows.

    Raises:
        SandboxUnavailableError: no box could be opened, or the box failed.
    """
    exceptions = Exceptions(allowed, spec.named)
    refused = None if patch is None else check_patch(patch, exceptions)
    if refused is not None:
        return TestReport(applied=False, timed_out=False, ran=False, refused=refused)
    changes = () if patch is None else judged(patch, exceptions)
    if any(is_masked(test, spec.masked) for test in tests):
        tests = ()
    report = _run(sandbox, spec, changes, limits, tests)
    gave_nothing = report.applied and not report.ran and not report.statuses
    if tests and gave_nothing and not report.timed_out and report.tampered is None:
        # A test that is not there makes pytest refuse to run the others that were named with it.
        report = _run(sandbox, spec, changes, limits, ())
    return masked(report, spec.masked)


def _run(
    sandbox: Sandbox,
    spec: TestSpec,
    changes: Sequence[FileChange],
    limits: Limits,
    tests: Sequence[str],
) -> TestReport:
    canaries = canary.make(spec.command.runner, backwards=spec.backwards) if spec.canaries else None
    with sandbox.open(spec.image, limits) as box:
        obstacle = lay(box, changes, spec.files)
        if obstacle is not None:
            return _not_laid(obstacle)
        argv = command_line(spec.command, tests)
        if canaries is not None:
            for path, text in canaries.files.items():
                box.write_file(path, text.encode())
            argv = canary.command_line(canaries, argv, named=bool(tests))
        result = box.exec(argv)
        outcomes = _outcomes(box, spec.command, result, canaries)
        if canaries is not None:
            result = replace(result, output=canary.hidden(canaries, result.output))
        ignored = [*(canaries.files if canaries else ()), *_paths(changes)]
        changed = broken_seals(box, spec.files, ignored) if outcomes.ran else ()
    return _report(result, outcomes, changed, spec.churn)


def _not_laid(obstacle: str) -> TestReport:
    """A patch that does not apply, or one whose place in its file forbids it."""
    held_back = obstacle.startswith(HELD_BACK)
    refused = obstacle.removeprefix(HELD_BACK) if held_back else None
    return TestReport(applied=False, timed_out=False, ran=False, log_tail=obstacle, refused=refused)


def _paths(changes: Sequence[FileChange]) -> list[str]:
    return [path for change in changes for path in change.paths]


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
        obstacle = lay(box, () if patch is None else parse(patch), ())
        if obstacle is not None:
            return ExecResult(125, obstacle.encode(), truncated=False, duration_s=0.0)
        box.write_file(SCRIPT, source.encode())
        return box.exec(["python", SCRIPT])


def lay(box: Box, changes: Sequence[FileChange], files: Sequence[TestFile]) -> str | None:
    """Apply changes that policy let through, then lay files over them; says why they do not apply.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    if not changes and not files:
        return None
    order = {
        "changes": [asdict(change) for change in changes],
        "files": {file.path: file.text for file in files},
    }
    program = Path(__file__).with_name("lay.py").read_text(encoding="utf-8")
    result = _own_program(box, program, order)
    said = result.output[-2000:].decode(errors="replace").strip()
    return (
        None
        if result.exit_code == 0 and said == "ok"
        else (said or "the patch could not be applied")
    )


def _own_program(box: Box, program: str, order: Mapping[str, object]) -> ExecResult:
    """Run one of our programs with an order as its standard input."""
    return box.run_program(program, stdin=json.dumps(order).encode(), wall_clock_s=LAY_S)


def broken_seals(
    box: Box, laid: Sequence[TestFile], ignored: Sequence[str] = ()
) -> tuple[str, ...] | None:
    """The trusted files that are not what they were; None where the box does not say so plainly.

    What the command left is compared after all its processes have ended.

    Raises:
        SandboxUnavailableError: the box failed.
    """
    order = {
        "names": [*TEST_NAMES, *(glob for globs in NAMES.values() for glob in globs)],
        "places": sorted(TEST_PLACES),
        "laid": {file.path: file.text for file in laid},
        "ignored": list(ignored),
    }
    result = _own_program(box, text_of("seal.py"), order)
    try:
        return tuple(PATHS.validate_json(result.output)) if result.exit_code == 0 else None
    except ValidationError:
        return None


def command_line(command: TestCommand, tests: Sequence[str]) -> tuple[str, ...]:
    """A test command's argv with test ids in the place of `{tests}`, where they fit in."""
    fits = sum(len(test.encode()) + 9 for test in tests) < ARGV_BYTES
    argv: list[str] = []
    for word in command.argv:
        argv += (tests if fits else ()) if word == "{tests}" else (word,)
    return tuple(argv)


def _outcomes(
    box: Box, command: TestCommand, result: ExecResult, canaries: Canaries | None
) -> Outcomes:
    if result.exit_code is None or result.out_of_memory:
        why = "the tests ran out of " + ("memory" if result.out_of_memory else "time")
        return Outcomes(ran=False, why=why)
    if result.box_ended:
        return Outcomes(ran=False, why="no test report was written: the tests ended their box")
    if command.runner == COMMAND and result.exit_code not in NOT_THERE:
        passed = result.exit_code == OK
        status = TestStatus.PASSED if passed else TestStatus.FAILED
        return Outcomes(ran=True, statuses={COMMAND: status})
    report = box.read_file(REPORT, REPORT_BYTES)
    if canaries is None:
        return read_report(command.runner, report, result.exit_code)
    return canary.read(canaries, report, result.exit_code)


def _report(
    result: ExecResult,
    outcomes: Outcomes,
    changed: tuple[str, ...] | None,
    churn: Sequence[str],
) -> TestReport:
    tail = result.output[-LOG_TAIL_BYTES:].decode(errors="replace")
    excused = changed is None or EVERYTHING in churn
    fresh = () if excused else [path for path in changed or () if path not in churn]
    why = outcomes.why
    if changed is None:
        why = f"{canary.MADE_UP}: what became of the tests' own files cannot be told"
    elif fresh:
        why = f"{canary.MADE_UP}: while the tests ran, {fresh[0]!r} was changed, which they trust"
    report = TestReport(
        applied=True,
        timed_out=result.exit_code is None,
        ran=outcomes.ran and not fresh and changed is not None,
        statuses=outcomes.statuses,
        details=outcomes.details,
        log_tail=f"{tail}\n[{why}]" if why else tail,
        duration_s=result.duration_s,
    )
    tampered = why if why.startswith(canary.MADE_UP) else None
    return replace(report, tampered=tampered, changed=changed or ())
