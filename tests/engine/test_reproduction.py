import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reproduction import (
    FILE_NAME,
    TRACE_MARKER,
    as_test_file,
    find_examples,
    read_trace,
    trace_examples_script,
    trace_tests_script,
)

MODULE = "def double(x):\n    if x < 0:\n        return x\n    return x + x + 1\n"


def kinds(text):
    return [(e.kind, e.source.strip(), e.want.strip()) for e in find_examples(text)]


def test_a_doctest_block_gives_one_example_for_each_value_shown():
    text = "It breaks:\n\n```python\n>>> from m import double\n>>> double(2)\n4\n>>> double(3)\n6\n```\n"
    examples = find_examples(text)
    assert [(e.source.strip(), e.want.strip()) for e in examples] == [
        ("double(2)", "4"),
        ("double(3)", "6"),
    ]
    assert examples[1].setup == ("from m import double\n", "double(2)\n")


def test_prompts_outside_a_fence_count_too():
    assert kinds("Try\n\n    >>> 1 + 1\n    2\n\nthanks") == [("returns", "1 + 1", "2")]


def test_a_traceback_may_be_the_bug_or_the_wish():
    text = "```\n>>> f('x')\nTraceback (most recent call last):\n  File \"a\", line 1\nValueError: no\n```"
    assert kinds(text) == [("raises", "f('x')", "ValueError"), ("runs", "f('x')", "")]


def test_what_is_stated_as_expected_replaces_the_wrong_output():
    text = "```\n>>> slug('a b')\n'a_b'\n```\n\nExpected: `'a-b'`"
    assert ("returns", "slug('a b')", "'a-b'") in kinds(text)


def test_a_block_with_asserts_is_one_example():
    assert kinds("```python\nfrom m import f\nassert f(1) == 2\n```")[0][0] == "block"


@given(st.text(max_size=400))
def test_no_text_makes_it_raise(text):
    find_examples(text)


@given(st.text(alphabet=">`.\n assertTraceback():=expected'", max_size=300))
def test_no_text_of_the_awkward_letters_makes_it_raise(text):
    find_examples(text)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "m.py").write_text(MODULE)
    return tmp_path


def python(folder, *argv):
    return subprocess.run(
        [sys.executable, *argv], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_generated_file_fails_on_the_bug_and_passes_on_the_fix(project):
    examples = find_examples(">>> from m import double\n>>> double(2)\n4\n>>> double(-1)\n-1\n")
    (project / FILE_NAME).write_text(as_test_file(examples).text)
    run = python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", FILE_NAME)
    assert "1 failed, 1 passed" in run.stdout
    assert "expected 4, got 5" in run.stdout
    (project / "m.py").write_text(MODULE.replace(" + 1", ""))
    assert (
        python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", FILE_NAME).returncode == 0
    )


def test_the_tracer_reports_the_executed_lines_of_functions_only(project):
    examples = find_examples(">>> from m import double\n>>> double(2)\n4\n")
    (project / "trace.py").write_text(trace_examples_script(examples))
    traced = read_trace(python(project, "trace.py").stdout)
    assert traced == {"m.py": frozenset({2, 4}) | ({1} & traced["m.py"])}


def test_the_tracer_follows_tests_by_id(project):
    (project / "test_m.py").write_text(
        "from m import double\n\n\ndef test_it():\n    assert double(2) == 4\n"
    )
    (project / "trace.py").write_text(trace_tests_script(["test_m.py::test_it"]))
    assert 4 in read_trace(python(project, "trace.py").stdout)["m.py"]


def test_a_trace_that_was_cut_short_or_forged_is_no_trace():
    assert read_trace("nothing") == {}
    assert read_trace(TRACE_MARKER + '{"a": ') == {}
    assert read_trace(TRACE_MARKER + '{"a": "b"}') == {}
