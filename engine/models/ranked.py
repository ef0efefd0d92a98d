"""A line model that chooses among single rewrites instead of writing freely.

A model of a few million parameters knows better which edit is likely than how to write one without
a slip. So a pool of random rewrites of the function is drawn, all are scored, and candidates are
sampled from them, without replacement, by the model's own likelihood at the temperature asked for.
Edits are well formed by construction. Where the pool runs dry, or the text is no Python that can be
parsed, the model writes freely.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from engine.line_format import Shown, hidden_lines, parse, read_prompt, render_edit
from engine.models.base import Completion, Profile, Prompt, Sampling
from engine.models.rewrites.kinds import edit_between, rewrite
from engine.models.rewrites.spans import ParsedFunction
from engine.models.scores import Scores, ScoringModel

POOL_DRAWS = 500
POOL_SIZE = 256
MAX_EDIT_LINES = 5
REMEMBERED_PROMPTS = 16
"""A search asks the same prompt again when candidates turn out to be known."""


class RankedRewrites:
    """A scoring line model whose samples are drawn from rewrites by likelihood."""

    def __init__(self, inner: ScoringModel) -> None:
        """Wrap a line model that can score completions."""
        self._inner = inner
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
        """Yield exactly `sampling.n` completions, all rewrites of the pool before any free ones.

        The same call gives the same texts.

        Raises:
            ModelUnavailableError: the inner model cannot be loaded.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        drawn = self._drawn(prompt, sampling)
        yield from drawn
        if len(drawn) < sampling.n:
            rest = replace(sampling, n=sampling.n - len(drawn))
            for completion in self._inner.sample(prompt, rest):
                yield replace(completion, sample=completion.sample + len(drawn))

    def _drawn(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """At most `n` of the pool, sampled by likelihood without replacement (Gumbel's trick)."""
        ranked = self._ranked(prompt)
        rng = Random(sampling.seed)
        heat = max(sampling.temperature, 0.0)
        keys = [
            logp - heat * math.log(-math.log(rng.random() or 0.5))
            for logp in ranked.scores.log_likelihoods
        ]
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: sampling.n]
        tokens_in, tokens_out = ranked.scores.tokens_in, ranked.scores.tokens_out
        return [
            Completion(sample, ranked.pool[k], tokens_in, tokens_out[k])
            for sample, k in enumerate(order)
        ]

    def _rank(self, prompt: Prompt) -> "_Ranked":
        """The pool of a prompt's rewrites and their scores."""
        shown = read_prompt(prompt.user)
        pool = rewrites_of(shown) if shown else []
        return _Ranked(tuple(pool), self._inner.score(prompt, pool) if pool else Scores(0, (), ()))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Completions and what the model thinks of them."""

    pool: tuple[str, ...]
    scores: Scores


def rewrites_of(shown: Shown) -> list[str]:
    """Distinct single rewrites of what a prompt shows, as completions; earlier edits left out."""
    try:
        parsed = ParsedFunction(shown.source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    rng = Random(0)
    hidden = hidden_lines(shown.source)
    pool: dict[str, None] = dict.fromkeys(shown.previous)
    for _ in range(POOL_DRAWS):
        made = rewrite(parsed, rng)
        edit = edit_between(shown.source, made.source) if made else None
        if edit is None or {edit.start, edit.end} & hidden:
            continue
        text = render_edit(edit)
        if parse(text) == edit and max(len(edit.lines), edit.end - edit.start) <= MAX_EDIT_LINES:
            pool.setdefault(text)
        if len(pool) == POOL_SIZE + len(shown.previous):
            break
    return [text for text in pool if text not in shown.previous]
