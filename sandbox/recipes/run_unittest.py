"""Runs unittest suites and writes what became of each test as JUnit XML; sent into boxes as text.

For environments in which pytest cannot be had, and for Django's own runner. Arguments: the report's
path, `--django=manage.py` where that runs the tests, then test ids; without ids, discovery from the
project's folder and from its test directories.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
import time
import traceback
import unittest
import xml.etree.ElementTree as ET  # written here, never read
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

ROOT = "/repo"


class Recorder(unittest.TestResult):
    """Collects outcomes as JUnit test cases."""

    def __init__(self) -> None:
        super().__init__()
        self.suite = ET.Element("testsuite", name="unittest")

    def _case(self, test: object, kind: str | None, text: str = "", **more: str) -> None:
        name = test.id() if isinstance(test, unittest.TestCase) else str(test)
        case = ET.SubElement(self.suite, "testcase", classname="", name=name)
        if kind is not None:
            ET.SubElement(case, kind, more).text = text

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802  # unittest's name
        """Record a pass."""
        self._case(test, None)

    def addFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802  # unittest's name
        """Record a failed assertion."""
        super().addFailure(test, err)  # type: ignore[arg-type]  # handed on as it came
        self._case(test, "failure", _text(err))

    def addError(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802  # unittest's name
        """Record an exception."""
        super().addError(test, err)  # type: ignore[arg-type]  # handed on as it came
        self._case(test, "error", _text(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802  # unittest's name
        """Record a skip."""
        self._case(test, "skipped", reason, type="unittest.skip")

    def addExpectedFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802  # unittest's name
        """Record an expected failure."""
        self._case(test, "skipped", _text(err), type="pytest.xfail")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802  # unittest's name
        """Record an unexpected success, which counts as a failure."""
        super().addUnexpectedSuccess(test)
        self._case(test, "failure", "unexpected success")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: object) -> None:  # noqa: N802  # unittest's name
        """Record a failed subtest under the name of its test."""
        super().addSubTest(test, subtest, err)  # type: ignore[arg-type]  # handed on as it came
        if err is not None:
            self._case(test, "failure", _text(err))


def _text(err: object) -> str:
    clean = "".join(traceback.format_exception(*err)) if isinstance(err, tuple) else str(err)
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in clean)


def discover() -> unittest.TestSuite:
    """Every suite below the repository's root."""
    loader = unittest.TestLoader()
    suite = unittest.TestSuite()
    starts = [
        d for d in ("tests", "test") if Path(d).is_dir() and not Path(d, "__init__.py").exists()
    ]
    for start in (".", *starts):
        suite.addTests(loader.discover(start, pattern="test*.py", top_level_dir=start))
        loader = unittest.TestLoader()
    return suite


def beside() -> list[str]:
    """Test modules at the repository's root, where the project is a folder of it."""
    here = Path.cwd() == Path(ROOT)
    return [] if here else sorted(path.stem for path in Path(ROOT).glob("test_*.py"))


class Silent(Recorder):
    """The recorder as Django's runner makes its result: with a stream and options."""

    made: Recorder | None = None

    def __init__(self, *_given: object, **_named: object) -> None:
        super().__init__()
        Silent.made = self


def django(manage: str, names: list[str]) -> Recorder:
    """Run `manage.py test` in this process; an empty record where it came to no tests."""
    unittest.TextTestRunner.resultclass = Silent  # type: ignore[assignment]  # its result is ours
    sys.path.insert(0, str(Path(manage).resolve().parent))
    labels = names or ([".", *beside()] if beside() else [])
    sys.argv = [manage, "test", "--noinput", *labels]
    with contextlib.suppress(SystemExit):  # it always ends so; the record tells what became of it
        runpy.run_path(manage, run_name="__main__")
    return Silent.made or Recorder()


def plain(names: list[str]) -> Recorder:
    """Run suites of unittest."""
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names) if names else discover()
    if not names:
        suite.addTests(loader.loadTestsFromNames(beside()))
    recorder = Recorder()
    suite.run(recorder)
    return recorder


def main() -> None:
    """Run, report, and exit as pytest would."""
    report, *names = sys.argv[1:]
    sys.path.insert(0, ROOT)
    begun = time.monotonic()
    if names and names[0].startswith("--django="):
        recorder = django(names[0].partition("=")[2], names[1:])
    else:
        recorder = plain(names)
    recorder.suite.set("time", f"{time.monotonic() - begun:.3f}")
    Path(report).parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(recorder.suite).write(report, encoding="utf-8")
    sys.exit(0 if recorder.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
