"""What a rollout is shown, and what its reward is compared with."""

from pathlib import Path

import pytest
import torch

from engine.training.libraries.loading import load_tokenizer
from engine.training.libraries.messages import Example, usable
from engine.training.libraries.pool import NOTHING, Pool, Scored
from engine.training.libraries.rollouts import Conditioner, advantages
from engine.training.libraries.scoring import Similarity, objective
from tests.engine.training.libraries.conftest import config_of

GOOD, BAD = "<L1>    total = a + b", "<L1>    total = a * b"


def pool_of(count: int) -> Pool:
    pool = Pool(seed=0)
    examples = [Example(f"<L1>{k}", f"patch {k}", f"key {k}") for k in range(count)]
    pool.replace("task", [Scored(e, k / 10) for k, e in enumerate(examples)], step=3)
    return pool


def test_every_rollout_of_a_group_draws_examples_of_its_own():
    draws = [pool_of(8).draw("task", 2, (0, rollout)) for rollout in range(8)]
    assert len({tuple(e.key for e in draw.examples) for draw in draws}) > 1
    assert len({draw.previous for draw in draws}) > 1
    assert draws[0] == pool_of(8).draw("task", 2, (0, 0))


def test_the_previous_reward_is_that_of_an_example_that_is_shown():
    for rollout in range(20):
        draw = pool_of(6).draw("task", 3, (1, rollout))
        assert f"key {round(draw.previous * 10)}" in {e.key for e in draw.examples}


def test_examples_grow_stale_and_never_where_they_are_not_refreshed():
    pool = pool_of(2)
    assert not pool.stale("task", 27, refresh_every=25)
    assert pool.stale("task", 28, refresh_every=25)
    assert pool.stale("another", 0, refresh_every=25)
    assert not pool.stale("another", 1000, refresh_every=0)
    assert pool.draw("another", 5, (0, 0)) == NOTHING


def test_examples_of_the_same_program_are_one_and_unusable_samples_take_nobodys_place():
    pool = Pool(seed=0)
    pool.replace("task", [Scored(Example(text, "p", "key"), 0.5) for text in "ab"], 0)
    assert len(pool.draw("task", 5, (0, 0)).examples) == 1
    pool.replace("task", [], 9)
    assert pool.draw("task", 5, (0, 0)).examples
    assert not pool.stale("task", 10, refresh_every=5)


def test_a_shaped_reward_cancels_in_a_group_that_shares_its_examples_and_only_there():
    rewards = torch.tensor([0.1, 0.9, 0.4, 0.6])
    shown = torch.ones(4)
    shared = rewards - torch.tensor([0.5, 0.5, 0.2, 0.2])
    own = rewards - torch.tensor([0.5, 0.3, 0.2, 0.4])
    plain = advantages(rewards, shown, 2, "group")
    assert torch.allclose(advantages(shared, shown, 2, "group"), plain)
    assert not torch.allclose(advantages(own, shown, 2, "group"), plain)
    batch = advantages(rewards, shown, 2, "batch")
    assert not torch.allclose(advantages(shared, shown, 2, "batch"), batch)


def test_leave_one_out_compares_with_the_others():
    found = advantages(torch.tensor([1.0, 0.0, 0.0]), torch.ones(3), 3, "leave_one_out")
    assert torch.allclose(found, torch.tensor([1.0, -0.5, -0.5]))


def test_a_batch_baseline_does_not_tell_prompts_with_examples_from_those_without():
    rewards = torch.tensor([0.0, 0.2, 0.8, 1.0])
    conditioned = torch.tensor([1.0, 1.0, 0.0, 0.0])
    found = advantages(rewards, conditioned, 2, "batch")
    assert torch.allclose(found, torch.tensor([-1.0, 1.0, -1.0, 1.0]), atol=1e-2)


def test_an_unusable_edit_costs_the_penalty_and_is_still_compared():
    assert objective(None, 0.5, 0.2) == pytest.approx(-0.7)
    assert objective(0.9, 0.5, 0.2) == pytest.approx(0.4)


@pytest.fixture
def conditioner(told: dict[str, dict[str, object]], tiny: Path) -> Conditioner:
    told["rl"] |= {"without_examples": 0.0}
    return Conditioner(config_of(told), load_tokenizer(str(tiny)), Similarity())


def wait_for(conditioner: Conditioner, *completions: str) -> None:
    """Candidates of a file, taken up when their task comes up."""
    task = conditioner.tasks.get("octo__sums-1")
    read = tuple(usable(task, text, conditioner.profile) for text in completions)
    conditioner.waiting = {task.instance_id: read}
    assert not conditioner.needs_refresh([task.instance_id], 0)
    assert not conditioner.waiting


def test_what_is_sampled_for_a_refresh_becomes_the_next_prompts_examples(conditioner):
    ids = ["octo__sums-1", "octo__sums-1"]
    assert conditioner.needs_refresh(ids, 0)
    encode = conditioner._tokenizer.encode
    conditioner.refresh(ids, 0, lambda _: [encode(GOOD), encode(BAD)], lambda mine: mine)
    assert not conditioner.needs_refresh(ids, 1)
    made = conditioner.rollouts(ids, 1)
    assert {e.completion for draw in made.draws for e in draw.examples} == {GOOD, BAD}
    shown = conditioner.decode(made.prompt_ids)
    assert all("<prev>" in prompt for prompt in shown)


def test_a_rollout_that_repeats_an_example_is_counted_as_copied(conditioner):
    encode = conditioner._tokenizer.encode
    wait_for(conditioner, BAD)
    draws = conditioner.rollouts(["octo__sums-1"] * 3, 0).draws
    completions = [encode(text) for text in (BAD, GOOD, "no edit")]
    found = conditioner.outcomes(["octo__sums-1"] * 3, completions, draws)
    assert [each.copied for each in found] == [True, False, False]
    assert [each.usable for each in found] == [True, True, False]
    assert found[0].reward == pytest.approx(0.0)
    assert found[1].reward == pytest.approx(1.0 - draws[1].previous)
    assert found[2].reward == pytest.approx(-0.2 - draws[2].previous)


def test_all_rollouts_of_a_task_are_shown_examples_or_none_is(told, tiny):
    told["rl"] |= {"without_examples": 0.5}
    both = Conditioner(config_of(told), load_tokenizer(str(tiny)), Similarity())
    wait_for(both, GOOD, BAD)
    kinds = set()
    for step in range(20):
        draws = both.rollouts(["octo__sums-1"] * 4, step).draws
        assert len({bool(draw.examples) for draw in draws}) == 1
        kinds.add(bool(draws[0].examples))
    assert kinds == {True, False}
