import shutil
from dataclasses import replace

import pytest

from engine.errors import BadInputError
from engine.training.benchmark import run_benchmark
from engine.training.executable import Example, write_tasks
from engine.training.mutants import HELD_OUT_KINDS, SEEN_KINDS, read_mutants, search_tasks
from engine.training.outcomes import Boxes
from engine.training.search import Search, numbered, proposer_of
from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.settings import SandboxSettings
from tests.engine.training.test_executable import TASK

MUTANT = replace(TASK, split="test", problem_statement="double is wrong\n\nmore")


@pytest.fixture(scope="module")
def boxes() -> Boxes:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    sandbox = BubblewrapSandbox(SandboxSettings())
    return Boxes(sandbox, images.bare(sandbox))


def test_a_bug_of_a_kind_that_is_held_out_is_counted_apart(boxes):
    other = replace(MUTANT, instance_id="b", kind="swapped_bodies")
    pairs = numbered([MUTANT, other], None, 0)
    tasks, _ = search_tasks(pairs, boxes, frozenset({"swapped_bodies"}))
    assert [task.subset for task in tasks] == [SEEN_KINDS, HELD_OUT_KINDS]
    assert [task.group for task in tasks] == ["p", "p"]


def test_visible_examples_choose_and_all_of_them_judge(boxes):
    _, check = search_tasks([(0, MUTANT)], boxes, frozenset())
    careless = "def double(x):\n    return x * 2 if x else 0"
    asked = [("a", [MUTANT.source, MUTANT.fixed, careless]), ("a", [MUTANT.fixed])]
    assert check(asked, hidden=False) == [[False, True, True], [True]]
    assert check(asked, hidden=True) == [[False, True, False], [True]]


BRANCHES = (
    "def double(x):\n    if x > 9:\n        return x\n    y = x + 1\n\n    return (\n        y)"
)


def test_what_failing_visible_examples_ran_is_known(boxes):
    task = replace(
        MUTANT, source=BRANCHES, visible=(Example("double(1)", "2"), Example("double(0)", "0"))
    )
    endless = replace(task, source=BRANCHES.replace("if", "while").replace("return x", "x += 1"))
    stuck = replace(endless, visible=(Example("double(12)", "24"),))
    right = replace(task, source=MUTANT.fixed)
    pairs = numbered([task, endless, stuck, right], None, 0)
    tasks, _ = search_tasks(pairs, boxes, frozenset())
    reached = [region.reached for task in tasks for region in task.regions]
    assert reached == [{0, 1, 3, 5, 6}, {0, 1, 3, 5, 6}, None, None]


def test_the_model_is_told_the_title_when_asked(boxes):
    both = [search_tasks([(0, MUTANT)], boxes, frozenset(), told=told) for told in (True, False)]
    assert [tasks[0].issue for tasks, _ in both] == ["double is wrong", ""]


def test_blind_rewriting_solves_an_easy_one(boxes):
    bench = search_tasks([(0, MUTANT)], boxes, frozenset())
    search = Search("random", proposer_of("random", None), "none", iterations=8)
    report = run_benchmark("mutants", bench, search, isolation="x", on_progress=lambda _: None)
    assert report.by_subset[SEEN_KINDS].solved == 1


def test_training_tasks_are_no_benchmark(tmp_path):
    write_tasks(tmp_path / "tasks.jsonl", [MUTANT, TASK])
    with pytest.raises(BadInputError, match="1 of 2 tasks are training tasks"):
        read_mutants([tmp_path / "tasks.jsonl"])
    write_tasks(tmp_path / "tasks.jsonl", [MUTANT])
    assert read_mutants([tmp_path / "tasks.jsonl"]) == [MUTANT]
