import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.models.base import EditFormat
from engine.models.scripted import ScriptedModel
from engine.training.benchmark import TaskResult, run_humanevalfix
from engine.training.humanevalfix import read_tasks
from engine.training.proposers import (
    RETRIES,
    ModelProposer,
    RandomProposer,
    Tried,
    draw,
    tree_of,
)
from engine.training.verdicts import run_programs
from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.settings import SandboxSettings

FUNCTION = "def double(x):\n    return x * 3"
ROW = {
    "task_id": "Python/0",
    "bug_type": "value misuse",
    "declaration": "from math import inf\n\n\ndef helper():\n    return 2\n\n\ndef double(x):\n",
    "buggy_solution": "    return x * 3\n",
    "entry_point": "double",
    "example_test": "assert double(1) == 2\n",
    "test": "assert double(4) == 8 and helper() == 2 and inf > 0\n",
}


def write(tmp_path: Path, *rows: dict[str, str]) -> Path:
    path = tmp_path / "humanevalfix.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapSandbox:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return BubblewrapSandbox(SandboxSettings())


def scripted(*completions: str) -> ScriptedModel:
    return ScriptedModel([list(completions)], edit_format=EditFormat.LINE)


def test_a_row_is_cut_at_its_entry_point(tmp_path: Path):
    (task,) = read_tasks(write(tmp_path, ROW), sample=None, seed=0)
    assert task.function == FUNCTION
    assert task.before.endswith("return 2\n\n\n")
    assert ast.dump(ast.parse(task.module(FUNCTION))) == ast.dump(
        ast.parse(ROW["declaration"] + ROW["buggy_solution"])
    )


def test_a_sample_is_drawn_by_seed_and_keeps_the_order(tmp_path: Path):
    data = write(tmp_path, *({**ROW, "task_id": f"Python/{k}"} for k in range(30)))
    drawn = [t.task_id for t in read_tasks(data, sample=5, seed=1)]
    assert drawn == [t.task_id for t in read_tasks(data, sample=5, seed=1)]
    assert drawn == sorted(drawn, key=lambda name: int(name.split("/")[1]))
    assert len(read_tasks(data, sample=99, seed=1)) == 30


@pytest.mark.parametrize("text", ["", "{no", "[]\n", '{"task_id": "a"}\n'])
def test_a_file_that_is_no_benchmark_is_refused(tmp_path: Path, text: str):
    (tmp_path / "bad.jsonl").write_text(text)
    for name in ("bad.jsonl", "missing.jsonl"):
        with pytest.raises(BadInputError, match=name):
            read_tasks(tmp_path / name, sample=None, seed=0)
    with pytest.raises(BadInputError, match="humanevalpack"):
        read_tasks(write(tmp_path, {**ROW, "entry_point": "other"}), sample=None, seed=0)


class Counted:
    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked: list[int] = []

    def propose(self, function: str, tried: Tried, n: int, seed: int) -> Iterator[str]:
        del function, tried, seed
        self.asked.append(n)
        return (self.texts[k % len(self.texts)] for k in range(n))


def test_useless_and_repeated_completions_are_sampled_again_but_not_for_ever():
    proposer = Counted("<L1>    return x * 2", "<L1>    return x  *  2", "no", "<L1>    return (")
    drawn = draw(proposer, FUNCTION, Tried({tree_of(FUNCTION) or ""}), wanted=4, seed=0)
    assert [p.text for p in drawn.proposals] == ["<L1>    return x * 2"]
    assert proposer.asked == [4] + [3] * RETRIES
    assert drawn.completions == sum(proposer.asked)


def test_an_edit_that_leaves_the_tree_alone_is_no_proposal():
    drawn = draw(
        Counted("<L1>    return  x*3"),
        FUNCTION,
        Tried({tree_of(FUNCTION) or ""}),
        wanted=1,
        seed=0,
    )
    assert drawn.proposals == ()


def test_blind_rewrites_are_distinct_parse_and_repeat_by_seed():
    drawn = draw(RandomProposer(), FUNCTION, Tried(set()), wanted=8, seed=1)
    assert len({p.source for p in drawn.proposals}) == 8
    assert drawn == draw(RandomProposer(), FUNCTION, Tried(set()), wanted=8, seed=1)


def test_only_an_evolving_proposer_is_shown_what_failed():
    model = scripted("<L1>    return x")
    for evolves in (True, False):
        proposer = ModelProposer(model, 1.0, evolves)
        tried = Tried(set(), failed=("<L1>    return 1",))
        assert list(proposer.propose(FUNCTION, tried, 1, 0)) == ["<L1>    return x"]


def test_what_was_sampled_before_is_told_to_the_model():
    class Remembers(Counted):
        def propose(self, function: str, tried: Tried, n: int, seed: int) -> Iterator[str]:
            told.append(set(tried.texts))
            return super().propose(function, tried, n, seed)

    told: list[set[str]] = []
    tried = Tried({tree_of(FUNCTION) or ""}, texts={"<L1>    return 0"})
    draw(Remembers("<L1>    return x + 1", "no"), FUNCTION, tried, wanted=2, seed=0)
    assert told[:2] == [
        {"<L1>    return 0"},
        {"<L1>    return 0", "<L1>    return x + 1", "no"},
    ]


def test_programs_are_judged_each_on_its_own(sandbox):
    programs = ["x = 1", "assert False", "import os\nos._exit(0)", "x = (", "print('hi')"]
    verdicts = run_programs(programs, sandbox=sandbox, image=images.bare(sandbox))
    assert verdicts == [True, False, False, False, True]
    assert run_programs([], sandbox=sandbox, image="none") == []


def test_the_first_candidate_that_the_visible_test_accepts_meets_the_hidden_one(sandbox, tmp_path):
    blind = {**ROW, "task_id": "Python/1", "example_test": ""}
    overfit = {**ROW, "task_id": "Python/2", "example_test": "assert double(1) > 2 or True\n"}
    heard: list[TaskResult] = []
    report = run_humanevalfix(
        write(tmp_path, ROW, blind, overfit),
        model=scripted("<L1>    return x * 5", "<L1>    return x * 2"),
        sandbox=sandbox,
        iterations=1,
        candidates=2,
        proposer="sample",
        on_progress=heard.append,
        clock=lambda: 0.0,
    )
    assert [t.solved for t in heard] == [True, False, False]
    assert [t.visible_passed for t in heard] == [True, None, True]
    assert (report.solved, report.total, report.rate) == (1, 3, pytest.approx(1 / 3))
    assert (report.visible_passed, report.without_visible_test) == (2, 1)
    assert heard[0].candidates == 2
    assert report.isolation == "bubblewrap"


def test_the_blind_baseline_needs_no_model(sandbox, tmp_path):
    report = run_humanevalfix(
        write(tmp_path, ROW),
        model=None,
        sandbox=sandbox,
        sample=1,
        proposer="random",
        on_progress=lambda _: None,
    )
    assert report.model == "none"
    assert report.candidates <= 32


@pytest.mark.parametrize("proposer", ["guess", "evolve"])
def test_a_proposer_that_cannot_be_is_refused(sandbox, tmp_path, proposer):
    with pytest.raises(BadInputError, match=proposer):
        run_humanevalfix(
            write(tmp_path, ROW),
            model=None,
            sandbox=sandbox,
            proposer=proposer,
            on_progress=lambda _: None,
        )
