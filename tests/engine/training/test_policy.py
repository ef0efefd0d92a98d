"""Sampling and scoring by one distribution, whatever the padding and the packing."""

from pathlib import Path

import pytest
import torch

from engine.errors import BadInputError
from engine.line_format import render_prompt
from engine.training.packed import Pack, grouped, lay
from engine.training.policy import Policy, load_policy, seeded

SHORT = render_prompt("def f(x):\n    return x", issue="", previous=[])
LONG = render_prompt(
    "def f(x):\n    y = x\n    z = y\n    return z", issue="f is wrong", previous=["<L1>    y = 1"]
)


@pytest.fixture
def policy(tiny_model: Path) -> Policy:
    return load_policy(tiny_model)


def test_a_completion_is_as_likely_beside_others_as_alone(policy: Policy):
    prompts = policy.encode([SHORT, LONG])
    drawn = policy.sample([SHORT, LONG], 3, 1.0, seeded(0))
    packs = [Pack(i, tuple(s.ids for s in d)) for i, d in zip(prompts, drawn, strict=True)]
    with torch.no_grad():
        together = policy.log_likelihoods(packs)
        alone = [
            policy.log_likelihoods([Pack(pack.prompt, (each,))])
            for pack in packs
            for each in pack.completions
        ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    assert together.isfinite().all(), "what is drawn is never impossible"


def test_samples_follow_the_likelihoods(policy: Policy):
    drawn = policy.sample([SHORT], 400, 1.0, seeded(1))[0]
    ids = policy.encode(["<L1>"])[0]
    with torch.no_grad():
        expected = policy.log_likelihoods([Pack(policy.encode([SHORT])[0], (ids,))]).exp().item()
    assert abs(sum(s.text.startswith("<L1>") for s in drawn) / 400 - expected) < 0.1


def test_no_line_is_named_that_the_prompt_does_not_show(policy: Policy):
    drawn = policy.sample([SHORT], 40, 2.0, seeded(2))[0]
    assert {sample.text[:4] for sample in drawn} <= {"<L0>", "<L1>"}
    assert not any("<edit>" in sample.text or "<pad>" in sample.text for sample in drawn)


def test_the_same_seed_gives_the_same_samples_whoever_stands_beside(policy: Policy):
    first = policy.sample([SHORT], 4, 0.0, seeded(3))[0]
    again = policy.sample([LONG, SHORT], 4, 0.0, seeded(4))[1]
    assert first == again
    assert len(set(first)) == 1


def test_packs_see_their_prompt_and_themselves_only():
    rows = lay([Pack([5, 6], ([7, 8], [9])), Pack([5], ([7],))], pad=0)
    assert rows.ids.tolist() == [[5, 6, 7, 8, 9], [5, 7, 0, 0, 0]]
    assert rows.positions[0].tolist() == [0, 1, 2, 3, 2]
    assert rows.mask[0, 0, 4].tolist() == [True, True, False, False, True]
    assert rows.predictor.tolist() == [1, 2, 1, 0]
    assert rows.target.tolist() == [7, 8, 9, 7]
    assert rows.owner.tolist() == [0, 0, 1, 2]
    assert rows.lasts.tolist() == [[0, 3], [0, 4], [1, 1]]


def test_groups_hold_every_pack_once_within_the_budget():
    packs = [Pack([1] * n, ([1],)) for n in (50, 3, 7, 200, 9)]
    groups = grouped(packs, 60)
    assert sorted(k for group in groups for k in group) == [0, 1, 2, 3, 4]
    assert all(
        len(group) == 1 or len(group) * max(packs[k].tokens for k in group) <= 60
        for group in groups
    )


def test_a_folder_without_a_model_says_which_stage_is_missing(tmp_path: Path):
    with pytest.raises(BadInputError, match="train the stage before it first"):
        load_policy(tmp_path)
