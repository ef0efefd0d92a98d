"""Every attack on every back end: contained, named, cleaned up, the next candidate unharmed.

The attacks are tables in the modules beside this one and in `sandbox.conformance.hostile`. They run with the policy lifted, because that
is when the walls and the verdict have to hold; what the policy says to them is checked as well.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox import images
from sandbox.conformance.hostile import (
    ENDS_GVISORS_BOX,
    IN_GVISOR,
    LEFT,
    gone_through,
    in_gvisor,
    verdict_of,
    what_is_said,
)
from sandbox.conformance.hostile.attack import HONEST, Attack, BadPatch
from sandbox.conformance.hostile.fakes import FAKES
from sandbox.conformance.hostile.goals import LISTENING, OUTSIDE, REACHES, Goal
from sandbox.conformance.hostile.patches import BAD_PATCHES
from sandbox.conformance.hostile.plants import STATE, WAY_OUT
from sandbox.conformance.hostile.walls import USES_UP
from sandbox.contract import Box, Patch, Sandbox, TestSpec
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.grading import grade
from sandbox.owners import labels
from sandbox.policy import check_patch
from sandbox.runner import run_tests
from sandbox.trial import blind_trial
from tests.sandbox.conftest import LIMITS, WriteRepository, body, settings
from tests.sandbox.hostile.fakes import BEYOND, PLAIN, SPARING
from tests.sandbox.plain_user import as_root, plain_user

ALWAYS_IN_GVISOR = (
    "test_nothing_outside_is_reached",
    "test_an_attack_on_the_box_is_contained_named_and_gone",
    "test_made_up_results_are_seen_through",
)
"""Run on Docker's runsc unasked, where the engine has it; the rest with `--every-back-end`."""
ALWAYS_IN_OWN_GVISOR = ("test_nothing_outside_is_reached",)
"""The same for gVisor without an engine."""
ALWAYS_AS_PLAIN_USER = "not blind_trial"
PLAIN_USER_S = 1200.0
ROOT = Path(__file__).parents[3]
WALLS = (*USES_UP, *WAY_OUT, *STATE)


def name_of(attack: object) -> str:
    return (
        attack.name.replace(" ", "_")
        if isinstance(attack, Attack | BadPatch | Goal)
        else str(attack)
    )


@pytest.fixture(scope="module")
def neighbour(sandbox: Sandbox, calc: TestSpec) -> Iterator[Box]:
    """Another candidate's box, open all the while, with something to steal in it."""
    with sandbox.open(calc.image, LIMITS) as box:
        box.write_file("/tmp/neighbours-secret", b"secret")
        box.write_file("neighbours-secret", b"secret")
        yield box


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A socket of this machine that has no file."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(LISTENING)
        listening.listen()
        yield listening


def boxes_left(sandbox: Sandbox, stack: ExitStack) -> list[str]:
    """What this process still holds of boxes: containers of its own, and its own children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    left = [c for c in children if Path(f"/proc/{c}/comm").read_text().strip() != "cat"]
    if sandbox.isolation.startswith("docker"):
        client = stack.enter_context(Engine("runc").asked())
        owner = f"evoscale.owner={labels(0, 0)['evoscale.owner']}"
        left += [str(c["Id"]) for c in client.containers(all=True, filters={"label": owner})]
    return left


@pytest.fixture(scope="module")
def outside(sandbox: Sandbox, calc: TestSpec, neighbour: Box, listener: socket.socket) -> str:
    """What code in a box says of all it tried to reach."""
    assert neighbour.exec(["sleep", "0"]).exit_code == 0
    assert listener.getsockname() == LISTENING.encode()
    assert REACHES.policy in (check_patch(REACHES.patch) or "")
    return verdict_of(run_tests(sandbox, calc, REACHES.patch, LIMITS, allowed=["*"]))


@pytest.mark.parametrize("goal", OUTSIDE, ids=name_of)
def test_nothing_outside_is_reached(goal: Goal, outside: str, sandbox: Sandbox) -> None:
    said = re.search(rf"{REACHES.said}(\[.*?\])", outside)
    assert said, outside
    expected = in_gvisor(sandbox) and goal.name in IN_GVISOR
    assert (repr(goal.name) in said[1]) == expected


@pytest.mark.parametrize("attack", WALLS, ids=name_of)
def test_an_attack_on_the_box_is_contained_named_and_gone(
    attack: Attack, sandbox: Sandbox, calc: TestSpec, neighbour: Box
) -> None:
    refused = check_patch(attack.patch)
    assert attack.policy is None or attack.policy in (refused or "")
    with ExitStack() as stack:
        before = boxes_left(sandbox, stack)
        report = run_tests(sandbox, calc, attack.patch, attack.limits, allowed=["*"])
        assert boxes_left(sandbox, stack) == before
    assert not gone_through(report)
    fix = attack.fix and not (in_gvisor(sandbox) and attack.name in ENDS_GVISORS_BOX)
    assert grade(calc, report).resolved == fix, verdict_of(report)
    assert re.search(what_is_said(attack, sandbox), verdict_of(report)), verdict_of(report)
    if attack.harms:
        assert neighbour.exec(["echo", "alive"]).output == b"alive\n"
        with sandbox.open(calc.image, LIMITS) as box:
            assert box.exec(["python3", "-c", LEFT]).output.strip() == b""


@pytest.mark.parametrize("attack", FAKES, ids=name_of)
def test_made_up_results_are_seen_through(attack: Attack, sandbox: Sandbox, calc: TestSpec) -> None:
    assert check_patch(attack.patch) is None, "it hides from the policy, or it shows nothing here"
    report = run_tests(sandbox, calc, attack.patch, LIMITS)
    graded = grade(calc, report)
    assert not graded.resolved
    assert not graded.no_regression
    assert re.search(attack.said, verdict_of(report)), verdict_of(report)


@pytest.mark.parametrize("attack", [*SPARING, *BEYOND], ids=name_of)
def test_what_fools_the_first_verdict_is_shown_to_the_blind_trial(
    attack: Attack, sandbox: Sandbox, calc: TestSpec
) -> None:
    assert check_patch(attack.patch) is None
    report = run_tests(sandbox, calc, attack.patch, LIMITS)
    assert grade(calc, report).resolved == attack.fooled, verdict_of(report)
    trial = blind_trial(sandbox, calc, attack.patch, LIMITS)
    assert trial.tried == calc.fail_to_pass
    assert (trial.failure is None) == attack.trial_fooled, "docs/security.md says which get through"


def test_an_honest_fix_passes_the_blind_trial(sandbox: Sandbox, calc: TestSpec) -> None:
    fix = Attack("honest", HONEST).patch
    assert blind_trial(sandbox, calc, fix, LIMITS).failure is None


@pytest.mark.parametrize(("line", "word"), PLAIN.items())
def test_a_fake_that_is_spelt_plainly_is_refused_by_name(line: str, word: str) -> None:
    assert word in (check_patch(body(line)) or "")


@pytest.mark.parametrize("bad", BAD_PATCHES, ids=name_of)
def test_a_bad_patch_is_refused_before_anything_runs(
    bad: BadPatch, sandbox: Sandbox, calc: TestSpec
) -> None:
    report = run_tests(sandbox, calc, Patch(bad.patch), LIMITS)
    assert re.search(bad.said, report.refused or "")
    assert not report.applied
    assert not grade(calc, report).no_regression


ODD = {
    "calc/__init__.py": HONEST,
    "-rf": "a name like an option\n",
    "--help.py": "x = 1\n",
    "a\nb.py": "y = 1\n",
    "tests/-x/test_dash.py": "def test_a():\n    pass\n",
    "tests/test_odd.py": (
        "import pytest\n\n\n@pytest.mark.parametrize('word', ['a\\nb', '-rf', ' ', '::', '\\x1b[31m', 'é'])\n"
        "def test_word(word):\n    assert word\n"
    ),
}


def test_names_with_newlines_and_dashes_are_names(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(ODD)
    (root / "way").symlink_to("tests")
    environment = images.prepare(sandbox, root, test_command=None, settings=settings())
    spec = TestSpec(environment.image, environment.command)
    report = run_tests(sandbox, spec, None, LIMITS)
    assert report.ran
    assert len(report.statuses) == 7
    again = run_tests(sandbox, spec, None, LIMITS, tests=sorted(report.statuses))
    assert again.statuses == report.statuses
    behind = Patch("--- /dev/null\n+++ b/way/helpers.py\n@@ -0,0 +1 @@\n+x = 1\n")
    assert run_tests(sandbox, spec, behind, LIMITS).log_tail == "way/helpers.py: lies behind a link"


def test_a_back_end_that_is_not_there_is_no_verdict(sandbox: Sandbox) -> None:
    spec = TestSpec("no-such-image", command=images.TestCommand("pytest", ("pytest",), "test"))
    with pytest.raises(SandboxUnavailableError):
        run_tests(sandbox, spec, None, LIMITS)


@as_root
@pytest.mark.timeout(PLAIN_USER_S)
def test_a_plain_users_boxes_hold_as_well(request: pytest.FixtureRequest) -> None:
    whole = request.config.getoption("--every-back-end")
    chosen = "bubblewrap" if whole else f"bubblewrap and {ALWAYS_AS_PLAIN_USER}"
    with plain_user() as user:
        done = user.run(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-rf",
            f"--rootdir={ROOT}", f"-c={ROOT / 'pyproject.toml'}", "-k", chosen, __file__,
            timeout_s=PLAIN_USER_S,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\n\d+ passed", done.stdout), done.stdout[-1000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
