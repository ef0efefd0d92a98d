"""A line model that chooses among single rewrites instead of writing freely.

A model of a few million parameters knows better which edit is likely than how to write one without
a slip. So many random rewrites of the function are drawn; where they are too many to score, the
lines that the model suspects keep most of theirs; the rest is scored, and the likeliest of them are
the candidates. Rewrites that touch nothing that failing tests ran are left out, where that is
known. Edits are well formed by construction. Where the pool runs dry, or the text is no Python that
can be parsed, the model writes freely.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from engine.line_format import Shown, hidden_lines, parse, read_prompt, render_edit
from engine.models.base import Completion, Profile, Prompt, Sampling
from engine.models.rewrites.kinds import edit_between, repair
from engine.models.rewrites.spans import ParsedFunction
from engine.models.scores import Scores, ScoringModel
from engine.reach import reaches

POOL_DRAWS = 3000
POOL_SIZE = 256
REPAIR_SHARE = 0.15
SUSPICION = 1.0
"""The power of a line's likelihood that decides its part of the pool: 0 ignores it."""
MAX_EDIT_LINES = 5
MAX_DRAWN_CHARS = 12_000
"""A longer function fits no context of this model; thousands of rewrites of it would take long."""
REMEMBERED_PROMPTS = 16
"""A search asks the same prompt again when candidates turn out to be known."""


class RankedRewrites:
    """A scoring line model whose samples are drawn from rewrites by likelihood."""

    def __init__(self, inner: ScoringModel, written: float = 0.0, heat: float = 0.0) -> None:
        """Wrap a line model that can score completions; it writes the share `written` freely.

        `heat` is the part of the temperature asked for that mixes the pool: with 0 the likeliest
        come first, in order, which solved most of held-out mutants and of HumanEvalFix; with 1 they
        are drawn by likelihood.
        """
        self._inner = inner
        self._written = written
        self._heat = heat
        self._ranked = lru_cache(REMEMBERED_PROMPTS)(self._rank)

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self._inner.name

    @property
    def profile(self) -> Profile:
        """The inner model's profile."""
        return self._inner.profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield exactly `sampling.n` completions, rewrites of the pool before free ones.

        Where the pool runs dry more are free. The same call gives the same texts.

        Raises:
            ModelUnavailableError: the inner model cannot be loaded.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        ranked = from_pool(sampling.n, self._written, sampling.seed)
        drawn = self._drawn(prompt, replace(sampling, n=ranked)) if ranked else []
        yield from drawn
        if len(drawn) < sampling.n:
            rest = replace(sampling, n=sampling.n - len(drawn))
            for completion in self._inner.sample(prompt, rest):
                yield replace(completion, sample=completion.sample + len(drawn))

    def _drawn(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """At most `n` of the pool by likelihood, mixed by heat (Gumbel's trick), none twice."""
        ranked = self._ranked(prompt, sampling.reached)
        rng = Random(sampling.seed)
        heat = self._heat * max(sampling.temperature, 0.0)
        keys = [
            logp - heat * math.log(-math.log(rng.random() or 0.5))
            for logp in ranked.scores.log_likelihoods
        ]
        fresh = [
            k
            for k, likelihood in enumerate(ranked.scores.log_likelihoods)
            if likelihood > -math.inf and ranked.pool[k] not in sampling.avoid
        ]
        order = sorted(fresh, key=keys.__getitem__, reverse=True)[: sampling.n]
        tokens_in, tokens_out = ranked.scores.tokens_in, ranked.scores.tokens_out
        return [
            Completion(sample, ranked.pool[k], tokens_in, tokens_out[k])
            for sample, k in enumerate(order)
        ]

    def _rank(self, prompt: Prompt, reached: frozenset[int] | None) -> "_Ranked":
        """The pool of a prompt's rewrites that touch what was reached, and their scores."""
        shown = read_prompt(prompt.user)
        pool = self._suspected(prompt, rewrites_of(shown, reached)) if shown else []
        return _Ranked(tuple(pool), self._inner.score(prompt, pool) if pool else Scores(0, (), ()))

    def _suspected(self, prompt: Prompt, pool: list[str]) -> list[str]:
        """At most `POOL_SIZE` of a pool, most of them on the lines that the model would repair."""
        if len(pool) <= POOL_SIZE:
            return pool
        by_line: dict[str, list[str]] = {}
        for text in pool:
            by_line.setdefault(text[: text.index(">") + 1], []).append(text)
        scores = self._inner.score(prompt, list(by_line), closed=False)
        weights = [math.exp(SUSPICION * logp) for logp in scores.log_likelihoods]
        return shared_out(list(by_line.values()), weights, POOL_SIZE)


def from_pool(n: int, written: float, seed: int) -> int:
    """How many of `n` completions come from the pool; the seed rounds, so 1 has its share."""
    exact = n * (1.0 - written)
    return int(exact) + (Random(seed).random() < exact - int(exact))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Completions and what the model thinks of them."""

    pool: tuple[str, ...]
    scores: Scores


def rewrites_of(shown: Shown, reached: frozenset[int] | None = None) -> list[str]:
    """Distinct single rewrites of what a prompt shows, as completions; earlier edits left out.

    Where it is known what was `reached` (`Sampling`), only those that touch it.
    """
    if len(shown.source) > MAX_DRAWN_CHARS:
        return []
    try:
        parsed = ParsedFunction(shown.source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    rng = Random(0)
    hidden = hidden_lines(shown.source)
    pool: dict[str, None] = dict.fromkeys(shown.previous)
    for _ in range(POOL_DRAWS):
        made = repair(parsed, rng, REPAIR_SHARE)
        edit = edit_between(shown.source, made.source) if made else None
        if edit is None or {edit.start, edit.end} & hidden:
            continue
        if not reaches(edit, shown.source, reached):
            continue
        text = render_edit(edit)
        if parse(text) == edit and max(len(edit.lines), edit.end - edit.start) <= MAX_EDIT_LINES:
            pool.setdefault(text)
    return [text for text in pool if text not in shown.previous]


def shared_out(groups: Sequence[list[str]], weights: Sequence[float], size: int) -> list[str]:
    """`size` texts, or all there are, from each group in its order as its weight tells.

    The k-th text of a group has its turn at k over the group's weight.
    """
    turns = [
        (k / max(weight, 1e-9), text)
        for group, weight in zip(groups, weights, strict=True)
        for k, text in enumerate(group, 1)
    ]
    return [text for _, text in sorted(turns)[:size]]
