"""Which file of a repository a test of Rust or Java is in, and how it is run alone."""

from collections.abc import Mapping, Sequence

import pytest

from sandbox.contract import Limits, Sandbox, TestCommand, TestSpec
from sandbox.planted.files_holding import MOST
from sandbox.recipes.layers import reported
from sandbox.trial import SHOWN
from sandbox.trial.showing import Showing, Tree, order_in, words_of

LIMITS = Limits(wall_clock_s=30.0)
PACKAGE = '[package]\nname = "calc"\nedition = "2021"\n'
TEST = "#[test]\nfn adds() {}\n"
WITHIN = f"mod tests {{ {TEST} }}"
EXAMPLE = "/// ```\n/// calc::add();\n/// ```\npub fn add() {}\n"
CLASS = (
    "package org.example;\nimport org.junit.Test;\nclass CalcTest { @Test public void adds() { } }"
)
NESTED = f"{CLASS[:-1]} class Inner {{ @Test public void adds() {{ }} }} }}"
JAVA_ID = "org.example.CalcTest > adds"
PLACE = "src/test/java/org/example/CalcTest.java"
GRADLE = ["gradle", "--offline", "test"]


@pytest.fixture
def showing(sandbox: Sandbox) -> Sandbox:
    """Where trials are held: nothing in one depends on the back end."""
    if not sandbox.isolation.startswith("bubblewrap"):
        pytest.skip("the trial is the same on every back end")
    return sandbox


def command(runner: str, *words: str) -> TestCommand:
    """A recipe's command."""
    return reported(runner, {"argv": list(words), "select": "none"}, "for a test")


CARGO = command("cargo", "cargo", "test", "--offline", "--workspace")


def shown(
    sandbox: Sandbox, image: str, files: Mapping[str, str], test: str, run: TestCommand = CARGO
) -> list[Showing]:
    """What is shown of a test of these files."""
    spec = TestSpec(image, run)
    with sandbox.open(image, LIMITS) as box:
        for path, text in files.items():
            box.write_file(path, text.encode())
        return list(SHOWN[run.runner](Tree(box, spec), test))


def words(each: Showing, run: TestCommand) -> Sequence[str]:
    """The words of a runner's command that a showing has it run."""
    return words_of(order_in(TestCommand(run.runner, each.argv, "")), "argv")


FOUND = [
    ("tests/whole.rs", TEST, "whole.rs::adds", ["--test", "whole", "--", "--exact", "adds"]),
    ("tests/a-b/main.rs", TEST, "a-b/main.rs::adds", ["--test", "a-b", "--", "--exact", "adds"]),
    ("tests/part/mod.rs", TEST, "whole.rs::part::adds",
     ["--test", "whole", "--", "--exact", "part::adds"]),
    ("src/lib.rs", WITHIN, "src/lib.rs::tests::adds", ["--lib", "--", "--exact", "tests::adds"]),
    ("src/deep.rs", WITHIN, "src/lib.rs::deep::tests::adds",
     ["--lib", "--", "--exact", "deep::tests::adds"]),
    ("src/bin/run/tests.rs", TEST, "src/bin/run/main.rs::tests::adds",
     ["--bins", "--", "--exact", "tests::adds"]),
    ("src/lib.rs", EXAMPLE, "doc calc::src/lib.rs - add (line 1)", ["--doc", "--", "1)"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "test", "chosen"), FOUND)
@pytest.mark.parametrize("folder", ["", "member/"])
def test_the_file_of_a_test_of_rust_is_found_by_its_module(  # a table
    folder: str, path: str, text: str, test: str, chosen: list[str], showing: Sandbox, bare: str
) -> None:
    files = {f"{folder}Cargo.toml": PACKAGE, f"{folder}{path}": text}
    control, twin = shown(showing, bare, files, test)
    assert (control.turned, twin.turned) == (False, True)
    for each in (control, twin):
        assert each.file is not None
        assert each.file.path == f"{folder}{path}"
        assert each.own == (text if path.startswith("src/") and "tests" not in path else None)
        assert words(each, CARGO) == ["cargo", "test", "--offline", "--workspace", *chosen]


@pytest.mark.parametrize(
    ("manifest", "name"),
    [(PACKAGE, "::core::"), (PACKAGE.replace("2021", "2015"), "::std::"),
     ('[package]\nname = "calc"\n', "::std::")],
)  # fmt: skip
def test_the_edition_says_where_rusts_own_names_are(
    manifest: str, name: str, showing: Sandbox, bare: str
) -> None:
    files = {"Cargo.toml": manifest, "tests/whole.rs": TEST, "src/lib.rs": EXAMPLE}
    for test in ("whole.rs::adds", "doc calc::src/lib.rs - add (line 1)"):
        texts = [each.file.text for each in shown(showing, bare, files, test) if each.file]
        assert len(texts) == 2
        assert all(text.count(name) == 2 for text in texts)


UNCLEAR = [
    ({"tests/whole.rs": TEST}, "whole.rs::adds"),
    ({"Cargo.toml": "[workspace]\n", "tests/whole.rs": TEST}, "whole.rs::adds"),
    ({"Cargo.toml": f'{PACKAGE}[[test]]\nname = "b"\npath = "tests/whole.rs"', "tests/whole.rs": TEST},
     "whole.rs::adds"),
    ({"a/Cargo.toml": PACKAGE, "a/src/lib.rs": WITHIN, "b/Cargo.toml": PACKAGE, "b/src/lib.rs": WITHIN},
     "src/lib.rs::tests::adds"),
    ({"Cargo.toml": PACKAGE, "src/tests.rs": TEST, "src/lib.rs": WITHIN}, "src/lib.rs::tests::adds"),
    ({"Cargo.toml": PACKAGE, "src/other.rs": WITHIN}, "src/lib.rs::tests::adds"),
    ({"Cargo.toml": PACKAGE, "examples/one.rs": TEST}, "examples/one.rs::adds"),
    ({"Cargo.toml": PACKAGE, "src/lib.rs": EXAMPLE, "src/b.rs": f"{10 * chr(10)}{EXAMPLE}"},
     "doc calc::src/lib.rs - add (line 1)"),
    ({"Cargo.toml": PACKAGE, "src/lib.rs": EXAMPLE}, "doc calc::src/lib.rs - add (line 2)"),
    ({"Cargo.toml": PACKAGE, "tests/whole.rs": TEST, **{f"a/{n}.rs": TEST for n in range(MOST)}},
     "whole.rs::adds"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "test"), UNCLEAR)
def test_a_test_of_rust_that_may_be_elsewhere_is_untried(
    files: Mapping[str, str], test: str, showing: Sandbox, bare: str
) -> None:
    assert shown(showing, bare, files, test) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--lib", "--locked", "--", "--test-threads=1"], ["--locked"]),
        (["-p", "calc", "--features=a"], ["-p", "calc", "--features=a"]),
        (["--doc"], None),
        (["adds"], None),
    ],
)
def test_options_of_the_owner_that_are_known_stay(
    given: list[str], kept: list[str] | None, showing: Sandbox, bare: str
) -> None:
    run = command("cargo", "cargo", "test", *given)
    files = {"Cargo.toml": PACKAGE, "tests/whole.rs": TEST}
    found = shown(showing, bare, files, "whole.rs::adds", run)
    said = [words(each, run)[2:-5] for each in found]
    assert said == ([] if kept is None else [kept, kept])


@pytest.mark.parametrize(
    ("run", "folder", "said"),
    [
        (command("maven", "mvn", "-o", "-Dtest=Other", "test"), "",
         ["mvn", "-o", "test", "-Dsurefire.failIfNoSpecifiedTests=false", "-Dtest=org.example.CalcTest#adds"]),
        (command("gradle", *GRADLE), "", ["gradle", "--offline", ":test", "--tests", "org.example.CalcTest.adds"]),
        (command("gradle", *GRADLE), "a/b/",
         ["gradle", "--offline", ":a:b:test", "--tests", "org.example.CalcTest.adds"]),
    ],
)  # fmt: skip
def test_a_test_of_java_is_run_by_its_class_and_its_name(
    run: TestCommand, folder: str, said: list[str], showing: Sandbox, bare: str
) -> None:
    files = {f"{folder}{PLACE}": CLASS, "other/CalcTest.java": CLASS.replace("org.", "com.")}
    for test in (JAVA_ID, f"{JAVA_ID}()"):
        found = shown(showing, bare, files, test, run)
        assert [each.turned for each in found] == [False, True]
        assert all(words(each, run) == said for each in found)
        assert {each.file.path for each in found if each.file} == {f"{folder}{PLACE}"}


def test_maven_runs_a_test_of_a_class_within_another(showing: Sandbox, bare: str) -> None:
    run = command("maven", "mvn", "test")
    control, _ = shown(showing, bare, {PLACE: NESTED}, "org.example.CalcTest$Inner > adds", run)
    assert words(control, run)[-1] == "-Dtest=org.example.CalcTest$Inner#adds"


@pytest.mark.parametrize(
    ("files", "test", "words"),
    [
        ({PLACE: CLASS}, "org.example.CalcTest > adds[1]", GRADLE),
        ({PLACE: CLASS}, "org.example.CalcTest$Inner > adds", GRADLE),
        ({PLACE: NESTED}, "org.example.CalcTest$Inner > adds", GRADLE),
        ({PLACE: CLASS, f"a/{PLACE}": CLASS}, JAVA_ID, GRADLE),
        ({PLACE: CLASS, "settings.gradle": "project(':a').projectDir = file('b')"}, JAVA_ID, GRADLE),
        ({PLACE.replace("test/java", "it/java"): CLASS}, JAVA_ID, GRADLE),
        ({PLACE: CLASS}, JAVA_ID, ["gradle", "check"]),
    ],
)  # fmt: skip
def test_a_test_of_java_that_may_be_elsewhere_is_untried(
    files: Mapping[str, str], test: str, words: list[str], showing: Sandbox, bare: str
) -> None:
    assert shown(showing, bare, files, test, command("gradle", *words)) == []
