"""Every stage really trains a model of two layers for a few steps, and ends with clear errors."""

import json
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.libraries.runs import told_errors
from engine.training.libraries.scoring import load_reward_model
from engine.training.libraries.trl_reward import train_reward
from engine.training.libraries.trl_rl import train_rl
from engine.training.libraries.trl_sft import train_supervised
from tests.engine.training.libraries.conftest import config_of, write

pytestmark = [
    pytest.mark.slow,
    # The pinned TRL asks this transformers by the name that it had before.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]


def metrics(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def policy(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes usable edits, since it learned the candidates by heart."""
    from tests.engine.training.libraries.conftest import TASKS

    folder = tmp_path_factory.mktemp("policy")
    config = config_of({
        "model": {"name": str(tiny), "edit_format": "line", "context_tokens": 256},
        "data": {"tasks": str(write(folder / "tasks.jsonl", TASKS))},
        "run": {
            "out": str(folder), "device": "cpu", "precision": "fp32", "save_every": 1000,
            "checkpoint_activations": False,
        },
        "sft": {"steps": 70, "learning_rate": 1e-2, "batch": 2, "accumulate": 1},
    })  # fmt: skip
    return train_supervised(config, mutation=False)


def test_classical_sft_learns_the_gold_edits(policy):
    losses = [each["loss"] for each in metrics(policy.parent)]
    assert losses[-1] < 0.2 * losses[0]
    assert (policy / "model.safetensors").is_file()
    assert (policy / "tokenizer.json").is_file()


def test_mutation_sft_starts_from_the_base_and_shows_candidates(told, tmp_path):
    folder = train_supervised(config_of(told), mutation=True)
    assert [each["step"] for each in metrics(folder.parent)] == [1, 2]
    del told["data"]["candidates"]
    told["run"]["out"] = str(tmp_path / "another")
    with pytest.raises(BadInputError, match="evoscale train large sample"):
        train_supervised(config_of(told), mutation=True)


def test_adapters_are_trained_and_merged(told):
    told["lora"] = {"rank": 2, "alpha": 4}
    folder = train_supervised(config_of(told), mutation=False)
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "adapter_config.json").exists()


def test_the_reward_model_learns_which_patch_resolves_and_answers_between_0_and_1(told):
    told["reward"] |= {"steps": 12, "learning_rate": 1e-2}
    config = config_of(told)
    folder = train_reward(config)
    losses = [each["loss"] for each in metrics(folder.parent)]
    assert losses[0] == pytest.approx(0.693, abs=0.05)  # ln 2: a mean, whatever is accumulated
    assert losses[-1] < losses[0]
    scorer = load_reward_model(str(folder), config)
    from engine.training.libraries.messages import usable
    from engine.training.libraries.tasks import TaskFile

    task = TaskFile(config.data.tasks).get("octo__sums-1")
    good, bad = (
        usable(task, text, config.model.profile)
        for text in ("<L1>    total = a + b", "<L1>    total = a * b")
    )
    scores = scorer.score([(task, good), (task, bad)])
    assert 0 < scores[1] < scores[0] < 1


def test_rl_refreshes_its_examples_and_keeps_them_with_the_checkpoint(told, policy):
    told["rl"] |= {"policy": str(policy), "refresh_every": 1, "without_examples": 0.0}
    del told["data"]["candidates"]
    folder = train_rl(config_of(told)).parent
    rows = metrics(folder)
    assert rows[0]["usable"] > 0
    assert rows[-1]["conditioned"] > 0
    kept = [
        json.loads(line)
        for line in (folder / "checkpoint-2" / "pool.jsonl").read_text().splitlines()
    ]
    assert all(row["step"] <= 1 and row["completions"] for row in kept)
    assert {row["step"] for row in kept} == {1}


def test_rl_goes_on_from_its_last_checkpoint_with_examples_that_are_never_refreshed(told, policy):
    told["rl"] |= {"policy": str(policy), "refresh_every": 0, "baseline": "leave_one_out"}
    told["rl"]["steps"] = 1
    folder = train_rl(config_of(told)).parent
    told["rl"]["steps"] = 2
    train_rl(config_of(told))
    assert [each["step"] for each in metrics(folder)] == [1, 2]
    kept = (folder / "checkpoint-2" / "pool.jsonl").read_text().splitlines()
    completions = {text for line in kept for text in json.loads(line)["completions"]}
    assert completions == {"<L1>    total = a * b", "<L2>    return a", "<L1>    best = 1"}


def test_without_refreshing_and_without_candidates_there_is_nothing_to_show(told, policy):
    told["rl"] |= {"policy": str(policy), "refresh_every": 0}
    del told["data"]["candidates"]
    with pytest.raises(BadInputError, match="refresh"):
        train_rl(config_of(told))


def test_rl_with_a_trained_reward_model_scores_the_rollouts(told, policy, tiny, tmp_path):
    from transformers import AutoModelForSequenceClassification

    judge = tmp_path / "judge"
    shutil.copytree(tiny, judge)
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1)
    model.save_pretrained(judge)
    told["rl"] |= {"policy": str(policy), "reward": "model", "reward_model": str(judge)}
    told["rl"]["steps"] = 1
    row = metrics(train_rl(config_of(told)).parent)[0]
    assert 0 < row["score"] < 1


def with_nan(model: Path, folder: Path) -> Path:
    from transformers import AutoModelForCausalLM

    shutil.copytree(model, folder)
    broken = AutoModelForCausalLM.from_pretrained(model)
    broken.model.layers[0].mlp.up_proj.weight.data[0] = float("nan")
    broken.save_pretrained(folder)
    return folder


def test_nan_in_the_loss_ends_the_run_and_no_checkpoint_holds_it(told, tiny, tmp_path):
    told["model"]["name"] = str(with_nan(tiny, tmp_path / "nan"))
    with pytest.raises(BadInputError, match=r"NaN at step 1; no checkpoint was written; lower"):
        train_supervised(config_of(told), mutation=False)
    assert not list((tmp_path / "run" / "sft").glob("checkpoint-*"))


def test_nan_in_the_samples_ends_rl(told, tiny, tmp_path):
    told["rl"]["policy"] = str(with_nan(tiny, tmp_path / "nan"))
    with pytest.raises(BadInputError, match="rl: NaN"):
        train_rl(config_of(told))


def test_memory_that_runs_out_is_told_with_what_to_lower(told):
    import torch

    with (
        pytest.raises(BadInputError, match=r"memory ran out; lower sft.batch \(2\).*\[lora\]"),
        told_errors(config_of(told), "sft"),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_a_checkpoint_of_another_configuration_is_refused(told):
    told["sft"]["steps"] = 1
    train_supervised(config_of(told), mutation=False)
    told["sft"] |= {"learning_rate": 5e-4, "steps": 3}
    with pytest.raises(BadInputError, match=r"sft.learning_rate was 0.001 and is 0.0005"):
        train_supervised(config_of(told), mutation=False)


def test_a_half_written_checkpoint_is_not_gone_on_from(told, tmp_path):
    told["sft"]["steps"] = 1
    train_supervised(config_of(told), mutation=False)
    (tmp_path / "run" / "sft" / "checkpoint-7").mkdir()
    told["sft"]["steps"] = 2
    folder = train_supervised(config_of(told), mutation=False)
    assert [each["step"] for each in metrics(folder.parent)] == [1, 2]


def test_a_model_that_is_not_there_is_named(told, tmp_path):
    told["model"]["name"] = str(tmp_path / "nowhere")
    with pytest.raises(BadInputError, match="nowhere cannot be loaded"):
        train_supervised(config_of(told), mutation=False)
