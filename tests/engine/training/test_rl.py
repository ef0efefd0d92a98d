"""Reinforcement learning on a real model, real samples and real boxes, a few steps at a time."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from engine.errors import BadInputError
from engine.training.chains import Chain, at_random, best_by, distinct
from engine.training.judging import Judge, Judged, reward_of
from engine.training.names import Baseline, Objective
from engine.training.outcomes import Boxes
from engine.training.policy import Sampled, load_policy
from engine.training.rl import Chains, RlConfig, RlProgress, Visit, advantages, train_rl, update
from tests.engine.training.conftest import DOUBLED, NEXT

RIGHT, WRONG, UNUSABLE = "<L1>    return x + x", "<L1>    return x", "<L1>    return ("


def judged(text: str, reward: float) -> Judged:
    return Judged(text, text, reward, visible=False, solved=reward == 1.0)


def visit_of(chain: Chain, rewards: list[float], ids: tuple[int, ...] = (20, 21)) -> Visit:
    samples = tuple(Sampled("", (*ids, 30 + k)) for k in range(len(rewards)))
    return Visit(chain, samples, tuple(judged(f"{k}", r) for k, r in enumerate(rewards)))


def test_running_a_sample_says_what_it_is_worth(boxes: Boxes):
    (found,) = Judge(boxes).judge([(DOUBLED, [RIGHT, WRONG, UNUSABLE, "<L1>    return x - x"])])
    assert [one.solved for one in found] == [True, False, False, False]
    assert [one.reward for one in found] == [1.0, 0.5, -0.2, -0.2]
    assert [one.key is None for one in found] == [False, False, True, True]


def test_breaking_what_worked_is_worth_less_than_doing_nothing():
    assert reward_of([True, False], [True, True]) == 1.0
    assert reward_of([True, False], [True, False]) == 0.5
    assert reward_of([True, False], [False, True]) == 0.0


def test_a_chain_shows_what_was_usable_and_keeps_what_it_showed_when_nothing_was():
    first = Chain(DOUBLED)
    assert "<prev>" not in first.prompt
    assert "doubled is wrong" in first.prompt
    assert "nobody knows why" not in first.prompt
    second = first.then([judged("<L1>    return 1", 0.1)] * 3, at_random(0))
    assert second.prompt.count("<prev>") == 1
    third = second.then([Judged("x", None, -0.2, visible=False, solved=False)], at_random(0))
    assert third.examples == second.examples
    assert (first.iteration, second.iteration, third.iteration) == (0, 1, 2)


def test_selection_takes_the_best_and_chance_takes_any():
    samples = [judged(f"<L1>{k}", k / 10) for k in range(8)]
    chain = Chain(DOUBLED)
    best = best_by(lambda _, one: one.reward)(chain, distinct(samples), 3)
    assert [one.reward for one in best] == [0.7, 0.6, 0.5]
    drawn = {tuple(at_random(seed)(chain, samples, 3)) for seed in range(20)}
    assert len(drawn) > 10


@pytest.mark.parametrize("objective", Objective)
def test_the_batch_is_the_baseline(objective: Objective, tmp_path: Path):
    config = RlConfig(tmp_path, tmp_path, tmp_path, objective=objective)
    shown = Chain(DOUBLED, 1, (judged("a", 0.8),))
    told = advantages(
        [visit_of(shown, [0.0, 1.0]), visit_of(Chain(NEXT), [0.5])], config, Random(0)
    )
    every = np.concatenate(told)
    assert abs(every.mean()) < 1e-9
    assert abs(every.std() - 1) < 1e-3
    paid = np.array([0.0, 1.0, 0.5]) - (objective is Objective.DIFFERENCE) * np.array([0.8, 0.8, 0])
    assert np.argsort(every).tolist() == np.argsort(paid).tolist()


def test_what_is_subtracted_for_a_prompt_cancels_in_its_own_group(tiny_model: Path, tmp_path: Path):
    shown = Chain(DOUBLED, 1, (judged("<L1>    return 1", 0.8), judged("<L1>    return 2", 0.1)))
    visits = [visit_of(shown, [0.0, 1.0, 0.5]), visit_of(Chain(NEXT), [0.2, 0.9, 0.9])]

    def moved(objective: Objective, baseline: Baseline) -> torch.Tensor:
        policy = load_policy(tiny_model)
        optimizer = torch.optim.SGD(policy.model.parameters(), lr=1.0)
        config = RlConfig(
            tmp_path, tiny_model, tmp_path, objective=objective, baseline=baseline, lr=1.0
        )
        before = torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach().clone()
        update(policy, optimizer, visits, config, 0)
        return torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach() - before

    group = [moved(objective, Baseline.GROUP) for objective in Objective]
    batch = [moved(objective, Baseline.BATCH) for objective in Objective]
    assert torch.allclose(group[0], group[1], atol=1e-7)
    assert (batch[0] - batch[1]).norm() > 0.01 * batch[0].norm()


def test_an_update_makes_what_was_rewarded_likelier(tiny_model: Path, tmp_path: Path):
    policy = load_policy(tiny_model)
    ids = policy.encode([RIGHT, WRONG])
    eos = policy.eos
    chain = Chain(DOUBLED)
    samples = tuple(Sampled("", (*each, eos)) for each in ids)
    one = Visit(chain, samples, (judged("a", 1.0), judged("b", 0.0)))
    optimizer = torch.optim.AdamW(policy.model.parameters())
    config = RlConfig(tmp_path, tiny_model, tmp_path, lr=1e-3)

    def likelihoods() -> list[float]:
        from engine.training.packed import Pack

        pack = Pack(policy.encode([chain.prompt])[0], tuple(sample.ids for sample in samples))
        with torch.no_grad():
            return policy.log_likelihoods([pack]).tolist()

    before = likelihoods()
    for step in range(6):
        update(policy, optimizer, [one], config, step)
    after = likelihoods()
    assert after[0] - after[1] > before[0] - before[1] + 0.1


def test_chains_are_visited_in_turn_and_a_task_without_difference_is_dropped(tmp_path: Path):
    config = RlConfig(tmp_path, tmp_path, tmp_path, prompts=1, chains=2, iterations=2)
    chains = Chains([DOUBLED, NEXT], config, 0)
    (first,) = chains.next()
    assert chains.go_on([visit_of(first, [0.5, 0.5])]) == 1
    (second,) = chains.next()
    assert second.task != first.task
    assert chains.go_on([visit_of(second, [0.5, 0.7])]) == 0
    chains.go_on([visit_of(chains.next()[0], [0.1, 0.2])])
    (again,) = chains.next()
    assert (again.task, again.iteration, len(again.examples)) == (second.task, 1, 2)


def test_a_run_steps_goes_on_from_its_checkpoint_and_exports(
    tiny_model: Path, tasks_file: Path, boxes: Boxes, tmp_path: Path
):
    from transformers import AutoModelForCausalLM

    heard: list[RlProgress] = []
    config = RlConfig(
        tasks_file, tiny_model, tmp_path / "rl", steps=2, prompts=2, samples=4, chains=2,
        save_every=1, lr=1e-3,
    )  # fmt: skip
    folder = train_rl(config, boxes, heard.append)
    train_rl(replace(config, steps=3), boxes, heard.append)
    assert [one.step for one in heard] == [1, 2, 3]
    assert len((tmp_path / "rl" / "metrics.jsonl").read_text().splitlines()) == 3
    assert json.loads((tmp_path / "rl" / "config.json").read_text())["objective"] == "difference"
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "qwen2"
    with pytest.raises(BadInputError, match="of another run: its objective differ"):
        train_rl(replace(config, objective=Objective.PLAIN), boxes, heard.append)


def test_weights_that_are_no_numbers_end_the_run_with_advice(
    tiny_model: Path, tasks_file: Path, tmp_path: Path
):
    policy = load_policy(tiny_model)
    with torch.no_grad():
        policy.model.model.norm.weight.fill_(float("nan"))
    optimizer = torch.optim.AdamW(policy.model.parameters())
    config = RlConfig(tasks_file, tiny_model, tmp_path)
    with pytest.raises(BadInputError, match="lower the learning rate"):
        update(policy, optimizer, [visit_of(Chain(DOUBLED), [0.0, 1.0])], config, 0)
