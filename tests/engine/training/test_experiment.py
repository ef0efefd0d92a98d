"""Arms walk real tasks with real models; what follows from walks is worked out on written ones."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training.analysis import (
    Estimate,
    best_of,
    by_majority,
    by_reward_model,
    by_tests,
    contrasts,
    iterations,
    mixed,
    oracle,
    samples_needed,
)
from engine.training.arms import ARMS, Sample, Walk, read_walks
from engine.training.executable import write_tasks
from engine.training.experiment import ExperimentConfig, chosen_arms, run_experiment
from engine.training.experiment_page import write_page
from engine.training.names import ARM_NAMES
from engine.training.outcomes import Boxes
from engine.training.reward_model import export as export_reward
from engine.training.reward_model import load_reward_model
from engine.training.shapes import Finding, difference, goals, right_at, shapes
from tests.engine.training.conftest import DOUBLED, NEXT


def sample(iteration: int, *, solved: bool, key: str = "a", score: float = 0.5) -> Sample:
    return Sample(iteration, float(solved), True, solved, solved, False, key, score)


def walk_of(number: int, solved: list[bool], seed: int = 0) -> Walk:
    samples = tuple(sample(k // 2, solved=s, key=str(k)) for k, s in enumerate(solved))
    return Walk("M1", seed, f"t{number}", f"f{number}", "kind", 1.0, samples)


def test_every_arm_has_a_name_that_the_command_knows():
    assert tuple(arm.name for arm in ARMS) == ARM_NAMES


def test_arms_walk_and_go_on_and_the_page_shows_what_they_found(
    tiny_model: Path, boxes: Boxes, tmp_path: Path
):
    models = tmp_path / "models"
    for name in ("sft", "mutation"):
        shutil.copytree(tiny_model, models / name / "model")
    export_reward(load_reward_model(tiny_model, fresh=True), models / "reward" / "model")
    write_tasks(tmp_path / "tasks.jsonl", [DOUBLED, NEXT])
    config = ExperimentConfig(
        models, tmp_path / "tasks.jsonl", tmp_path / "tasks.jsonl", tmp_path / "out", seeds=2,
        rl_steps=1, rl_prompts=2, arms=("B0", "B3", "M1", "M2", "M3", "R3"),
    )  # fmt: skip
    said: list[str] = []
    found = run_experiment(config, boxes, said.append)
    assert (found.tasks, found.functions) == (2, 2)
    assert sum("R3 seed" in line and "tasks" in line for line in said) == 2
    assert [row.samples_spent for row in found.by_iteration["M2"]] == [10, 20, 30, 40]
    assert len(read_walks(tmp_path / "out" / "B0-0.jsonl")[0].samples) == 20
    again: list[str] = []
    assert run_experiment(config, boxes, again.append) == found
    assert again == [], "what is on disk is not done again"

    with pytest.raises(BadInputError, match="of another run: its limit and rl_steps differ"):
        run_experiment(replace(config, limit=1, rl_steps=9), boxes, again.append)

    page = tmp_path / "evoscale.md"
    write_page(page, found, config)
    text = page.read_text()
    assert "M3: mutation SFT, oracle-selected E" in text
    assert "R3, last iteration against first" in text
    assert "RL with E improves its own patches" in text
    assert json.loads((tmp_path / "evoscale" / "figures.json").read_text())["tasks"] == 2
    for plot in ("iterations.png", "samples.png", "seconds.png"):
        assert (tmp_path / "evoscale" / plot).read_bytes().startswith(b"\x89PNG")


def test_an_arm_that_is_not_known_is_named():
    with pytest.raises(BadInputError, match="no arm B9; the arms are B0, B1"):
        chosen_arms(["B1", "B9"])


def test_an_iterations_figures_are_those_of_its_own_samples():
    walks = [walk_of(0, [False, False, True, True]), walk_of(1, [False, True, False, True])]
    first, second = iterations(walks)
    assert (first.solved.mean, second.solved.mean) == (0.25, 0.75)
    assert first.solved.low <= 0.25 <= first.solved.high
    assert (first.samples_spent, second.samples_spent) == (2, 4)
    assert (first.distinct, second.cpu_s) == (2.0, 1.0)


def test_selectors_choose_by_what_they_may_see():
    right = sample(0, solved=True, key="r", score=0.2)
    wrong = sample(0, solved=False, key="w", score=0.9)
    assert oracle([wrong, right])
    assert by_tests([wrong, right])
    assert not by_reward_model([wrong, right])
    assert not by_majority([wrong, right, wrong])
    assert by_majority([right, wrong, right])
    assert not by_majority([])
    misled = Sample(0, 0.9, True, True, False, False, "m", 0.1)
    assert not by_tests([misled, right]), "passes what is visible and fails what is hidden"


def test_a_mix_takes_the_place_of_the_last_ranked_ones():
    ranked = [walk_of(k, [False, False, False, True]) for k in range(4)]
    written = [walk_of(k, [k < 2] * 4) for k in range(4)]
    assert [mixed(ranked, written, 4, free).mean for free in (0, 1, 4)] == [1.0, 0.5, 0.5]


def test_more_samples_never_solve_less_under_an_oracle():
    walks = [walk_of(k, [k == 3 * n for n in range(4)]) for k in range(10)]
    rates = [best_of(walks, n, oracle).mean for n in (1, 2, 4)]
    assert rates == sorted(rates)
    assert rates[-1] == 0.4
    assert samples_needed([(1, 0.1), (5, 0.3), (20, 0.5)], 0.25) == 5
    assert samples_needed([(1, 0.1)], 0.25) is None


def test_a_contrast_of_equals_is_no_finding_and_a_clear_one_is():
    walks = [walk_of(k, [True, True]) for k in range(30)]
    same, clear = contrasts(
        [("same", walks, [0.5] * 30, [0.5] * 30), ("clear", walks, [1.0] * 30, [0.0] * 30)]
    )
    assert (same.difference.mean, same.p_holm) == (0.0, 1.0)
    assert clear.difference.mean == 1.0
    assert clear.p_holm < 0.01
    assert clear.p_holm >= clear.p


def test_a_claim_holds_where_the_interval_lies_above_zero():
    better = [walk_of(k, [False, False, True, True]) for k in range(20)]
    (shape,) = [
        one
        for one in shapes({"R3": better})
        if one.claim.startswith("RL with E improves its own patches")
    ]
    assert (shape.ours.mean, shape.finding) == (1.0, Finding.HOLDS)
    worse = [walk_of(k, [True, True, False, False]) for k in range(20)]
    told = {one.claim[:12]: one.finding for one in shapes({"R3": worse, "B2": worse, "M1": worse})}
    assert told["RL with E im"] is Finding.CONTRADICTED
    assert told["classical SF"] is Finding.HOLDS
    assert told["RL lifts the"] is Finding.UNCLEAR


def test_an_arm_without_seeds_stands_beside_each_seed_of_another():
    seeded = [walk_of(k, [True, True], seed) for k in range(4) for seed in (0, 1, 2)]
    once = [walk_of(k, [False, True]) for k in range(4)]
    assert difference(seeded, right_at(0), once, right_at(0)).mean == 0.5


def test_the_flat_curve_of_a_reward_model_is_a_claim_about_many_samples():
    def repeated(k: int) -> Walk:
        samples = [sample(0, solved=n == k, key=str(n), score=float(n == 50)) for n in range(60)]
        return Walk("B1", 0, f"t{k}", f"f{k}", "kind", 6.0, tuple(samples))

    walks = [repeated(k) for k in range(12)]
    (flat,) = shapes({"B1": walks})
    assert flat.finding is Finding.HOLDS
    pooled = {
        "B1": [(20, Estimate(0.2, 0.1, 0.3)), (60, Estimate(0.5, 0.4, 0.6))],
        "R3": [(20, Estimate(0.4, 0.3, 0.5))],
        "M1": [(20, Estimate(0.6, 0.5, 0.7))],
    }
    evolving = [replace(walk, samples=walk.samples[:20], cpu_s=1.0) for walk in walks]
    r3, m1 = goals(pooled, {"B1": walks, "R3": evolving, "M1": evolving})
    assert (r3.needed, m1.needed) == (60, None)
    assert r3.seconds == (1.0, 6.0)
