import json
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.outcomes import Boxes
from engine.training.reward_model import (
    Labelled,
    RewardModelConfig,
    RewardProgress,
    auc,
    evaluate,
    load_reward_model,
    train_reward_model,
)
from engine.training.rl import RlConfig, train_rl


def test_it_learns_to_tell_right_from_wrong_resumes_and_pays_rl(
    tiny_model: Path, tasks_file: Path, boxes: Boxes, tmp_path: Path
):
    from transformers import AutoModelForSequenceClassification

    heard: list[RewardProgress] = []
    config = RewardModelConfig(
        tasks_file, tasks_file, tiny_model, tiny_model, tmp_path / "reward", samples=3, epochs=12,
        lr=3e-3,
    )  # fmt: skip
    folder = train_reward_model(config, boxes, heard.append)
    assert heard[-1].loss < heard[0].loss
    labelled = [
        json.loads(line)
        for line in (tmp_path / "reward" / "labelled-train.jsonl").read_text().splitlines()
    ]
    assert all(any(row["solved"]) for row in labelled), "the true repair is among them"
    loaded = AutoModelForSequenceClassification.from_pretrained(folder)
    assert loaded.config.num_labels == 1
    reward = load_reward_model(folder)
    (scores,) = reward.score([(labelled[0]["prompt"], labelled[0]["texts"])])
    assert all(0.0 <= score <= 1.0 for score in scores)
    alone = [reward.score([(labelled[0]["prompt"], [text])])[0][0] for text in labelled[0]["texts"]]
    assert scores == pytest.approx(alone, abs=1e-4)
    told = len(heard)
    train_reward_model(config, boxes, heard.append)
    assert len(heard) == told, "a run that ended has nothing left to do"

    rl = RlConfig(
        tasks_file, tiny_model, tmp_path / "rl", steps=1, prompts=2, samples=2, chains=2,
        reward_model=folder,
    )  # fmt: skip
    assert (train_rl(rl, boxes, lambda _: None) / "model.safetensors").is_file()


def test_figures_are_shares_of_pairs():
    assert auc([0.9, 0.1], [True, False]) == 1.0
    assert auc([0.1, 0.9], [True, False]) == 0.0
    assert auc([0.5, 0.5], [True, False]) == 0.5
    assert auc([0.5], [True]) is None


def test_pairs_are_of_one_task_and_auc_of_all(tiny_model: Path):
    reward = load_reward_model(tiny_model, fresh=True)
    one = Labelled("<issue><code><L0>x<L0><edit>", ("<L0>y", "<L0>z"), (True, False))
    other = Labelled(one.prompt, ("<L0>w",), (True,))
    overall, within = evaluate(reward, [one, other])
    assert within in {0.0, 0.5, 1.0}
    assert overall is not None


def test_a_language_model_is_no_reward_model(tiny_model: Path, tmp_path: Path):
    with pytest.raises(BadInputError, match="make one: evoscale train reward"):
        load_reward_model(tiny_model)
    with pytest.raises(BadInputError, match="holds no model"):
        load_reward_model(tmp_path)
