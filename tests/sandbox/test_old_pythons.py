"""What is sent into boxes runs from Python 3.7 on: it is compiled for it, and run by what is here."""

import ast
from pathlib import Path

import pytest

from sandbox.session import warden_argv

SANDBOX = Path(__file__).parents[2] / "sandbox"
OLDEST = (3, 7)
SENT = (
    "lay.py", "planted/canary_plugin.py", "planted/canary_go.py", "planted/canary_tests.py", "planted/seal.py",
    "planted/files_holding.py", "planted/impact_plugin.py", "recipes/build_env.py", "recipes/build_repo.py",
    "recipes/in_folder.py", "recipes/run_reported.py", "recipes/run_unittest.py",
)  # fmt: skip


@pytest.mark.parametrize("name", ["warden", *SENT])
def test_a_program_for_boxes_has_the_grammar_of_the_oldest_python(name: str) -> None:
    text = warden_argv({})[4]
    text = text if name == "warden" else (SANDBOX / name).read_text()
    tree = ast.parse(text, feature_version=OLDEST)
    annotated = any(isinstance(node, ast.arg) and node.annotation for node in ast.walk(tree))
    lazy = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    assert lazy or not annotated, "annotations would be evaluated, and be errors there"
