"""Small repositories of ours, in real boxes; a toolchain that the machine lacks is a skip."""

from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Limits, Sandbox, TestReport, TestSpec, TestStatus
from sandbox.errors import ImageBuildError
from sandbox.recipes.run_reported import expanded, files_of, go_arguments
from sandbox.runner import run_tests
from sandbox.settings import MIB
from tests.sandbox.conftest import WriteRepository, settings

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
LIMITS = Limits(wall_clock_s=120.0, memory_bytes=1536 * MIB)
PASSED, SKIPPED = TestStatus.PASSED, TestStatus.SKIPPED
EXPECTED = {
    "go": {
        "example.org/words.TestCount": PASSED,
        "example.org/words.TestCount/one_One": PASSED,
        "example.org/words.TestCount/one__ONE": PASSED,
        "example.org/words.TestNothing": PASSED,
        "example.org/words.TestLater": SKIPPED,
    },
    "rust": {
        "src/lib.rs::tests::later": SKIPPED,
        "src/lib.rs::tests::nothing_has_no_words": PASSED,
        "whole.rs::case_does_not_matter": PASSED,
        "doc words::src/lib.rs - count (line 7)": PASSED,
    },
    "javascript": {
        "count > does not care about case": PASSED,
        "count > finds no words in nothing": PASSED,
        "count > comes later": SKIPPED,
    },
}


def tried(sandbox: Sandbox, root: Path, tests: tuple[str, ...] = ()) -> TestReport:
    try:
        found = images.prepare(sandbox, root, test_command=None, settings=settings())
    except ImageBuildError as error:
        if error.step != "toolchain":
            raise
        pytest.skip(str(error))
    return run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS, tests=tests)


@pytest.mark.parametrize("language", sorted(EXPECTED))
def test_a_small_repository_of_each_language_is_green(sandbox: Sandbox, language: str) -> None:
    report = tried(sandbox, REPOSITORIES / language / "words")
    assert report.ran, report.log_tail
    assert dict(report.statuses) == EXPECTED[language]


def test_one_go_test_can_be_run_alone(sandbox: Sandbox) -> None:
    wanted = ("example.org/words.TestCount/one_One",)
    report = tried(sandbox, REPOSITORIES / "go" / "words", wanted)
    assert set(wanted) <= set(report.statuses) <= set(EXPECTED["go"])
    assert "example.org/words.TestNothing" not in report.statuses


def test_a_package_that_does_not_build_is_an_error_of_its_own(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(
        {
            "go.mod": "module m\n\ngo 1.17\n",
            "a.go": "package m\n\nfunc f() int { return nothing }\n",
            "a_test.go": 'package m\n\nimport "testing"\n\nfunc TestA(t *testing.T) { f() }\n',
        }
    )
    report = tried(sandbox, root)
    assert TestStatus.ERROR in report.statuses.values() or not report.ran


def test_crates_that_are_not_vendored_are_a_reason(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    text = '[package]\nname = "x"\nversion = "0.1.0"\n[dependencies]\nserde = "1"\n'
    with pytest.raises(ImageBuildError, match=r"serde|toolchain"):
        images.prepare(
            sandbox,
            write_repository({"Cargo.toml": text, "src/lib.rs": ""}),
            test_command=None,
            settings=settings(),
        )


def test_ids_become_what_a_runner_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files_of(["a.js > b", "a.js > c", "d.js > e"]) == ["a.js", "d.js"]
    assert go_arguments(["x.org/a.TestB/c", "x.org/d.TestE"]) == [
        "-run",
        "^(TestB|TestE)$",
        "x.org/a",
        "x.org/d",
    ]
    monkeypatch.chdir(tmp_path)
    for name in ("a.js", "b.js", "node_modules/c.js"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert expanded(["**/*.js", "none*", "-x*"]) == ["a.js", "b.js", "-x*"]
