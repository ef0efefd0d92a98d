"""What is learnt at base_commit, from small repositories in real boxes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.testspec import Baseline, NoBaseline, learn
from sandbox.backends import open_sandbox
from sandbox.contract import Limits, Sandbox
from sandbox.images import prepare
from sandbox.settings import SandboxSettings
from tests.engine import projects

SETTINGS = SandboxSettings(kind="bubblewrap")
LIMITS = SETTINGS.limits()
Learn = Callable[..., Baseline | NoBaseline]


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox("bubblewrap", SETTINGS)


@pytest.fixture
def learnt(sandbox: Sandbox, tmp_path: Path) -> Learn:
    def run(tests: str | None, problem: str = "", limits: Limits = LIMITS) -> Baseline | NoBaseline:
        checkout = projects.receipts(tmp_path / "repo", tests)
        environment = prepare(sandbox, checkout, test_command=None, settings=SETTINGS)
        return learn(sandbox, environment, problem, limits)

    return run


ORDER = """\
import sys
from receipts import discounted, total

seen = []


def test_first():
    seen.append(1)


def test_second():
    assert seen


def test_red():
    assert discounted(200, 10) == 180


def test_other_red():
    assert total([1]) == 2


def test_total():
    assert total([1, 2]) == 3


def test_empty():
    assert total([]) == 0
"""


def test_what_depends_on_order_or_is_red_for_another_reason_is_quarantined_by_name(
    learnt: Learn,
) -> None:
    issue = f"{projects.ISSUE_TITLE}\n\n{projects.ISSUE_BODY}\nIt is in pyproject.toml and atexit."
    baseline = learnt(ORDER, issue)
    assert isinstance(baseline, Baseline)
    assert baseline.flaky == ("test_receipts.py::test_second",)
    assert baseline.quarantined == (
        "test_receipts.py::test_other_red",
        "test_receipts.py::test_red",
        "test_receipts.py::test_second",
    )
    assert baseline.source == "issue"
    assert "test_receipts.py::test_total" in baseline.pass_to_pass
    assert baseline.named == ("atexit", "pyproject.toml")
    assert baseline.canaries


CHAIN = "from receipts import total\nseen = []\n\n" + "\n\n".join(
    f"def test_{n}():\n    assert len(seen) == {n}\n    seen.append(total([{n}]))" for n in range(4)
)


def test_a_suite_that_lives_off_its_order_keeps_its_own(learnt: Learn) -> None:
    baseline = learnt(CHAIN)
    assert isinstance(baseline, Baseline)
    assert len(baseline.pass_to_pass) == 4
    assert baseline.notes == ("its tests depend on their order",)


@pytest.mark.parametrize(("tests", "chosen"), [(ORDER, True), (CHAIN, False)])
def test_no_tests_are_chosen_from_a_long_suite_that_lives_off_its_order(
    tests: str, chosen: bool, learnt: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.testspec.LONG_S", 0.0)
    baseline = learnt(tests)
    assert isinstance(baseline, Baseline)
    assert (baseline.impact is not None) is chosen


NAMED_ANEW = """\
import random
import pytest
from receipts import discounted, total

ANEW = random.randrange(10**9)


@pytest.mark.parametrize("at", [ANEW])
def test_issue_12(at):
    assert discounted(200, 10) == 180


def test_total():
    assert total([1, 2]) == 3


def told():
    assert total([1]) == 2


globals()[f"test_issue_{ANEW}"] = told
"""


def test_what_failing_tests_run_is_learnt_though_names_differ_each_time(
    learnt: Learn, tmp_path: Path
) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "test_utf8.py").write_text(NAMED_ANEW)
    baseline = learnt(None)
    assert isinstance(baseline, Baseline)
    assert baseline.fail_to_pass == (
        "test_utf#.py::test_issue_# (1 test)",
        "test_utf#.py::test_issue_#[#] (1 test)",
    )
    ran = baseline.lines_executed["receipts.py"]
    assert ran & {14}, "what the test with another parameter each time runs"


def test_a_suite_that_writes_its_own_configuration_is_not_called_tampered(learnt: Learn) -> None:
    baseline = learnt(
        projects.TESTS + "\n\ndef test_writes():\n    open('setup.cfg', 'w').write('[x]\\n')\n"
    )
    assert isinstance(baseline, Baseline)
    assert baseline.churn == ("setup.cfg",)
    assert baseline.notes == ("it changes setup.cfg itself",)


def test_a_suite_that_writes_other_files_of_its_own_each_time_is_excused_all(learnt: Learn) -> None:
    baseline = learnt(
        projects.TESTS
        + "\n\ndef test_writes():\n    import uuid\n    open(f'test_{uuid.uuid4().hex}.py', 'w').close()\n"
        + "\n\ndef test_elsewhere(tmp_path_factory):\n    import os\n    os.mkdir('new')\n"
        + "    open('new/conftest.py', 'w').close()\n"
    )
    assert isinstance(baseline, Baseline)
    assert baseline.churn == ("*",)
    assert baseline.notes == ("it changes files of its own tests, others each time",)


def test_a_suite_that_does_not_bear_tests_of_ours_goes_without(
    learnt: Learn, tmp_path: Path
) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef needs_a_home(request):\n"
        "    assert '/repo/' in str(request.fspath)\n"
    )
    baseline = learnt(projects.TESTS)
    assert isinstance(baseline, Baseline)
    assert not baseline.canaries
    assert len(baseline.pass_to_pass) == 2
    assert baseline.notes == ("it does not bear tests of ours",)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("socket.create_connection(('127.0.0.1', 5432))", "a database or another service"),
        ("socket.getaddrinfo('example.org', 443)", "the network"),
        (
            "raise RuntimeError('no display name and no $DISPLAY environment variable')",
            "a display",
        ),
    ],
)
def test_a_suite_that_needs_what_boxes_lack_is_told_so_with_advice(
    learnt: Learn, line: str, name: str
) -> None:
    said = learnt(f"import socket\n\n\ndef test_it():\n    {line}\n")
    assert isinstance(said, NoBaseline)
    assert f"they need {name};" in said.reason
    assert "set `test_command` in .github/evoscale.yml" in said.reason


def test_a_suite_that_takes_an_hour_is_told_how_long_it_may(learnt: Learn) -> None:
    tests = "import time\n\n\ndef test_it():\n    time.sleep(3600)\n"
    said = learnt(tests, "", replace(LIMITS, wall_clock_s=2.0))
    assert isinstance(said, NoBaseline)
    assert "ran out of time at the base commit, after 2 seconds" in said.reason
    assert "EVOSCALE_SANDBOX_WALL_CLOCK_S" in said.reason


def test_a_repository_without_tests_is_told_to_add_one(learnt: Learn) -> None:
    said = learnt(None)
    assert isinstance(said, NoBaseline)
    assert "no test was found in the repository; add one" in said.reason
