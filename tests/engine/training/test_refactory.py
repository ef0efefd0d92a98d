import json
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.benchmark import run_benchmark
from engine.training.outcomes import Boxes
from engine.training.refactory import (
    FURTHER,
    ONE_LINE,
    is_near,
    read_programs,
    regions_of,
    search_tasks,
)
from engine.training.search import Search, numbered, proposer_of
from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.settings import SandboxSettings

REFERENCE = "def double(x):\n    return x * 2\n"
ROW = {
    "instance_id": "refactory__7-wrong_7_001",
    "description": "Task: Doubling\n",
    "preamble": "import math\n",
    "buggy_source": "def double(y):\n    print('here')\n    return y * 3\n",
    "reference_source": REFERENCE,
    "cases": [
        {"call": "double(0)", "expected": "0"},
        {"call": "double(1)", "expected": "2"},
        {"call": "double([1])", "expected": "[1, 1]"},
        {"call": "double(math.floor(2.5))", "expected": "4"},
    ],
}


def write(tmp_path: Path, *rows: dict[str, object]) -> Path:
    path = tmp_path / "refactory.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def boxes() -> Boxes:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    sandbox = BubblewrapSandbox(SandboxSettings())
    return Boxes(sandbox, images.bare(sandbox))


def bench(tmp_path: Path, boxes: Boxes, *rows: dict[str, object], told: bool = False):
    return search_tasks(numbered(read_programs(write(tmp_path, *rows)), None, 0), boxes, told=told)


def test_half_of_the_cases_are_visible_and_one_that_fails_is_the_first(tmp_path, boxes):
    (task,), check = bench(tmp_path, boxes, ROW, told=True)
    split = check.shared[task.task_id]
    assert (task.group, task.number) == ("7", 0)
    assert len(split.visible) == 2
    assert split.visible[0].call != "double(0)"
    assert task.issue == f"{split.visible[0].call} should give {split.visible[0].expected}"
    assert sorted(c.call for c in split.all) == sorted(c["call"] for c in ROW["cases"])


def test_only_values_count_not_prints_nor_changed_arguments(tmp_path, boxes):
    (task,), check = bench(tmp_path, boxes, ROW)
    right = "def double(y):\n    print('here')\n    y *= 2\n    return y\n"
    overfit = "def double(y):\n    return {'0': 0, '1': 2}.get(str(y))\n"
    asked = [(task.task_id, [right, ROW["buggy_source"], overfit])]
    assert check(asked, hidden=True) == [[True, False, False]]
    assert check(asked, hidden=False)[0][:2] == [True, False]


def test_a_program_that_fails_no_case_is_left_out(tmp_path, boxes):
    sound = {**ROW, "instance_id": "refactory__7-wrong_7_002", "buggy_source": REFERENCE}
    tasks, _ = bench(tmp_path, boxes, sound, ROW)
    assert [(task.number, task.task_id) for task in tasks] == [(1, ROW["instance_id"])]


def test_what_failing_visible_cases_ran_is_known_in_every_region(tmp_path, boxes):
    source = "def other(y):\n    return y\n\ndef double(y):\n    if y == 0:\n        return 0\n    y = y\n    return y * 3\n"
    (task,), _ = bench(tmp_path, boxes, {**ROW, "buggy_source": source})
    named = {region.text.split("(")[0]: region.reached for region in task.regions}
    assert named == {"def double": {0, 1, 3, 4}, "def other": set()}


def test_a_search_repairs_a_program(tmp_path, boxes):
    search = Search("random", proposer_of("random", None), "none", iterations=8)
    report = run_benchmark(
        "refactory", bench(tmp_path, boxes, ROW), search, isolation="x", on_progress=lambda _: None
    )
    assert set(report.by_group) == {"7"}
    assert report.solved.solved == 1


def test_functions_that_failing_calls_name_come_first_then_the_longest():
    source = "def a(x):\n    return x\n\ndef b(x):\n    x += 1\n    x += 2\n    return x\n\ndef c(x):\n    x = 1\n    return x\n"
    assert [r.text.split("(")[0] for r in regions_of(source, ["a(1)"])] == [
        "def a",
        "def b",
        "def c",
    ]
    assert [r.text.split("(")[0] for r in regions_of(source, [])] == ["def b", "def c", "def a"]
    for region in regions_of(source, []):
        assert region.program(region.text) == source


def test_a_long_function_comes_as_windows():
    source = "def a(x):\n" + "    x += 1\n" * 100 + "    return x\n"
    regions = regions_of(source, [])
    assert [len(r.text.split("\n")) for r in regions] == [64, 38]
    assert all(region.program(region.text) == source for region in regions)


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("def double(y):\n    '''Doc.'''\n    return y * 3\n", ONE_LINE),
        ("def double(y):\n    z = y\n    return z * 3\n", FURTHER),
        (REFERENCE, FURTHER),
    ],
)
def test_programs_one_line_from_the_reference_are_told_apart(source, near):
    assert is_near(source, REFERENCE) is (near == ONE_LINE)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"instance_id": "a"}],
        [{**ROW, "cases": []}],
        [{**ROW, "buggy_source": "def ("}],
        [["a"]],
    ],
)
def test_a_file_that_is_not_refactory_is_refused(tmp_path, rows):
    with pytest.raises(BadInputError, match="JSON lines"):
        read_programs(write(tmp_path, *rows))
    with pytest.raises(BadInputError, match="missing"):
        read_programs(tmp_path / "missing.jsonl")
