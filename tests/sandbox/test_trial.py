"""The blind trial in real boxes: what tells nothing counts as untried, and never as tampering."""

from dataclasses import replace

import pytest

from sandbox.contract import Limits, Patch, Sandbox, TestCommand, TestFile, TestSpec
from sandbox.trial import Trial, blind_trial

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
    if sandbox.isolation != "bubblewrap":
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
