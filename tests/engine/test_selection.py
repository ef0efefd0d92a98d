import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candidate import Candidate, Scored
from engine.reward import FORMAT_PENALTY, potential_difference
from engine.reward import tests_reward as reward_of
from engine.selection import by_reward, by_tests, choose, unscored
from sandbox.contract import Patch
from sandbox.grading import Grade, Tally


def scored(sample=0, broken=0, fixed=1, of=1, key=None, lines=1, patch=True) -> Scored:
    body = "diff --git a/m b/m\n--- a/m\n+++ b/m\n" + "+x\n" * lines
    candidate = Candidate(0, sample, "", Patch(body) if patch else None, key or f"k{sample}")
    grade = Grade(
        Tally(fixed, of),
        Tally(10 - broken, 10),
        tuple(f"t{n}" for n in range(broken)),
        evidence=True,
    )
    return Scored(candidate, reward_of(grade if patch else None), grade if patch else None, "said")


def test_each_rule_of_the_final_choice_decides_where_the_ones_before_it_tie():
    assert (
        choose([scored(0, fixed=1, of=2), scored(1, fixed=2, of=2)]).decided_by
        == "most FAIL_TO_PASS tests"
    )
    votes = choose([scored(0, key="a"), scored(1, key="b"), scored(2, key="b")])
    assert (votes.scored.candidate.key, votes.decided_by) == (
        "b",
        "most votes",
    ) or votes.scored.candidate.key == "b"
    short = choose([scored(0, lines=9), scored(1, lines=2)])
    assert (short.scored.candidate.sample, short.decided_by) == (1, "shorter diff")
    assert choose([scored(1), scored(0)]).scored.candidate.sample == 0


def test_a_patch_that_breaks_a_test_or_fixes_none_is_never_chosen():
    assert choose([scored(broken=1), scored(fixed=0), scored(patch=False)]) is None
    assert choose([]) is None


def test_without_a_failing_test_no_regression_is_enough_to_be_chosen():
    assert choose([scored(fixed=0, of=0)]).scored.grade.resolved is False


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=5
    )
)
def test_the_choice_does_not_depend_on_the_order_of_arrival(rows):
    pool = [scored(n, b, f, 2, lines=size) for n, (b, f, size) in enumerate(rows)]
    choices = {
        c.scored.candidate.sample if c else None for c in map(choose, itertools.permutations(pool))
    }
    assert len(choices) == 1


def test_guided_selection_takes_the_best_and_hands_on_what_their_tests_said():
    pool = [scored(0, broken=2), scored(1), scored(2, fixed=0)]
    candidates = [s.candidate for s in pool]
    for select in (by_tests(lambda _: pool), by_reward(lambda _: pool, lambda s: s.reward)):
        examples = select(candidates, 2)
        assert examples[0].candidate.sample == 1
        assert [e.feedback for e in examples] == ["said", "said"]


def test_self_evolve_takes_them_as_they_are_and_leaves_out_the_unusable():
    candidates = [scored(0, patch=False).candidate, scored(1).candidate, scored(2).candidate]
    assert [e.candidate.sample for e in unscored(candidates, 5)] == [1, 2]
    assert all(e.feedback is None for e in unscored(candidates, 5))


@pytest.mark.parametrize(("broken", "fixed", "reward"), [(0, 1, 1.0), (0, 0, 0.5), (10, 1, 0.0)])
def test_the_reward_counts_regressions_before_fixes(broken, fixed, reward):
    assert scored(broken=broken, fixed=fixed).reward == reward


def test_an_unusable_edit_costs_the_format_penalty_and_differences_telescope():
    assert scored(patch=False).reward == -FORMAT_PENALTY
    path = [0.1, 0.4, 0.3, 0.9]
    total = sum(potential_difference(b, a) for a, b in itertools.pairwise(path))
    assert total == pytest.approx(0.8)
