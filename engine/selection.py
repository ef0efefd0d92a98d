"""Choosing conditioning examples for the next iteration, and the one final patch."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.candidate import Candidate, ConditioningExample, Scored, Select
from engine.edits import changed_lines
from engine.reward import Reward

Score = Callable[[Sequence[Candidate]], Sequence[Scored]]
"""Waits for the tests of some candidates and says how they did, in the same order."""


def unscored(candidates: Sequence[Candidate], k: int) -> Sequence[ConditioningExample]:
    """Self-evolve: the first k usable candidates as they are; no score is asked for."""
    return [ConditioningExample(c) for c in candidates if c.patch][:k]


def by_reward(score: Score, reward: Reward) -> Select:
    """The k candidates of highest reward, each with what its tests said."""

    def select(candidates: Sequence[Candidate], k: int) -> Sequence[ConditioningExample]:
        usable = [s for s in score(candidates) if s.candidate.patch]
        ranked = sorted(usable, key=lambda s: (-reward(s), s.candidate.sample))
        return [ConditioningExample(s.candidate, s.feedback) for s in ranked[:k]]

    return select


def by_tests(score: Score) -> Select:
    """The k candidates that break least and fix most, each with what its tests said."""

    def select(candidates: Sequence[Candidate], k: int) -> Sequence[ConditioningExample]:
        usable = [s for s in score(candidates) if s.candidate.patch]
        ranked = sorted(usable, key=lambda s: (_broken(s), -_fixed(s), s.candidate.sample))
        return [ConditioningExample(s.candidate, s.feedback) for s in ranked[:k]]

    return select


def _broken(scored: Scored) -> int:
    return len(scored.grade.broken) if scored.grade else 1_000_000


def _fixed(scored: Scored) -> int:
    return scored.grade.fail_to_pass.passed if scored.grade else 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The final candidate, and which rule set it apart from the runners-up."""

    scored: Scored
    decided_by: str


def choose(pool: Sequence[Scored]) -> Choice | None:
    """Fewest broken tests, most FAIL_TO_PASS, most votes, shorter diff, first sampled.

    Only candidates that break nothing are eligible, and where there is a FAIL_TO_PASS test they
    must pass at least one. Votes count candidates of the same normalised form.
    """
    eligible = [s for s in pool if _eligible(s)]
    if not eligible:
        return None
    votes = Counter(s.candidate.key for s in pool)
    levels: list[tuple[str, Callable[[Scored], int]]] = [
        ("fewest broken tests", _broken),
        ("most FAIL_TO_PASS tests", lambda s: -_fixed(s)),
        ("most votes", lambda s: -votes[s.candidate.key]),
        ("shorter diff", lambda s: changed_lines(s.candidate.patch or "")),
    ]
    decided_by = "the only candidate that kept every test" if len(eligible) == 1 else ""
    for name, level in levels:
        best = min(level(s) for s in eligible)
        kept = [s for s in eligible if level(s) == best]
        if len(kept) == 1 and not decided_by:
            decided_by = name
        eligible = kept
    first = min(eligible, key=lambda s: (s.candidate.iteration, s.candidate.sample))
    return Choice(first, decided_by or "sampled first among equals")


def _eligible(scored: Scored) -> bool:
    grade = scored.grade
    if grade is None or not scored.candidate.patch or not grade.no_regression:
        return False
    return grade.fail_to_pass.of == 0 or grade.fail_to_pass.passed > 0
