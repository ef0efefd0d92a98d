"""The blind trial in real boxes: what tells nothing counts as untried, and never as tampering."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sandbox.contract import Limits, Patch, Sandbox, TestCommand, TestFile, TestSpec
from sandbox.recipes.layers import reported
from sandbox.runner import lay
from sandbox.trial import Trial, blind_trial, go, python
from sandbox.trial.showing import Showing, Tree
from sandbox.twins.tokens import MOST_CHARS

LIMITS = Limits(wall_clock_s=30.0)
TEST = "test_calc.py::test_adds"
NAMED = Patch("--- /dev/null\n+++ b/named.txt\n@@ -0,0 +1,1 @@\n+text\n")
PASSES = ("true",)
PASSES_WITH_THE_PATCH = ("test", "-e", "named.txt")


def spec_of(image: str, argv: tuple[str, ...]) -> TestSpec:
    """A suite of one test that is run by this command."""
    command = TestCommand("pytest", argv, "for a test")
    file = TestFile("test_calc.py", "def test_adds():\n    assert add(1, 2) == 3\n")
    return TestSpec(image, command, fail_to_pass=(TEST,), files=(file,))


@pytest.fixture
def showing(sandbox: Sandbox) -> Sandbox:
    """Where trials are held: nothing in one depends on the back end."""
    if not sandbox.isolation.startswith("bubblewrap"):
        pytest.skip("the trial is the same on every back end")
    return sandbox


def test_a_command_that_runs_no_test_leaves_it_untried(showing: Sandbox, bare: str) -> None:
    trial = blind_trial(showing, spec_of(bare, PASSES), NAMED, LIMITS)
    assert trial == Trial(untried=(TEST,))
    assert trial.said == "no test could be turned around"


def test_tests_known_by_shape_are_counted_and_take_no_place(showing: Sandbox, bare: str) -> None:
    shapes = tuple(f"test_calc.py::test_{letter}[#]" for letter in "abcdef")
    known = tuple(f"{shape} (4 tests)" for shape in shapes)
    spec = spec_of(bare, PASSES_WITH_THE_PATCH)
    spec = replace(spec, fail_to_pass=(*known, TEST), masked=shapes)
    trial = blind_trial(showing, spec, NAMED, LIMITS)
    assert (trial.tried, trial.untried) == ((TEST,), known)


def test_a_twin_that_passes_for_the_patch_alone_is_tampering(showing: Sandbox, bare: str) -> None:
    trial = blind_trial(showing, spec_of(bare, PASSES_WITH_THE_PATCH), NAMED, LIMITS)
    assert trial.tried == (TEST,)
    assert "can only fail" in (trial.failure or "")


def test_a_test_that_only_its_edit_breaks_is_untried(showing: Sandbox, bare: str) -> None:
    path, test = "calc.test.js", "calc.test.js > adds"
    minds = ["sh", "-c", f"! grep -q async {path}"]
    command = reported("jest", {"argv": minds, "select": "files"}, "for a test")
    file = TestFile(path, "test('adds', () => { expect(add(1, 2)).toBe(3) })\n")
    spec = TestSpec(bare, command, fail_to_pass=(test,), files=(file,))
    assert blind_trial(showing, spec, NAMED, LIMITS) == Trial(untried=(test,))


def test_a_file_is_laid_as_it_was_whatever_its_encoding(showing: Sandbox, bare: str) -> None:
    text = b"func \xe9"
    with showing.open(bare, LIMITS) as box:
        box.write_file("calc_test.go", text)
        tree = Tree(box, TestSpec(bare, TestCommand("go", ("go", "test"), "for a test")))
        read = tree.read("calc_test.go")
        assert read is not None
        edited = Showing("t", (), TestFile("calc_test.go", "edited"), turned=False, source=read)
        unedited = edited.unedited()
        assert unedited is not None
        assert unedited.file is not None
        assert lay(box, (), [unedited.file]) is None
        assert box.read_file("calc_test.go", len(text) + 1) == text


@pytest.mark.parametrize(("path", "laid"), [("test_calc.py", True), ("product.py", False)])
def test_a_test_of_python_is_laid_as_its_twins_are(
    path: str, laid: bool, showing: Sandbox, bare: str
) -> None:
    text = "def test_adds():\n    assert add(1, 2) == 3\n"
    with showing.open(bare, LIMITS) as box:
        box.write_file(path, text.encode())
        spec = TestSpec(bare, TestCommand("pytest", ("pytest", "{tests}"), "for a test"))
        first, *twins = python.showings(Tree(box, spec), f"{path}::test_adds")
    assert first.file == (TestFile(path, text) if laid else None)
    assert [each.turned for each in twins] == [True, True]


GO_TEST = "package calc\n\nfunc TestAdds(t *testing.T) {\n}\n"
LINUX_ONLY = f"//go:build linux\n\n{GO_TEST}"
ELSEWHERE = {"other/calc_test.go": GO_TEST}
UNCLEAR = [
    {"calc_darwin_test.go": GO_TEST},
    {"calc_linux_arm64_test.go": GO_TEST},
    {"calc_test.go": LINUX_ONLY},
    {"calc_test.go": f"// +build !windows\n\n{GO_TEST}"},
    {"_calc_test.go": GO_TEST},
    {"calc_test.go": GO_TEST, "calc_darwin_test.go": GO_TEST},
    {"a_test.go": GO_TEST, "b_test.go": GO_TEST.replace("package calc", "package calc_test")},
]


def shown_of_go(sandbox: Sandbox, image: str, files: Mapping[str, str]) -> list[str]:
    """The files that are edited to show the test of the package in the top folder."""
    command = reported("go", {"argv": ["go", "test"], "select": "go"}, "for a test")
    with sandbox.open(image, LIMITS) as box:
        for path, text in {"go.mod": "module example.org/calc\n", **files}.items():
            box.write_file(path, text.encode())
        found = go.showings(Tree(box, TestSpec(image, command)), "example.org/calc.TestAdds")
        return [each.file.path for each in found if each.file is not None]


@pytest.mark.parametrize("name", ["calc_test.go", "linux_test.go", "calc_more_test.go"])
def test_the_one_file_that_declares_a_test_in_its_package_is_edited(
    name: str, showing: Sandbox, bare: str
) -> None:
    assert shown_of_go(showing, bare, {name: GO_TEST, **ELSEWHERE}) == [name, name]


@pytest.mark.parametrize("files", UNCLEAR, ids="+".join)
def test_a_test_of_go_that_may_not_be_compiled_is_untried(
    files: Mapping[str, str], showing: Sandbox, bare: str
) -> None:
    assert shown_of_go(showing, bare, {**files, **ELSEWHERE}) == []


def test_a_line_that_says_when_to_build_is_looked_for_in_one_go() -> None:
    blank = "\n" * MOST_CHARS  # if each had the rest read again, it would take a minute
    for line in ("//go:build linux\n", " // +build linux\n"):
        assert go.CONSTRAINED.search(f"{blank}{line}") is not None
    assert go.CONSTRAINED.search(f"{blank}/ /+build linux") is None
