"""When the image of a language's programs is made anew."""

import os
from pathlib import Path

import pytest

from sandbox.recipes.machine import Toolchain, layer


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "go"
    (root / "bin").mkdir(parents=True)
    (root / "bin/go").write_text("1.20")
    (root / "bin/go_test.go").write_text("")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/std.a").write_text("1.20")
    (root / "nothing").symlink_to(tmp_path / "nowhere")
    return root


def key(tree: Path) -> str:
    made = Toolchain("go", {}, ("true",), trees={"go": tree}, left_out=("*_test.go",))
    return layer(made).key


@pytest.mark.parametrize("file", ["bin/go", "linked/std.a"])
def test_a_file_deep_in_a_tree_that_changes_makes_another_image(tree: Path, file: str) -> None:
    before = key(tree)
    assert key(tree) == before
    status = (tree / file).stat()
    os.utime(tree / file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert key(tree) != before


def test_a_file_that_is_added_makes_another_image_and_one_that_is_left_out_none(
    tree: Path,
) -> None:
    before = key(tree)
    (tree / "bin/other_test.go").write_text("")
    assert key(tree) == before
    (tree / "bin/gofmt").write_text("")
    assert key(tree) != before
