"""Where candidates come from: a line model, or blind rewrites as the baseline it must beat."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from engine.line_format import apply, parse, render_edit, render_prompt
from engine.models.base import Model, Prompt, Sampling
from engine.models.rewrites.kinds import edit_between, rewrite
from engine.models.rewrites.spans import ParsedFunction
from engine.reach import reaches

RETRIES = 5
"""How often a slot that gave nothing usable or new is sampled again; the engine's own rule."""

MAX_EDIT_TOKENS = 96


@dataclass(slots=True)
class Tried:
    """What a search has seen: its completions, the trees of its proposals, and the last failed.

    `issue` is what it was told at the start, `reached` the lines of which an edit must touch one
    (`engine.reach`).
    """

    trees: set[str]
    texts: set[str] = field(default_factory=set)
    failed: tuple[str, ...] = ()
    issue: str = ""
    reached: frozenset[int] | None = None


class Proposer(Protocol):
    """Writes edits of a function, usable or not."""

    def propose(self, function: str, tried: Tried, n: int, seed: int) -> Iterator[str]:
        """Yield `n` completions."""
        ...


@dataclass(frozen=True, slots=True)
class ModelProposer:
    """A line model at one temperature; `evolves` says whether it is shown the edits that failed."""

    model: Model
    temperature: float
    evolves: bool

    def propose(self, function: str, tried: Tried, n: int, seed: int) -> Iterator[str]:
        """Sample from the model."""
        shown = tried.failed if self.evolves else ()
        prompt = Prompt("", render_prompt(function, issue=tried.issue, previous=shown))
        texts = frozenset(tried.texts)
        sampling = Sampling(n, self.temperature, MAX_EDIT_TOKENS, seed, texts, tried.reached)
        return (completion.text for completion in self.model.sample(prompt, sampling))


@dataclass(frozen=True, slots=True)
class RandomProposer:
    """Blind single rewrites of the kinds that bugs are injected with."""

    def propose(self, function: str, tried: Tried, n: int, seed: int) -> Iterator[str]:
        """Draw rewrites without looking."""
        del tried
        rng = Random(seed)
        try:
            parsed = ParsedFunction(function)
        except (SyntaxError, ValueError):
            yield from [""] * n
            return
        for _ in range(n):
            made = rewrite(parsed, rng)
            edit = edit_between(function, made.source) if made else None
            yield render_edit(edit) if edit else ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A usable edit: the completion's text and the function it makes."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """New proposals, and how many completions they took."""

    proposals: tuple[Proposal, ...]
    completions: int


def draw(proposer: Proposer, function: str, tried: Tried, *, wanted: int, seed: int) -> Drawn:
    """Up to `wanted` new proposals; `tried` gains them."""
    found: list[Proposal] = []
    completions = 0
    for retry in range(RETRIES + 1):
        missing = wanted - len(found)
        if not missing:
            break
        completions += missing
        for text in proposer.propose(function, tried, missing, seed * (RETRIES + 1) + retry):
            tried.texts.add(text)
            proposal = read_proposal(text, function, tried)
            if proposal is not None:
                found.append(proposal)
    return Drawn(tuple(found), completions)


def read_proposal(text: str, function: str, tried: Tried) -> Proposal | None:
    """A completion as a proposal; None when it does not apply or parse, cannot matter, or is known.

    What it leaves out the engine leaves out too (`engine.edits`).
    """
    edit = parse(text)
    if edit is None or not reaches(edit, function, tried.reached):
        return None
    source = apply(edit, function)
    key = tree_of(source) if source else None
    if source is None or key is None or key in tried.trees:
        return None
    tried.trees.add(key)
    return Proposal(text, source)


def tree_of(source: str) -> str | None:
    """The text that tells programs apart: the syntax tree; None when it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a candidate may well write `1 is x`
            return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
