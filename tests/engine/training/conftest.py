import json
from dataclasses import asdict
from pathlib import Path

import pytest

from engine.training.corpus import Function, functions_in
from engine.training.executable import Example, ExecutableTask, write_tasks
from engine.training.outcomes import Boxes
from sandbox import images
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.settings import SandboxSettings

TEXT = """
def total(values):
    result = 0
    for value in values:
        result += value
    return result

def largest(values, start):
    best = start
    for value in values:
        if value > best:
            best = value
    return best

def words(text):
    found = []
    for word in text.split(' '):
        if word and word not in found:
            found.append(word.lower())
    return sorted(found)
"""


@pytest.fixture
def functions() -> list[Function]:
    return [f for split in ("train", "dev") for f, _ in functions_in(TEXT, "demo", split)]


@pytest.fixture
def corpus_file(tmp_path: Path, functions: list[Function]) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(asdict(f)) + "\n" for f in functions))
    return path


@pytest.fixture
def tokenizer_folder(tmp_path: Path, functions: list[Function]) -> Path:
    from engine.training.tokenizer import train_tokenizer

    folder = tmp_path / "tokenizer"
    train_tokenizer([f.raw for f in functions] * 20, 448).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_model(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A model of two layers with random weights, exported as a stage leaves one."""
    import torch

    from engine.training.network import Shape, export, new_model
    from engine.training.tokenizer import load_tokenizer

    torch.manual_seed(0)
    tokenizer = load_tokenizer(tokenizer_folder)
    torch.set_num_threads(1)
    shape = Shape(hidden=64, layers=2, heads=1, kv_heads=1, intermediate=96, vocabulary=448)
    return export(new_model(shape, tokenizer), tokenizer, tmp_path / "tiny")


def task(name: str, body: str, buggy: str, calls: dict[str, str]) -> ExecutableTask:
    """A task whose first example is visible and whose others are hidden."""
    examples = tuple(Example(call, outcome) for call, outcome in calls.items())
    return ExecutableTask(
        instance_id=name, package="demo", split="train", module="", prompted=False, name=name,
        setup="", source=f"def {name}(x):\n    {buggy}", fixed=f"def {name}(x):\n    {body}",
        kind="binary_operator", problem_statement=f"{name} is wrong\n\nand nobody knows why",
        visible=examples[:1], hidden=examples[1:],
    )  # fmt: skip


DOUBLED = task("doubled", "return x + x", "return x - x", {"doubled(2)": "4", "doubled(0)": "0"})
NEXT = task("after", "return x + 1", "return x - 1", {"after(2)": "3", "after(0)": "1"})


@pytest.fixture
def tasks_file(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [DOUBLED, NEXT])
    return path


@pytest.fixture
def boxes() -> Boxes:
    sandbox = BubblewrapSandbox(SandboxSettings(kind="bubblewrap"))
    return Boxes(sandbox, images.bare(sandbox))
