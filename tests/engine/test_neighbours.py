"""One search in a repository of several projects: whose tests run, and what they keep from being offered."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from engine.contract import NoPatch, Patched
from engine.neighbours import MOST_ASKED, STOPPED, Asked, Neighbour, neighbours, touched
from engine.orders import Errand, Orders
from engine.pipeline import repair
from engine.repo_config import parse
from engine.workshop import ANSWER, Checked, order_name
from sandbox.contract import Box, Limits, Patch, Sandbox
from tests.engine import projects
from tests.engine.test_pipeline import Made, made

__all__ = ["made"]

CONFIG = "projects:\n  till: {language: python}\n  shop: {language: python}\n"
RED = (
    "import sys\nfrom pathlib import Path\n\n"
    'sys.path.insert(0, str(Path(__file__).parent.parent / "till"))\n'
    + projects.TESTS.replace("\n\n\n", "\nfrom till import change\n\n\n", 1)
    + "\n\ndef test_discount():\n    assert change(discounted(200, 10), 0) == 180\n"
)
TILL = "def change(paid, price):\n    return paid - price\n"
TILL_TESTS = "from till import change\n\n\ndef test_change():\n    assert change(5, 3) == 2\n"
ISSUE = "A discount of 10 percent adds 10 percent: discounted(200, 10) should be 180."
FIX = projects.FIX.replace("### receipts.py", "### shop/receipts.py")
EDIT = (
    "### till/till.py\n<<<<<<< SEARCH\n    return paid - price\n=======\n    {}\n>>>>>>> REPLACE\n"
)
BREAKS_TILL = FIX + EDIT.format("return paid - 2 * price")
KEEPS_TILL = FIX + EDIT.format("return -(price - paid)")
LIES = (
    '### shop/receipts.py\n<<<<<<< SEARCH\n"""Adds up receipts."""\n=======\n'
    'import importlib\n\nreports = importlib.import_module("_py" + "test.reports")\n'
    "original = reports.TestReport.from_item_and_call.__func__\n\n\n"
    "def lie(cls, item, call):\n    if item.nodeid.startswith('shop/te' + 'st_'):\n"
    "        call.excinfo = None\n    return original(cls, item, call)\n\n\n"
    "reports.TestReport.from_item_and_call = classmethod(lie)\n>>>>>>> REPLACE\n"
)
CHANGE = (
    "--- a/{file}\n+++ b/{file}\n@@ -1,2 +1,2 @@\n def change(paid, price):\n"
    "-    return paid - price\n+    return -(price - paid)\n"
)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Two projects, of which the second has a red test."""
    root = tmp_path / "market"
    projects.receipts(root / "shop", RED)
    projects.receipts(root / "till", TILL_TESTS)
    (root / "till/receipts.py").unlink()
    (root / "till/test_receipts.py").rename(root / "till/test_till.py")
    (root / "till/till.py").write_text(TILL)
    return root


def test_a_patch_that_breaks_another_project_is_not_offered_and_the_next_is(
    made: Made, market: Path
) -> None:
    bench = made(market, body=ISSUE, config=CONFIG)
    outcome = repair(bench.request, bench.engine([[BREAKS_TILL], [FIX]]))
    assert isinstance(outcome, Patched), outcome
    assert bench.store.candidates(bench.job.job_id)[0].patch, "the first was tested too"
    assert outcome.evidence.resolved
    assert "till" not in outcome.patch
    assert outcome.evidence.project == "shop", "the issue names none, its code lies there"
    assert outcome.evidence.beside == ()
    assert outcome.evidence.trial.startswith("1 of 1 passed alone")


def test_a_patch_that_breaks_another_project_alone_ends_the_search_with_that_reason(
    made: Made, market: Path
) -> None:
    bench = made(market, body=ISSUE, config=CONFIG)
    outcome = repair(bench.request, bench.engine([[BREAKS_TILL]]))
    assert isinstance(outcome, NoPatch)
    broken = "it touches 'till' and breaks 1 tests there: till/test_till.py::test_change"
    assert broken in outcome.reason


def test_a_patch_that_keeps_both_projects_says_so(made: Made, market: Path) -> None:
    bench = made(market, body=ISSUE, config=CONFIG)
    outcome = repair(bench.request, bench.engine([[KEEPS_TILL]]))
    assert isinstance(outcome, Patched), outcome
    assert outcome.evidence.beside == ("till: 1 of 1 tests that passed before pass",)


def test_a_project_whose_image_is_built_anew_is_run_anew(
    made: Made, market: Path, tmp_path: Path
) -> None:
    (market / "till/test_till.py").write_text(TILL_TESTS + "\n# built twice\n")
    bench, shelf = made(market, body=ISSUE, config=CONFIG), tmp_path / "shelf"
    patch = Patch(CHANGE.format(file="till/till.py"))
    asked = Asked(bench.sandbox, bench.settings, market, patch, frozenset(), shelf, lambda: False)

    def said() -> str:
        (till,) = neighbours(parse(CONFIG), "shop", asked)
        return till.said

    fresh = "till: 1 of 1 tests that passed before pass"
    assert said() == fresh
    (entry,) = shelf.iterdir()
    entry.write_text(entry.read_text().replace('::test_change":"PASSED"', '::test_old":"PASSED"'))
    assert said() == "till: 0 of 1 tests that passed before pass", "what is kept is read"
    image = entry.name.rpartition("-")[0]
    (stored,) = (each.name for each in bench.sandbox.images() if image in each.name)
    assert bench.sandbox.discard(stored)
    assert said() == fresh


def many(folder: Path, count: int) -> tuple[Path, str, Patch]:
    """A repository of `shop` and so many others, its settings, and a patch for all others."""
    names = [f"till{n}" for n in range(count)]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "till.py").write_text(TILL)
    config = "projects: {shop: {}, " + ", ".join(f"{name}: {{}}" for name in names) + "}\n"
    return folder, config, Patch("".join(CHANGE.format(file=f"{n}/till.py") for n in names))


def test_a_patch_that_touches_too_many_projects_is_told_so_and_none_is_asked(
    made: Made, tmp_path: Path
) -> None:
    root, config, patch = many(tmp_path / "many", MOST_ASKED + 1)
    bench, shelf = made(), tmp_path / "shelf"
    asked = Asked(bench.sandbox, bench.settings, root, patch, frozenset(), shelf, lambda: False)
    (only,) = neighbours(parse(config), "shop", asked)
    assert only.against == (
        f"it touches 'till{MOST_ASKED}', whose tests cannot be run: "
        f"the patch touches {MOST_ASKED + 1} other projects; at most {MOST_ASKED} are asked"
    )


class Noting:
    """The real sandbox, which says what it is at."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.opened, self.building = sandbox, 0, False

    def open(self, image: str, limits: Limits) -> AbstractContextManager[Box]:
        self.opened += 1
        return self.sandbox.open(image, limits)

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        self.building = "sleep" in " ".join(script)
        self.sandbox.build(image, base, layer, script)

    def __getattr__(self, name: str) -> object:
        return getattr(self.sandbox, name)


@pytest.mark.parametrize("at", ["build", "run"])
def test_a_stop_ends_the_first_projects_build_or_run(
    made: Made, market: Path, tmp_path: Path, at: str
) -> None:
    steps = "install: [sleep infinity]" if at == "build" else "test_command: sleep infinity"
    config = parse(f"projects: {{shop: {{}}, till: {{{steps}}}, till2: {{}}}}")
    bench, shelf = made(), tmp_path / "shelf"
    noting = Noting(bench.sandbox)
    patch = Patch(CHANGE.format(file="till/till.py") + CHANGE.format(file="till2/till.py"))

    def stopped() -> bool:
        return noting.building if at == "build" else noting.opened == 2  # first for its notes

    asked = Asked(noting, bench.settings, market, patch, frozenset(), shelf, stopped)
    (till,) = neighbours(config, "shop", asked)
    assert (till.path, till.obstacle) == ("till", STOPPED)


def test_a_patch_that_a_trial_fails_costs_no_look_at_other_projects(
    made: Made, market: Path
) -> None:
    bench = made(market, body=ISSUE, config=CONFIG)
    lies = LIES + EDIT.format("return paid - 2 * price")
    outcome = repair(bench.request, bench.engine([[lies]]))
    assert isinstance(outcome, NoPatch), outcome
    answer = Orders(bench.database).answered(bench.job.job_id, order_name(Errand.CHECK, (0, 0)))
    checked = ANSWER.validate_json(answer or "")
    assert isinstance(checked, Checked)
    assert checked.trial is not None
    assert "turned around so that it can only fail" in (checked.trial.failure or "")
    assert checked.neighbours == ()


def test_a_file_belongs_to_the_innermost_project_and_to_no_other() -> None:
    config = parse("projects: {a: {}, a/b: {}, c: {}}")
    names = ("a/x.py", "a/b/y.py", "ab/z.py", "w.py")
    patch = Patch("".join(f"--- a/{n}\n+++ b/{n}\n@@ -1 +1 @@\n-1\n+2\n" for n in names))
    assert touched(config, "c", patch) == ("a", "a/b")
    assert touched(config, "a", patch) == ("a/b",)
    assert touched(config, ".", patch) == ()


def test_a_project_whose_tests_cannot_be_run_speaks_against_the_patch() -> None:
    assert Neighbour(path="a", kept=2, of=2).against is None
    said = Neighbour(path="a", obstacle="no tests").against
    assert said == "it touches 'a', whose tests cannot be run: no tests"
