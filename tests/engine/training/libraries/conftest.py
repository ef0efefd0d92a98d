"""A model of two layers, made once, and rows in both edit formats."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.training.libraries.config import LargeConfig
from engine.training.tokenizer import train_tokenizer

ADD = "def add(a, b):\n    total = a - b\n    return total\n"
LARGEST = "def largest(values):\n    best = 0\n    for value in values:\n        if value < best:\n            best = value\n    return best\n"
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>\n{{ m['content'] }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)

TASKS = [
    {
        "instance_id": "octo__sums-1",
        "repo": "octo/sums",
        "problem_statement": "adds wrongly\nadd(1, 2) gives -1",
        "files": [{"path": "sums.py", "text": ADD}],
        "completion": "<L1>    total = a + b",
        "patch": "diff --git a/sums.py b/sums.py\n--- a/sums.py\n+++ b/sums.py\n@@ -1,3 +1,3 @@\n def add(a, b):\n-    total = a - b\n+    total = a + b\n     return total\n",
        "focus": {"path": "sums.py", "start": 1, "end": 3},
    },
    {
        "instance_id": "octo__sums-2",
        "repo": "octo/sums",
        "problem_statement": "largest is always 0",
        "files": [{"path": "sums.py", "text": LARGEST}],
        "completion": "<L3>        if value > best:",
        "patch": "diff --git a/sums.py b/sums.py\n--- a/sums.py\n+++ b/sums.py\n@@ -1,6 +1,6 @@\n def largest(values):\n     best = 0\n     for value in values:\n-        if value < best:\n+        if value > best:\n             best = value\n     return best\n",
        "focus": {"path": "sums.py", "start": 1, "end": 6},
    },
]
CANDIDATES = [
    {"instance_id": "octo__sums-1", "completion": "<L1>    total = a * b"},
    {"instance_id": "octo__sums-1", "completion": "<L2>    return a"},
    {"instance_id": "octo__sums-1", "completion": "no edit"},
    {"instance_id": "octo__sums-2", "completion": "<L1>    best = 1"},
    {"instance_id": "somebody__else-1", "completion": "<L1>    best = 1"},
]
VERDICTS = [
    {"instance_id": "octo__sums-1", "resolved": True, "completion": "<L1>    total = a + b"},
    {"instance_id": "octo__sums-1", "resolved": False, "completion": "<L1>    total = a * b"},
    {"instance_id": "octo__sums-2", "resolved": False, "completion": "<L1>    best = 1"},
    {"instance_id": "octo__sums-2", "resolved": True, "completion": "<L3>        if value > best:"},
    {"instance_id": "octo__sums-2", "resolved": True, "completion": "no edit"},
    {"instance_id": "somebody__else-1", "resolved": True, "completion": "<L1>    best = 1"},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of one tiny multiplication wait for each other longer than it takes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Qwen2 of two layers with random weights, and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer([ADD, LARGEST] * 10, 448)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = Qwen2Config(
        vocab_size=448, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=64, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    Qwen2ForCausalLM(shape).save_pretrained(folder)
    return folder


@pytest.fixture
def told(tiny: Path, tmp_path: Path) -> dict[str, dict[str, object]]:
    """A configuration as a file would hold it, for every stage, to be changed by a test."""
    stage = {"steps": 2, "learning_rate": 1e-3, "batch": 2, "accumulate": 2}
    return {
        "model": {
            "name": str(tiny), "edit_format": "line", "context_tokens": 256, "completion_tokens": 8,
        },
        "data": {
            "tasks": str(write(tmp_path / "tasks.jsonl", TASKS)),
            "candidates": str(write(tmp_path / "candidates.jsonl", CANDIDATES)),
            "verdicts": str(write(tmp_path / "verdicts.jsonl", VERDICTS)),
            "held_out": 0.0,
        },
        "run": {
            "out": str(tmp_path / "run"), "device": "cpu", "precision": "fp32",
            "checkpoint_activations": False, "save_every": 100,
        },
        "sft": dict(stage),
        "mutation": {**stage, "examples": 2},
        "reward": dict(stage),
        "rl": {**stage, "learning_rate": 1e-5, "temperature": 0.3, "rollouts": 2, "examples": 2, "policy": str(tiny), "reward": "similarity"},
    }  # fmt: skip


def config_of(told: dict[str, dict[str, object]]) -> LargeConfig:
    return LargeConfig.model_validate_json(json.dumps(told))
