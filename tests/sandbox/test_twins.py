import ast
import inspect
import textwrap
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.trial.python import place_of
from sandbox.twins.python import twins

SAFE = {"__builtins__": __builtins__}


class Yes(int):
    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return True


def add(left: int, right: int) -> int:
    return left + right


def outcome(text: str, product: Callable[[int, int], object], name: str = "test_it") -> bool:
    """Whether a test of a file passes with this product."""
    scope: dict[str, object] = {**SAFE, "add": product, "pytest": pytest}
    exec(compile(text, "<twin>", "exec"), scope)  # noqa: S102  # written a few lines below
    try:
        scope[name]()  # type: ignore[operator]  # a compiled test
    except (AssertionError, pytest.fail.Exception):
        return False
    return True


HONEST = [
    "def test_it():\n    assert add(1, 2) == 3\n",
    "def test_it():\n    assert 3 == add(1, 2)\n",
    "def test_it():\n    if add(1, 2) == 3:\n        return\n    assert 0\n",
    "def test_it():\n    for n in range(3):\n        assert add(n, n) == 2 * n\n",
    "def test_it():\n    with pytest.raises(TypeError):\n        add(1)\n",
    "def test_it():\n    assert not add(1, 2) == 4\n",
    "def test_it():\n    try:\n        assert add(1, 2) == 3\n    finally:\n        pass\n",
    "def test_it():\n    def inner():\n        return add(1, 2)\n    assert inner() == 3\n",
]


@pytest.mark.parametrize("text", HONEST)
def test_every_twin_of_a_test_that_passes_honestly_fails(text: str) -> None:
    assert outcome(text, add)
    made = twins(text, ["test_it"])
    assert made
    assert not any(outcome(twin, add) for twin in made)


def test_code_that_equals_everything_passes_a_twin() -> None:
    for text in HONEST[:2]:
        assert any(outcome(twin, lambda *_: Yes(0)) for twin in twins(text, ["test_it"]))


def test_unittest_assertions_are_turned_around_too() -> None:
    text = "class TestA:\n    def test_it(self):\n        self.assertEqual(add(1, 2), 3)\n"
    end, values = twins(text, ["TestA", "test_it"])
    assert "raise AssertionError" in end
    assert "self.assertEqual(add(1, 2), object())" in values
    assert (
        "self.assertEqual(object(), x)"
        in twins(text.replace("add(1, 2), 3", "3, x"), ["TestA", "test_it"])[1]
    )


@pytest.mark.parametrize(
    "text",
    [
        "def other():\n    pass\n",
        "def test_it(:\n",
        "@pytest.mark.xfail\ndef test_it():\n    pass\n",
        "@unittest.expectedFailure\ndef test_it():\n    pass\n",
        "def test_it():\n    yield 1\n",
        "def test_it():\n    try:\n        return\n    except AssertionError:\n        pass\n",
        "class TestB:\n    def test_it(self):\n        pass\n",
    ],
)
def test_what_cannot_be_relied_on_has_no_twin(text: str) -> None:
    assert twins(text, ["test_it"]) == ()


@given(st.text(max_size=200), st.lists(st.text(max_size=5), min_size=1, max_size=3))
def test_no_text_makes_it_raise(text: str, names: list[str]) -> None:
    twins(text, names)


def test_twins_of_this_very_file_can_be_read() -> None:
    text = textwrap.dedent(inspect.getsource(test_every_twin_of_a_test_that_passes_honestly_fails))
    (end,) = twins(text, ["test_every_twin_of_a_test_that_passes_honestly_fails"])
    ast.parse(end)


@pytest.mark.parametrize(
    ("test", "runner", "place"),
    [
        ("tests/test_a.py::test_b[x::y]", "pytest", ("tests/test_a.py", ["test_b"])),
        ("tests/test_a.py::TestA::test_b", "pytest", ("tests/test_a.py", ["TestA", "test_b"])),
        ("tests.test_a.TestA.test_b", "unittest", ("tests/test_a.py", ("TestA", "test_b"))),
    ],
)
def test_an_id_leads_to_a_file_and_the_names_inside_it(
    test: str, runner: str, place: tuple[str, list[str]]
) -> None:
    assert place_of(test, runner) == place
