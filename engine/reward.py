"""A candidate's reward in 0..1, and the potential-based difference that training uses.

R(x, y) is the share of named tests that pass, regressions counted first: a patch that breaks what
worked is worth less than no patch. A trained reward model takes the same place (`Reward`).
"""

from collections.abc import Callable

from engine.candidate import Scored
from sandbox.grading import Grade

Reward = Callable[[Scored], float]
"""Scores a tested candidate; higher is better, 0..1."""

FORMAT_PENALTY = 0.2
"""What an unusable edit costs below zero: the lambda F(y) of the published objective."""


def tests_reward(grade: Grade | None) -> float:
    """Half for keeping every passing test, half for the share of FAIL_TO_PASS that now pass.

    Without a grade the candidate was unusable: the format penalty.
    """
    if grade is None:
        return -FORMAT_PENALTY
    kept = share(grade.pass_to_pass.passed, grade.pass_to_pass.of)
    fixed = share(grade.fail_to_pass.passed, grade.fail_to_pass.of)
    return 0.5 * kept + 0.5 * fixed * kept


def share(passed: int, of: int) -> float:
    """The passed share of a list of tests; an empty list holds nothing back."""
    return passed / of if of else 1.0


def potential_difference(reward: float, previous: float) -> float:
    """r_t = R(x, y_t) - R(x, y_{t-1}), which telescopes over iterations (Ng et al. 1999)."""
    return reward - previous
