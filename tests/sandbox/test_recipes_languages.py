"""Small repositories of ours, in real boxes; a toolchain that the machine lacks is a skip."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Limits, Sandbox, TestReport, TestSpec, TestStatus
from sandbox.errors import ImageBuildError
from sandbox.recipes import gradle_home, run_reported
from sandbox.recipes.java import JavaRecipe, required
from sandbox.recipes.run_reported import (
    collected,
    expanded,
    files_of,
    go_arguments,
    gradle_arguments,
    maven_arguments,
)
from sandbox.recipes.rust import RustRecipe
from sandbox.reports import read_report
from sandbox.runner import run_tests
from sandbox.settings import MIB
from tests.sandbox.conftest import WriteRepository, settings

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
LIMITS = Limits(wall_clock_s=300.0, memory_bytes=1536 * MIB)
PASSED, SKIPPED = TestStatus.PASSED, TestStatus.SKIPPED
JAVA = {
    "org.example.WordsTest > caseDoesNotMatter": PASSED,
    "org.example.WordsTest > nothingHasNoWords": PASSED,
    "org.example.WordsTest > later": SKIPPED,
}
EXPECTED = {
    "java/maven": JAVA,
    "java/gradle": JAVA,
    "go/words": {
        "example.org/words.TestCount": PASSED,
        "example.org/words.TestCount/one_One": PASSED,
        "example.org/words.TestCount/one__ONE": PASSED,
        "example.org/words.TestNothing": PASSED,
        "example.org/words.TestLater": SKIPPED,
    },
    "rust/words": {
        "src/lib.rs::tests::later": SKIPPED,
        "src/lib.rs::tests::nothing_has_no_words": PASSED,
        "whole.rs::case_does_not_matter": PASSED,
        "doc words::src/lib.rs - count (line 7)": PASSED,
    },
    "javascript/words": {
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
    report = tried(sandbox, REPOSITORIES / language)
    assert report.ran, report.log_tail
    assert dict(report.statuses) == EXPECTED[language]


def test_one_go_test_can_be_run_alone(sandbox: Sandbox) -> None:
    wanted = ("example.org/words.TestCount/one_One",)
    report = tried(sandbox, REPOSITORIES / "go" / "words", wanted)
    assert set(wanted) <= set(report.statuses) <= set(EXPECTED["go/words"])
    assert "example.org/words.TestNothing" not in report.statuses


def test_a_class_of_java_can_be_run_alone(sandbox: Sandbox) -> None:
    wanted = ("org.example.WordsTest > caseDoesNotMatter",)
    report = tried(sandbox, REPOSITORIES / "java" / "maven", wanted)
    assert set(wanted) <= set(report.statuses) <= set(JAVA), report.log_tail


def test_a_java_project_that_does_not_compile_has_no_report(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    pom = (REPOSITORIES / "java" / "maven" / "pom.xml").read_text()
    broken = "package org.example;\n\nclass Words { int f() { return nothing; } }\n"
    stale = '<testsuite name="old"><testcase name="t"/></testsuite>'
    files = {
        "pom.xml": pom,
        "src/main/java/org/example/Words.java": broken,
        "target/surefire-reports/TEST-old.xml": stale,
    }
    report = tried(sandbox, write_repository(files))
    assert not report.ran
    assert not report.statuses
    assert "nothing" in report.log_tail


def test_artifacts_that_this_machine_lacks_are_a_reason(write_repository: WriteRepository) -> None:
    pom = (REPOSITORIES / "java" / "maven" / "pom.xml").read_text()
    root = write_repository({"pom.xml": pom.replace("4.13.2", "99.1")})
    with pytest.raises(ImageBuildError, match=r"lacks junit:junit:99\.1; install"):
        JavaRecipe().dependencies(root)


@pytest.mark.parametrize(
    ("group", "name", "version"),
    [
        (".etc", "ssl", "certs"),
        ("org", "..", "x"),
        ("org", "x", ".."),
        ("org", "../x", "[1,2)"),
        ("org", "/etc", "(1,2)"),
        ("org", "x", "${version}"),
        ("a.", "x", "1"),
    ],
)
def test_coordinates_that_are_paths_are_not_looked_for(
    write_repository: WriteRepository, group: str, name: str, version: str
) -> None:
    plain = pom("org.example", "plain-a_b", "1.0+x.y-2")
    found = required(write_repository({"pom.xml": pom(group, name, version)}))
    assert found == []
    (kept,) = required(write_repository({"pom.xml": plain}))
    assert kept == ("org.example", "plain-a_b", "1.0+x.y-2")


def pom(group: str, name: str, version: str) -> str:
    parts = f"<groupId>{group}</groupId><artifactId>{name}</artifactId>"
    inner = f"<dependency>{parts}<version>{version}</version></dependency>"
    return f"<project><dependencies>{inner}</dependencies></project>"


def test_a_gradle_that_looks_in_fixed_places_is_told_its_own(tmp_path: Path) -> None:
    def constant(text: str) -> bytes:
        return b"\x01" + len(text).to_bytes(2, "big") + text.encode()

    jar = tmp_path / "opt/env/gradle/lib/gradle-core-api-4.4.1.jar"
    jar.parent.mkdir(parents=True)
    place = "org/gradle/internal/installation/Locator.class"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr(place, b"(" + constant("/usr/share/gradle") + b")")
        archive.writestr("other", b"/usr/share/gradle")
    gradle_home.relocate(tmp_path)
    with zipfile.ZipFile(jar) as archive:
        assert archive.read(place) == b"(" + constant("/opt/env/gradle") + b")"
        assert archive.read("other") == b"/usr/share/gradle"


def test_nextest_is_taken_where_the_owner_asks_for_it_and_reports_as_xml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = REPOSITORIES / "rust" / "words"
    wanted = ("cargo", "nextest", "run", "--workspace")
    (command,) = RustRecipe().commands(root, wanted)
    assert command.runner == "nextest"
    assert "--tool-config-file" in command.argv[-2]
    program = tmp_path / ".cargo" / "bin" / "cargo-nextest"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RustRecipe().commands(root, None)[0].runner == "cargo", "nextest believes any exit"
    report = (
        b'<?xml version="1.0"?><testsuites name="nextest-run"><testsuite name="words" tests="2">'
        b'<testcase name="tests::one" classname="words" time="0.1"/>'
        b'<testcase name="tests::two" classname="words"><failure type="test failure">panicked</failure>'
        b"</testcase></testsuite></testsuites>"
    )
    outcomes = read_report("nextest", report, 100)
    assert outcomes.ran
    assert outcomes.statuses == {
        "words > tests::one": PASSED,
        "words > tests::two": TestStatus.FAILED,
    }


def test_several_reports_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.xml").write_text('<?xml version="1.0"?>\n<testsuite name="b"/>')
    (tmp_path / "a.xml").write_text('<testsuite name="a"/>')
    (tmp_path / "link.xml").symlink_to("/etc/hostname")
    joined = collected(["*.xml"])
    assert joined.startswith(b'<testsuites><testsuite name="a"/>')
    assert joined.count(b"<testsuite ") == 2
    assert b"<?xml" not in joined
    assert maven_arguments(["a.B > c", "a.B > d", "e.F > g"]) == ["-Dtest=a.B,e.F"]
    assert gradle_arguments(["a.B > c", "a.B > d"]) == ["--tests", "a.B"]


FAILING = '<testsuite><testcase name="b"><failure/></testcase></testsuite>'


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("<testsuite/><!--", "--><testsuite/>"),
        ("\ufeff<testsuites><!--", "--></testsuites>"),
        ("<testsuite><![CDATA[", "]]></testsuite>"),
        ("<testsuite><a b='", "'/></testsuite>"),
        ("<testsuites><?hide ", "?></testsuites>"),
    ],
)
def test_a_report_file_cannot_hide_what_another_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, last: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("a", first), ("b", FAILING), ("z", last)):
        (tmp_path / f"TEST-{name}.xml").write_text(text, encoding="utf-8")
    assert collected(["TEST-*.xml"]) == b""


def test_a_mark_of_the_byte_order_is_no_reason_against_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.xml").write_text(f"\ufeff{FAILING}", encoding="utf-8")
    (tmp_path / "b.xml").write_text("<testsuite/>")
    assert read_report("junit", collected(["*.xml"]), 1).statuses == {"b": TestStatus.FAILED}


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


def test_where_no_test_can_be_chosen_the_whole_suite_is_run(tmp_path: Path):
    report = tmp_path / "report"
    says = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(' '.join(sys.argv[2:]))"
    argv = [sys.executable, "-c", says, str(report)]
    order = {"argv": argv, "select": "none", "all": ["everything"], "report": str(report)}
    program = [sys.executable, run_reported.__file__, json.dumps(order), "one test"]
    subprocess.run(program, check=True)
    assert report.read_text() == "everything"
