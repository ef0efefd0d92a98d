import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.models.base import EditFormat
from engine.models.scripted import ScriptedModel
from engine.training.benchmark import Report, run_benchmark, share, weighted, wilson
from engine.training.humanevalfix import read_tasks, search_tasks
from engine.training.proposers import (
    RETRIES,
    ModelProposer,
    RandomProposer,
    Tried,
    draw,
    tree_of,
)
from engine.training.search import Region, Search, SearchTask, TaskResult, numbered, proposer_of
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


def fixed(
    data: Path, sandbox: BubblewrapSandbox, search: Search, heard: list[TaskResult], **more
) -> Report:
    bench = search_tasks(numbered(read_tasks(data), None, 0), sandbox)
    return run_benchmark(
        "humanevalfix", bench, search, isolation=sandbox.isolation, on_progress=heard.append, **more
    )


def sampling(model: ScriptedModel, **more: int) -> Search:
    proposer = proposer_of("sample", model)
    return Search("sample", proposer, model.name, clock=lambda: 0.0, **more)


class Answers:
    def __init__(self, right: str) -> None:
        self.right = right
        self.asked: list[tuple[list[str], bool]] = []

    def __call__(self, asked, *, hidden: bool) -> list[list[bool]]:
        self.asked.append(([name for name, _ in asked], hidden))
        return [[self.right in program for program in programs] for _, programs in asked]


def test_a_row_is_cut_at_its_entry_point(tmp_path: Path):
    (task,) = read_tasks(write(tmp_path, ROW))
    assert task.function == FUNCTION
    assert task.before.endswith("return 2\n\n\n")


def test_the_program_of_a_task_is_its_row(tmp_path: Path, sandbox):
    (task,), _ = search_tasks(numbered(read_tasks(write(tmp_path, ROW)), None, 0), sandbox)
    (region,) = task.regions
    assert ast.dump(ast.parse(region.program(FUNCTION))) == ast.dump(
        ast.parse(ROW["declaration"] + ROW["buggy_solution"])
    )


def test_a_sample_is_drawn_by_seed_and_keeps_numbers_and_order():
    names = [f"Python/{k}" for k in range(30)]
    drawn = numbered(names, 5, 1)
    assert drawn == numbered(names, 5, 1)
    assert drawn == sorted(drawn)
    assert all(names[number] == name for number, name in drawn)
    assert len(numbered(names, 99, 1)) == len(numbered(names, None, 1)) == 30


@pytest.mark.parametrize("text", ["", "{no", "[]\n", '{"task_id": "a"}\n'])
def test_a_file_that_is_no_benchmark_is_refused(tmp_path: Path, text: str):
    (tmp_path / "bad.jsonl").write_text(text)
    for name in ("bad.jsonl", "missing.jsonl"):
        with pytest.raises(BadInputError, match=name):
            read_tasks(tmp_path / name)
    with pytest.raises(BadInputError, match="humanevalpack"):
        read_tasks(write(tmp_path, {**ROW, "entry_point": "other"}))


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


def test_of_a_test_that_fails_the_last_call_is_what_ran(sandbox, tmp_path):
    branches = (
        "    if x > 9:\n        return x * 2\n    y = [double(x) for x in ()]\n    return x * 3\n"
    )
    endless = branches.replace("return x * 2", "x += 1").replace("if", "while")
    tests = ["assert double(10) == 20\nassert double(2) == 4\n", "assert double(10) == 21\n"]
    rows = [
        {**ROW, "buggy_solution": branches, "example_test": test} for test in (*tests, "", "x = 1")
    ]
    rows.append({**rows[1], "buggy_solution": endless})
    items = "    y = x + 1\n    for z in (y,):\n        yield z\n    return\n"
    rows.append({**ROW, "buggy_solution": items, "example_test": "assert list(double(1)) == [1]"})
    data = write(tmp_path, *({**row, "task_id": f"P/{k}"} for k, row in enumerate(rows)))
    found, _ = search_tasks(numbered(read_tasks(data), None, 0), sandbox)
    reached = [task.regions[0].reached for task in found]
    assert reached == [{0, 1, 3, 4}, {0, 1, 2}, None, None, {0, 1, 2}, {0, 1, 2, 3, 4}]


def test_an_edit_of_what_never_ran_is_no_proposal():
    function = "def f(x):\n    if x:\n        return 1\n    return 2"
    tried = Tried({tree_of(function) or ""}, reached=frozenset({0, 1, 3}))
    completions = Counted("<L2>        return 3", "<L3>    return 3")
    drawn = draw(completions, function, tried, wanted=2, seed=0)
    assert [p.text for p in drawn.proposals] == ["<L3>    return 3"]


def test_the_first_candidate_that_the_visible_test_accepts_meets_the_hidden_one(sandbox, tmp_path):
    blind = {**ROW, "task_id": "Python/1", "example_test": ""}
    overfit = {**ROW, "task_id": "Python/2", "example_test": "assert double(1) > 2 or True\n"}
    heard: list[TaskResult] = []
    model = scripted("<L1>    return x * 5", "<L1>    return x * 2")
    search = sampling(model, iterations=1, candidates=2)
    report = fixed(write(tmp_path, ROW, blind, overfit), sandbox, search, heard)
    assert [t.solved for t in heard] == [True, False, False]
    assert [t.visible_passed for t in heard] == [True, None, True]
    assert (report.solved.solved, report.solved.total) == (1, 3)
    assert (report.visible_passed, report.without_visible_test) == (2, 1)
    assert heard[0].candidates == 2
    assert report.by_group == {"value misuse": report.solved}
    assert report.within["1"].solved == 0
    assert report.isolation == sandbox.isolation


def test_the_blind_baseline_needs_no_model(sandbox, tmp_path):
    search = Search("random", proposer_of("random", None), "none")
    report = fixed(write(tmp_path, ROW), sandbox, search, [])
    assert report.model == "none"
    assert report.candidates <= 32


def test_what_an_earlier_run_found_is_not_searched_again(sandbox, tmp_path):
    known = TaskResult("Python/0", "value misuse", "", True, True, 3, 4, 1.5)
    heard: list[TaskResult] = []
    search = sampling(scripted("<L1>    return x * 2"), iterations=1, candidates=1)
    data = write(tmp_path, ROW, {**ROW, "task_id": "Python/1"})
    report = fixed(data, sandbox, search, heard, known={known.task_id: known})
    assert [t.task_id for t in heard] == ["Python/1"]
    assert report.tasks == (known, heard[0])


@pytest.mark.parametrize("proposer", ["guess", "evolve"])
def test_a_proposer_that_cannot_be_is_refused(proposer):
    with pytest.raises(BadInputError, match=proposer):
        proposer_of(proposer, None)


def ran(tasks: list[SearchTask], check: Answers, search: Search) -> Report:
    return run_benchmark(
        "any", (tasks, check), search, isolation="none", on_progress=lambda _: None
    )


def test_every_region_is_edited_in_its_place():
    regions = (
        Region("", FUNCTION, "\nz = 1"),
        Region("z = 1\n", "def g(y):\n    return y * 3", "\n"),
    )
    model = scripted("<L1>    return y * 2", "<L1>    return 1")
    check = Answers("z = 1\ndef g(y):\n    return y * 2\n")
    report = ran(
        [SearchTask(0, "a", "g", regions)], check, sampling(model, iterations=1, candidates=3)
    )
    assert report.solved.solved == 1
    assert check.asked == [(["a"], False), (["a"], True)]


def plain(count: int) -> list[SearchTask]:
    return [SearchTask(k, str(k), "g", (Region("", FUNCTION, ""),)) for k in range(count)]


def blind(**more: int) -> Search:
    return Search("random", proposer_of("random", None), "none", clock=lambda: 0.0, **more)


@pytest.mark.parametrize("together", [1, 2, 50])
def test_neither_a_sample_nor_company_changes_what_is_found(together):
    whole = ran(plain(6), Answers("x * 2"), blind())
    part = ran(plain(6)[3:5], Answers("x * 2"), blind(together=together))
    assert whole.tasks[3:5] == part.tasks


def test_tasks_that_are_searched_together_are_asked_about_together_while_they_are_open():
    check = Answers("x * 2")
    report = ran(plain(6), check, blind(together=6, iterations=3))
    solved = {task.task_id for task in report.tasks if task.solved}
    assert check.asked[0] == (["0", "1", "2", "3", "4", "5"], False)
    assert set(check.asked[-1][0]) == solved
    assert len(check.asked[2][0]) <= len(check.asked[1][0])


def test_a_program_without_a_region_that_fits_is_not_solved():
    long = Region("", "\n".join(["def f():", *["    x = 1"] * 70]), "")
    report = ran([SearchTask(0, "a", "g", (long,))], Answers("x"), blind())
    assert (report.solved.solved, report.completions) == (0, 0)


def test_text_that_no_tree_can_place_gives_blind_rewrites_nothing():
    assert (
        draw(RandomProposer(), "def f():\n    return 'ü'", Tried(set()), wanted=2, seed=0).proposals
        == ()
    )


def test_intervals_are_wilsons():
    half = wilson(50, 100)
    assert (half.low, half.high) == (
        pytest.approx(0.4038, abs=1e-4),
        pytest.approx(0.5962, abs=1e-4),
    )
    assert (wilson(0, 10).low, wilson(10, 10).high) == pytest.approx((0.0, 1.0))
    assert wilson(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_groups_count_alike_in_the_weighted_mean():
    mean = weighted([wilson(90, 100), wilson(1, 10)])
    assert mean.rate == pytest.approx(0.5)
    assert 0.3 < mean.low < 0.5 < mean.high < 0.7
    assert weighted([wilson(50, 100)]).high == wilson(50, 100).high
    assert weighted([]).high == 1.0


def test_fewer_candidates_solve_what_they_reached():
    results = [TaskResult(str(k), "g", "", True, True, k, k, 0.0) for k in (1, 8, 9)]
    assert [share(results, within=k).solved for k in (1, 8, 32)] == [1, 2, 3]
