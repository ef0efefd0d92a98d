import ast
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candidate import CodeContext, SourceFile, Span
from engine.edits import (
    Edited,
    Unusable,
    changed_lines,
    read_line_edit,
    read_search_replace,
    unified_diff,
)

SOURCE = """\
class Box:
    def area(self, width, height):
        total = width + height
        return total

    def name(self):
        return "box"
"""
CONTEXT = CodeContext((SourceFile("pkg/box.py", SOURCE),))
AREA = Span("pkg/box.py", "area", 2, 4)


def block(path: str, search: str, replace: str) -> str:
    return f"### {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def test_a_search_replace_block_becomes_a_diff_of_one_file():
    text = "Because.\n\n" + block(
        "pkg/box.py", "total = width + height", "total = width * height"
    ).replace("total", "        total")
    edited = read_search_replace(text, CONTEXT)
    assert isinstance(edited, Edited)
    assert "-        total = width + height" in edited.patch
    assert "+        total = width * height" in edited.patch
    assert changed_lines(edited.patch) == 2


def test_trailing_blanks_do_not_matter_but_ambiguity_does():
    text = block("pkg/box.py", "        return total   ", "        return 2 * total")
    assert isinstance(read_search_replace(text, CONTEXT), Edited)
    twice = CodeContext((SourceFile("a.py", "x = 1\ny = 2\nx = 1\n"),))
    assert read_search_replace(block("a.py", "x = 1", "x = 3"), twice) == Unusable(
        "the text to replace is not in a.py exactly once"
    )


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("I would change the sum.", "no search/replace block"),
        (block("other.py", "x", "y"), "other.py was not shown to the model"),
        (block("pkg/box.py", "nothing like it", "y"), "not in pkg/box.py exactly once"),
        (block("pkg/box.py", "        return total", "        return (total"), "would not parse"),
        (block("pkg/box.py", "        return total", "        return total"), "changes nothing"),
        (block("pkg/box.py", "        return total", "        return  total"), "changes nothing"),
        ("x" * 300_000, "too long"),
    ],
)
def test_what_is_no_patch_is_a_value_with_a_reason(completion, reason):
    read = read_search_replace(completion, CONTEXT)
    assert isinstance(read, Unusable)
    assert reason in read.reason


def test_a_line_edit_is_dedented_for_the_model_and_indented_for_the_file():
    edited = read_line_edit("<L1>    total = width * height", CONTEXT, AREA)
    assert isinstance(edited, Edited)
    assert "+        total = width * height\n" in edited.patch


def test_equal_programs_have_equal_keys_whatever_their_blanks():
    one = read_line_edit("<L1>    total = width * height", CONTEXT, AREA)
    two = read_line_edit("<L1>    total = width*height  # area", CONTEXT, AREA)
    assert isinstance(one, Edited)
    assert isinstance(two, Edited)
    assert one.key == two.key
    assert one.patch != two.patch


def test_an_edit_of_lines_that_the_failing_example_never_ran_is_unusable():
    context = CodeContext(CONTEXT.files, executed={"pkg/box.py": frozenset({4})})
    never = read_line_edit("<L1>    total = width * height", context, AREA)
    assert never == Unusable("the failing example never runs the edited lines")
    assert isinstance(read_line_edit("<L2>    return -total", context, AREA), Edited)


LINES = st.lists(
    st.text(
        st.characters(codec="ascii", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e"), max_size=12
    ),
    max_size=8,
)


@given(LINES, LINES, st.booleans(), st.booleans())
def test_git_applies_every_diff_that_is_rendered(before, after, old_ends, new_ends):
    old = "\n".join(before) + ("\n" if before and old_ends else "")
    new = "\n".join(after) + ("\n" if after and new_ends else "")
    if not old or not new or old == new:
        return
    patch = unified_diff("a.txt", old, new)
    assert applied(old, patch) == new


def applied(text: str, patch: str) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_bytes(text.encode())
        subprocess.run(
            ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"],
            cwd=folder,
            input=patch.encode(),
            check=True,
            capture_output=True,
        )
        return path.read_bytes().decode()


def test_every_usable_edit_leaves_python_that_parses():
    edited = read_line_edit("<L1><L2>    return width * height", CONTEXT, AREA)
    assert isinstance(edited, Edited)
    ast.parse(
        SOURCE.replace(
            "        total = width + height\n        return total\n",
            "        return width * height\n",
        )
    )
