"""Every stage by its own command, a few real steps on a tiny model."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app

pytestmark = pytest.mark.slow

BUDGET = ("--steps", "2", "--workers", "1", "--minutes", "600")


@dataclass(frozen=True)
class Files:
    """What every stage reads."""

    corpus: Path
    model: Path
    tasks: Path
    out: Path

    def supervised(self, *options: str) -> tuple[str, ...]:
        return ("--corpus", str(self.corpus), "--base", str(self.model), *BUDGET, *options)

    def options(self, stage: str) -> tuple[str, ...]:
        model, tasks = str(self.model), str(self.tasks)
        return {
            "pretrain": self.supervised("--tokenizer", model),
            "sft": self.supervised(),
            "mutation": self.supervised("--classical", model, "--instances", "8"),
            "reward": (
                *("--tasks", tasks, "--dev-tasks", tasks, "--policy", model, "--base", model),
                *("--epochs", "1"),
            ),
            "rl": ("--tasks", tasks, "--base", model, "--steps", "1", "--prompts", "2", "--samples", "2"),
        }[stage]  # fmt: skip


@pytest.fixture
def files(corpus_file: Path, tiny_model: Path, tasks_file: Path, tmp_path: Path) -> Files:
    return Files(corpus_file, tiny_model, tasks_file, tmp_path / "out")


@pytest.mark.parametrize("stage", ["pretrain", "sft", "mutation", "reward", "rl"])
def test_a_stage_trains_by_its_command_and_leaves_model_settings_and_metrics(
    files: Files, stage: str
) -> None:
    argv = ["train", stage, *files.options(stage), "--out", str(files.out)]
    said = CliRunner().invoke(app, argv)
    assert said.exit_code == 0, said.output
    assert str(files.out / "model") in said.output.replace("\n", "")
    settings = json.loads((files.out / "model" / "config.json").read_text())
    assert settings["hidden_size"] == 64, "the shape is that of the model that it begins from"
    assert json.loads((files.out / "config.json").read_text())["seed"] == 0
    assert (files.out / "metrics.jsonl").read_text().count("\n") >= 1
    again = CliRunner().invoke(app, [*argv, "--seed", "5"])
    assert again.exit_code != 0, "another run does not go on from here"


def test_a_tokenizer_is_trained_by_its_command(files: Files) -> None:
    argv = ["train", "tokenizer", "--corpus", str(files.corpus), "--out", str(files.out)]
    said = CliRunner().invoke(app, argv)
    assert said.exit_code == 0, said.output
    assert (files.out / "tokenizer.json").is_file()
