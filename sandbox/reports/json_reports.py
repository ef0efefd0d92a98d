"""The JSON that JavaScript's runners write, and the events of `go test -json`. Hostile input."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from sandbox.contract import REPO, TestStatus
from sandbox.reports.outcomes import Ledger

WORDS = {
    "passed": TestStatus.PASSED,
    "failed": TestStatus.FAILED,
    "pending": TestStatus.SKIPPED,
    "skipped": TestStatus.SKIPPED,
    "disabled": TestStatus.SKIPPED,
    "todo": TestStatus.SKIPPED,
}
GO = {"pass": TestStatus.PASSED, "fail": TestStatus.FAILED, "skip": TestStatus.SKIPPED}
GO_OUTPUT_CHARS = 20_000
LINE_CHARS = 1024 * 1024


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Assertion(_Lenient):
    title: str = ""
    ancestorTitles: tuple[str, ...] = ()  # noqa: N815  # the report's own spelling
    status: str = ""
    failureMessages: tuple[str, ...] | None = None  # noqa: N815  # the report's own name


class _Suite(_Lenient):
    name: str = ""
    status: str = ""
    message: str | None = None
    assertionResults: tuple[_Assertion, ...] = ()  # noqa: N815  # the report's own name


class _Jest(_Lenient):
    testResults: tuple[_Suite, ...]  # noqa: N815  # the report's own name


class _Problem(_Lenient):
    message: str | None = None
    stack: str | None = None


class _Spec(_Lenient):
    fullTitle: str = ""  # noqa: N815  # the report's own name
    file: str | None = None
    err: _Problem = Field(default_factory=_Problem)


class _Mocha(_Lenient):
    passes: tuple[_Spec, ...]
    failures: tuple[_Spec, ...]
    pending: tuple[_Spec, ...] = ()


class _Event(_Lenient):
    Action: str = ""
    Package: str = ""
    Test: str = ""
    Output: str = ""


def read_jest(report: bytes, ledger: Ledger) -> None:
    """Record what jest writes with `--json`, and vitest with `--reporter=json`.

    A test file that could not be loaded has no tests and counts as an error under its own name.

    Raises:
        ValueError: it is no such JSON.
    """
    for suite in _Jest.model_validate_json(report).testResults:
        file = suite.name.removeprefix(f"{REPO}/")
        if suite.status == "failed" and not suite.assertionResults:
            ledger.add(file, TestStatus.ERROR, suite.message or "")
        for test in suite.assertionResults:
            status = WORDS.get(test.status, TestStatus.ERROR)
            name = " > ".join((file, *test.ancestorTitles, test.title))
            ledger.add(name, status, "\n".join(test.failureMessages or ()))


def read_mocha(report: bytes, ledger: Ledger) -> None:
    """Record what mocha writes with `--reporter json`.

    Raises:
        ValueError: it is no such JSON.
    """
    found = _Mocha.model_validate_json(report)
    kinds = (
        (TestStatus.FAILED, found.failures),
        (TestStatus.SKIPPED, found.pending),
        (TestStatus.PASSED, found.passes),
    )
    for status, tests in kinds:
        for test in tests:
            file = (test.file or "").removeprefix(f"{REPO}/")
            name = " > ".join(filter(None, (file, test.fullTitle)))
            ledger.add(name, status, test.err.stack or test.err.message or "")


def read_go(report: bytes, ledger: Ledger) -> None:
    """Record the events of `go test -json`; ids are `package.Test` and `package.Test/sub`.

    A package that failed without a failed test of its own did not build, or its process died: it
    counts as an error under its own name. So does a test that was started and never ended.

    Raises:
        ValueError: a line that begins like an event is none.
    """
    said: dict[tuple[str, str], str] = {}
    open_tests: set[tuple[str, str]] = set()
    failed: set[str] = set()
    broken: list[str] = []
    for event in _events(report):
        key = (event.Package, event.Test)
        if event.Action == "output":
            said[key] = (said.get(key, "") + event.Output)[-GO_OUTPUT_CHARS:]
        elif event.Action == "run":
            open_tests.add(key)
        elif event.Action in GO and event.Test:
            open_tests.discard(key)
            ledger.add(f"{event.Package}.{event.Test}", GO[event.Action], said.pop(key, ""))
            failed |= {event.Package} if event.Action == "fail" else set()
        elif event.Action == "fail":
            broken.append(event.Package)
    _unfinished(ledger, said, sorted(open_tests), [p for p in broken if p not in failed])


def _unfinished(
    ledger: Ledger,
    said: Mapping[tuple[str, str], str],
    tests: list[tuple[str, str]],
    packages: list[str],
) -> None:
    for package, test in tests:
        ledger.add(f"{package}.{test}", TestStatus.ERROR, said.get((package, test), ""))
    for package in packages:
        ledger.add(package or "go", TestStatus.ERROR, said.get((package, ""), ""))


def _events(report: bytes) -> Iterator[_Event]:
    for line in report.splitlines():
        if line.startswith(b"{") and len(line) <= LINE_CHARS:
            yield _Event.model_validate_json(line)
