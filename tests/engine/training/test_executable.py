import shutil
import sysconfig
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.corpus import Function, functions_in
from engine.training.differential import draw_tasks, self_contained
from engine.training.executable import (
    Example,
    ExecutableTask,
    is_right,
    read_tasks,
    score,
    write_tasks,
)
from engine.training.imports import imports_for
from engine.training.outcomes import Boxes, Calls, lines_run, run_calls
from engine.training.packages import functions_of, image_of
from engine.training.task_sets import Source, task_set
from engine.training.unseen import MANIFEST, unseen_subjects, without_known
from engine.training.wheels import Wheel, load_manifest
from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.settings import SandboxSettings

MODULE = '''
import math

SCALE = 3

def scaled(values):
    """Each value times the scale.

    >>> scaled([1, 2])
    [3, 6]
    >>> x = scaled((5,))
    >>> x
    [15]
    >>> scaled(None)
    Traceback (most recent call last):
        ...
    TypeError: 'NoneType' object is not iterable
    """
    factor = SCALE
    return [factor * value for value in values]

def clamped(value, low, high):
    if value < low:
        return low
    return min(value, high)

def wrongly_documented(x):
    """
    >>> wrongly_documented(1)
    5
    >>> wrongly_documented(2)
    7
    """
    if x:
        return math.floor(x)
    return 0
'''
TASK = ExecutableTask(
    "a", "p", "train", "", False, "double", "", "def double(x):\n    return x * 3",
    "def double(x):\n    return x * 2", "binary_operator", "double is wrong",
    (Example("double(1)", "2"), Example("double('a')", "'aa'")), (Example("double(None)", "raises TypeError"),),
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapSandbox:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return BubblewrapSandbox(SandboxSettings())


@pytest.fixture(scope="module")
def boxes(sandbox: BubblewrapSandbox) -> Boxes:
    return Boxes(sandbox, images.bare(sandbox))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wheel, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    file = folder / "sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sample/__init__.py", "from sample.numbers import scaled\n")
        archive.writestr("sample/numbers.py", MODULE)
        archive.writestr(
            "sample/tests/test_numbers.py", "def helper(a):\n    b = a\n    return b\n"
        )
        archive.writestr("sample-1.0.dist-info/METADATA", "Name: sample\nVersion: 1.0\n")
    return Wheel(
        "sample", "1.0", file.name, sha256(file.read_bytes()).hexdigest(), "MIT", "test"
    ), folder


@pytest.fixture(scope="module")
def functions() -> list[Function]:
    stdlib = Path(sysconfig.get_path("stdlib"))
    texts = [
        (stdlib / name).read_text()
        for name in ("textwrap.py", "posixpath.py", "bisect.py", "colorsys.py")
    ]
    return [function for text in texts for function, _ in functions_in(text, "cpython", "train")]


def test_each_candidate_answers_in_a_process_of_its_own(boxes):
    sources = (
        "def f(x):\n    return {x, 'b', 'a'}",
        "def f(x):\n    while True:\n        pass",
        "import os\nos._exit(0)",
        "x = (",
        "def f(x):\n    x.append(1)",
        "def f(x):\n    yield from x",
        "def f(x):\n    print(x)",
        "def f(x):\n    raise SystemExit",
    )
    (answers,) = run_calls([Calls("f", "", ("f('c')", "f([0])"), sources)], boxes)
    assert answers == (
        ("{'a', 'b', 'c'}", "raises TypeError"),
        (),
        (),
        (),
        ("raises AttributeError", "None; arguments: ([0, 1])"),
        ("iterator of ['c']", "iterator of [0]"),
        ("None; prints 'c\\n'", "None; prints '[0]\\n'"),
        ("raises SystemExit", "raises SystemExit"),
    )


def test_what_came_out_before_a_candidate_was_stopped_counts(boxes):
    source = "def f(x):\n    while x:\n        pass\n    return x"
    assert run_calls([Calls("f", "", ("f(0)", "f(1)", "f(0)"), (source,))], boxes) == [(("0",),)]


def test_the_lines_that_examples_run_are_known_unless_one_does_not_end_or_none_begins(boxes):
    source = "def f(x):\n    while x > 1:\n        pass\n    yield x\n    yield 2"
    task = Calls("f", "", ("f(0)", "f(1)"), (source, "not looked at"))
    asked = [task, replace(task, examples=("f(0)", "f(2)")), replace(task, examples=("f()",))]
    assert lines_run([*asked, replace(task, examples=())], boxes) == [
        {1, 2, 4, 5},
        None,
        None,
        None,
    ]


def test_a_set_up_that_fails_leaves_its_candidates_without_answers(boxes):
    broken = Calls("f", "import no_such_module\n", ("f(1)",), ("def f(x):\n    return x",))
    sound = replace(broken, setup="import math\n")
    assert run_calls([broken, sound], boxes) == [((),), (("1",),)]


def test_what_a_failing_set_up_imported_is_not_there_for_the_next_task(boxes):
    broken = Calls(
        "f", "import colorsys\nimport no_such\n", ("f(1)",), ("def f(x):\n    return x",)
    )
    after = replace(broken, setup="import sys\nassert 'colorsys' not in sys.modules\n")
    assert run_calls([broken, after] * 2, boxes) == [((),), (("1",),)] * 2


def test_a_score_is_a_verdict_for_each_example(boxes):
    sources = [TASK.source, TASK.fixed, "def double(x):\n    return 2", "nonsense ("]
    assert score([TASK] * 4, sources, boxes) == [
        [False, False, True],
        [True, True, True],
        [True, False, False],
        [False, False, False],
    ]
    assert TASK.shown == 2


@pytest.mark.parametrize(
    ("wanted", "said", "right"),
    [
        ("3", "3", True),
        ("3", "3.0", False),
        ("printed [1, ..., 9]\n", "printed [1, 2,\n 9]\n", True),
        ("printed 1\n", "raised KeyError: 1\n", False),
        ("raised KeyError: 1\n", "raised KeyError: 1\n", True),
        ("raises KeyError", "", False),
    ],
)
def test_outcomes_are_compared_as_doctest_does_where_they_are_its(wanted, said, right):
    assert is_right(wanted, said) is right


def test_tasks_are_read_back_as_they_were_written(tmp_path):
    write_tasks(tmp_path / "tasks.jsonl", [TASK, TASK])
    assert read_tasks(tmp_path / "tasks.jsonl") == [TASK, TASK]


@pytest.mark.parametrize("text", ["{no", '{"name": 1}\n', "[]\n", '{"visible": 1, "hidden": []}\n'])
def test_a_file_that_holds_no_tasks_is_refused(tmp_path, text):
    (tmp_path / "bad.jsonl").write_text(text)
    for name in ("bad.jsonl", "missing.jsonl"):
        with pytest.raises(BadInputError, match="evoscale train executable"):
            read_tasks(tmp_path / name)


def test_imports_are_given_for_the_standard_library_only():
    assert imports_for({"math", "deque", "os"}) == (
        "from collections import deque\nimport math\nimport os.path\n"
    )
    assert imports_for({"numpy"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "def f(self, x):\n    x += 1\n    return x",
        "def f():\n    x = 1\n    return x",
        "def f(x):\n    x += helper(x)\n    return x",
        "def f(x):\n    y = open(x)\n    return y",
        "def f(x, *, y):\n    x += y\n    return x",
        "def f(x):\n    x += 1\n    x += 2",
        "async def f(x):\n    x += 1\n    return x",
    ],
)
def test_functions_that_cannot_be_called_with_values_alone_are_left_out(text):
    function = Function("p", "train", "f", text, text, "", 1.0)
    assert self_contained(function, 0) is None


def test_tasks_show_their_bug_and_are_solved_by_the_clean_function(functions, boxes):
    tasks = draw_tasks(functions, 6, 0, boxes)
    assert len(tasks) == 6
    assert all(len(task.visible) == 6 and len(task.hidden) == 6 for task in tasks)
    assert all(task.problem_statement for task in tasks)
    assert all(map(all, score(tasks, [task.fixed for task in tasks], boxes)))
    for task, right in zip(tasks, score(tasks, [t.source for t in tasks], boxes), strict=True):
        assert not all(right[: task.shown])
    assert tasks == draw_tasks(functions, 6, 0, boxes)


def test_too_few_functions_are_said(functions, boxes):
    with pytest.raises(BadInputError, match="ask for fewer"):
        draw_tasks(functions[:5], 1000, 0, boxes)


def test_a_package_gives_its_doctests_or_guessed_calls_inside_its_modules(sandbox, wheel):
    pinned, folder = wheel
    found = list(functions_of(pinned, folder))
    assert {f.module for f in found} == {"sample.numbers"}
    boxes = Boxes(sandbox, image_of([pinned], folder, sandbox))
    subjects = {s.function.name: s for s in unseen_subjects(found, 0, boxes)}
    scaled = subjects["scaled"]
    assert scaled.prompted
    assert [e.outcome for e in scaled.examples] == [
        "printed [3, 6]\n",
        None,
        "printed [15]\n",
        "raised TypeError: 'NoneType' object is not iterable\n",
    ]
    assert len(scaled.visible) == 2  # the set-up of the second belongs to what is hidden
    assert not subjects["clamped"].prompted
    assert all(
        e.outcome not in {"printed 5\n", "printed 7\n"}
        for s in subjects.values()
        for e in s.examples
    )


def test_a_function_that_is_trained_on_is_no_benchmark(wheel):
    pinned, folder = wheel
    found = list(functions_of(pinned, folder))
    text = "def limit(a, low, high):\n    '''Other names.'''\n    if a < low:\n        return low\n    return min(a, high)\n"
    for split, kept in (("train", 2), ("dev", 3)):
        corpus = [function for function, _ in functions_in(text, "other", split)]
        assert len(without_known(found, corpus)) == kept


def test_the_manifest_of_unseen_packages_shares_none_with_training():
    unseen = load_manifest(MANIFEST)
    trained = load_manifest(MANIFEST.with_name("wheels.toml"))
    assert {wheel.split for wheel in unseen} == {"dev", "test", "none"}
    assert not {w.name.lower() for w in unseen} & {w.name.lower() for w in trained}
    assert all(len(wheel.sha256) == 64 and wheel.licence for wheel in unseen)


def test_the_training_set_is_made_of_training_functions(functions, sandbox, tmp_path):
    heard: list[int] = []
    corpus = [*functions, *(replace(f, split="dev") for f in functions[:9])]
    tasks = task_set("train", 5, 1, Source(corpus, tmp_path, sandbox), heard.append)
    assert {task.split for task in tasks} == {"train"}
    assert heard[-1] == 5
