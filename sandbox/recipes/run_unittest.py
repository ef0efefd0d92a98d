"""Runs unittest suites and writes what became of each test as JUnit XML; sent into boxes as text.

For environments in which pytest cannot be had. Arguments: the report's path, then test ids; without
ids, discovery from the repository's root and from its test directories.
"""

import sys
import time
import traceback
import unittest
import xml.etree.ElementTree as ET  # written here, never read
from pathlib import Path
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


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

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Record a pass."""
        self._case(test, None)

    def addFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        """Record a failed assertion."""
        super().addFailure(test, err)  # type: ignore[arg-type]
        self._case(test, "failure", _text(err))

    def addError(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        """Record an exception."""
        super().addError(test, err)  # type: ignore[arg-type]
        self._case(test, "error", _text(err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """Record a skip."""
        self._case(test, "skipped", reason, type="unittest.skip")

    def addExpectedFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        """Record an expected failure."""
        self._case(test, "skipped", _text(err), type="pytest.xfail")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Record an unexpected success, which counts as a failure."""
        super().addUnexpectedSuccess(test)
        self._case(test, "failure", "unexpected success")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: object) -> None:  # noqa: N802
        """Record a failed subtest under the name of its test."""
        super().addSubTest(test, subtest, err)  # type: ignore[arg-type]
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


def main() -> None:
    """Run, report, and exit as pytest would."""
    report, *names = sys.argv[1:]
    sys.path.insert(0, "/repo")
    begun = time.monotonic()
    suite = unittest.defaultTestLoader.loadTestsFromNames(names) if names else discover()
    recorder = Recorder()
    suite.run(recorder)
    recorder.suite.set("time", f"{time.monotonic() - begun:.3f}")
    Path(report).parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(recorder.suite).write(report, encoding="utf-8")
    sys.exit(0 if recorder.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
