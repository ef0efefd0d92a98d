"""Sampling from and scoring by a network that lies in this process, whatever runs it.

Both local back ends answer alike: the same seed gives the same texts, up to rounding.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import PromptTooLongError
from engine.line_format import EOS_TOKEN, LINE_TOKENS, MARKER_TOKENS, PAD_TOKEN
from engine.models.base import Completion, EditFormat, Profile, Sampling
from engine.models.scores import Scores

MIN_ROOM_TOKENS = 16
"""A prompt must leave at least this much of the context for a completion."""

SCORED_TOGETHER = 64
"""How many completions one forward pass scores at most."""

TOKENS_TOGETHER = 4096
"""How many tokens they have at most, so that memory does not grow with the length of a line."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_FORBIDDEN = np.float32("-inf")


@dataclass(frozen=True, slots=True)
class TokenTree:
    """Completions of one prompt, laid into one row where what begins alike is read once.

    A node is a token that a network reads, so the last of a completion has none. `read` and
    `positions` have shape (nodes,), `mask` (nodes, prompt tokens + nodes); `first`, each
    completion's first token, (completions,). `node`, `next` and `owner` have one entry for each
    further token: the node it comes after, itself, and its completion.
    """

    read: Ints
    positions: Ints
    mask: NDArray[np.bool_]
    first: Ints
    node: Ints
    next: Ints
    owner: Ints


class Reading(Protocol):
    """A prompt that a network has read, and its continuations. Logits are float32."""

    @property
    def logits(self) -> Floats:
        """What may come after the prompt, of shape (vocabulary,)."""
        ...

    def repeat(self, n: int) -> None:
        """Go on in `n` rows that begin alike."""
        ...

    def step(self, tokens: Ints) -> Floats:
        """Read one token a row, shape (n,); logits of shape (n, vocabulary)."""
        ...

    def branches(self, tree: TokenTree) -> Floats:
        """Logits of shape (nodes, vocabulary) after each node of a tree; nothing is kept."""
        ...


class Network(Protocol):
    """A causal language model's weights, ready to read."""

    @property
    def vocabulary(self) -> int:
        """How many logits a token has."""
        ...

    def read(self, ids: Sequence[int]) -> Reading:
        """Read a prompt."""
        ...


class Codec(Protocol):
    """Text to tokens and back."""

    @property
    def eos(self) -> int:
        """The id that ends a completion."""
        ...

    @property
    def size(self) -> int:
        """How many tokens there are; a network may have logits for more."""
        ...

    def encode(self, text: str) -> list[int]:
        """Text in tokens, nothing added."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as text, added tokens as they are written."""
        ...

    def id_of(self, token: str) -> int:
        """The id of one added token."""
        ...


@dataclass(frozen=True, slots=True)
class Decoder:
    """A network with its codec and profile."""

    network: Network
    codec: Codec
    profile: Profile

    def sample(self, ids: list[int], sampling: Sampling) -> Iterator[Completion]:
        """Sample `n` rows from one shared prefill; a row leaves as soon as it closes.

        Raises:
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        room = self.profile.context_tokens - len(ids)
        if room < MIN_ROOM_TOKENS:
            raise PromptTooLongError(len(ids), self.profile.context_tokens)
        return self._rows(ids, sampling, min(sampling.max_tokens, room))

    def _rows(self, ids: list[int], sampling: Sampling, longest: int) -> Iterator[Completion]:
        rng = np.random.default_rng(sampling.seed)
        masks = self._line_masks(ids)
        done = [False] * sampling.n
        texts: list[list[int]] = [[] for _ in range(sampling.n)]
        reading = self.network.read(ids)
        reading.repeat(sampling.n)
        logits = np.tile(reading.logits, (sampling.n, 1))
        for step in range(longest):
            allowed = logits + masks[min(step, 2)] if masks else logits
            chosen = pick(allowed, sampling.temperature, rng)
            for row in self._close(chosen, texts, done, last=step == longest - 1):
                text = self.codec.decode(texts[row])
                yield Completion(row, text, len(ids), len(texts[row]) + 1)
            if all(done):
                return
            logits = reading.step(chosen)

    def score(self, ids: list[int], completions: Sequence[str], *, closed: bool) -> Scores:
        """The log-likelihood of each completion after the prompt, in nats; the prompt is read once.

        Completions lie in one row, as a tree of their tokens: each sees the prompt and itself.
        Measured, that is several times as fast as a row each, which copies the prompt's keys and
        values; rewrites of one line begin alike, and their beginning is read once. A completion
        that does not fit the context after the prompt has minus infinity.

        Raises:
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        room = self.profile.context_tokens - len(ids)
        if room < MIN_ROOM_TOKENS:
            raise PromptTooLongError(len(ids), self.profile.context_tokens)
        end = [self.codec.eos] if closed else []
        texts = [[*self.codec.encode(text), *end] for text in completions]
        reading = self.network.read(ids)
        start = log_softmax(reading.logits)
        told = [-math.inf] * len(texts)
        for batch in batched_alike(texts, room):
            tree = token_tree([texts[k] for k in batch], len(ids))
            sums = start[tree.first].astype(np.float64)
            if tree.read.size:
                chances = log_softmax(reading.branches(tree))
                np.add.at(sums, tree.owner, chances[tree.node, tree.next])
            for k, likelihood in zip(batch, sums.tolist(), strict=True):
                told[k] = likelihood
        return Scores(len(ids), tuple(map(len, texts)), tuple(told))

    def _close(
        self, chosen: Ints, texts: list[list[int]], done: list[bool], *, last: bool
    ) -> list[int]:
        """Write the chosen tokens down; the rows that this step finished."""
        closed = []
        for row, token in enumerate(chosen.tolist()):
            if done[row]:
                continue
            if token != self.codec.eos:
                texts[row].append(token)
            if token == self.codec.eos or last:
                done[row] = True
                closed.append(row)
        return closed

    def _line_masks(self, ids: list[int]) -> tuple[Floats, ...]:
        """What a line model may say at token 0 (a line of the prompt), 1 (text or a line), later.

        Three arrays of shape (vocabulary,) to add to the logits; none for other models.
        """
        if self.profile.edit_format is not EditFormat.LINE:
            return ()
        lines = [self.codec.id_of(token) for token in LINE_TOKENS]
        shown = sorted(set(lines) & set(ids))
        marks = [self.codec.id_of(token) for token in (*MARKER_TOKENS, PAD_TOKEN)]
        first = np.full(self.network.vocabulary, _FORBIDDEN)
        first[shown] = 0.0
        text = np.zeros(self.network.vocabulary, np.float32)
        text[[*lines, *marks]] = _FORBIDDEN
        text[self.codec.size :] = _FORBIDDEN
        second = text.copy()
        second[shown] = 0.0
        return first, second, text


def closing_token(profile: Profile, chat_eos: str | None) -> str:
    """What ends a completion: the line format's token, or the tokenizer's own."""
    return EOS_TOKEN if profile.edit_format is EditFormat.LINE else chat_eos or EOS_TOKEN


def batched_alike(texts: Sequence[Sequence[int]], room: int) -> Iterator[list[int]]:
    """The numbers of the texts of at most `room` tokens, alike ones together, some at a time."""
    fitting = [k for k, text in enumerate(texts) if len(text) <= room]
    batch: list[int] = []
    tokens = 0
    for k in sorted(fitting, key=lambda k: list(texts[k])):
        tokens += len(texts[k])
        if batch and (len(batch) == SCORED_TOGETHER or tokens > TOKENS_TOGETHER):
            yield batch
            batch, tokens = [], len(texts[k])
        batch.append(k)
    if batch:
        yield batch


def token_tree(texts: Sequence[Sequence[int]], prompt: int) -> TokenTree:
    """Lay completions into one row in which each sees the prompt and its own beginning only."""
    nodes: dict[tuple[int, int], int] = {}
    depths: list[int] = []
    steps: list[tuple[int, int, int]] = []
    for owner, text in enumerate(texts):
        node = -1
        for depth, (token, following) in enumerate(pairwise(text)):
            node = nodes.setdefault((node, token), len(nodes))
            if node == len(depths):
                depths.append(depth)
            steps.append((node, following, owner))
    own = np.zeros((len(nodes), len(nodes)), np.bool_)
    for (parent, _), node in nodes.items():
        if parent >= 0:
            own[node] = own[parent]
        own[node, node] = True
    after, told, owners = np.array(steps, np.int64).reshape(-1, 3).T
    return TokenTree(
        np.array([token for _, token in nodes], np.int64),
        prompt + np.array(depths, np.int64),
        np.concatenate([np.ones((len(nodes), prompt), np.bool_), own], 1),
        np.array([text[0] for text in texts], np.int64),
        after,
        told,
        owners,
    )


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def pick(logits: Floats, temperature: float, rng: np.random.Generator) -> Ints:
    """Choose one token a row from logits of shape (n, vocabulary); temperature 0 takes the best."""
    if temperature <= 0:
        best: Ints = logits.argmax(-1)
        return best
    shares = np.exp(log_softmax(logits / np.float32(temperature)).astype(np.float64)).cumsum(-1)
    drawn = rng.random(len(logits))[:, None] * shares[:, -1:]
    chosen: Ints = (shares <= drawn).sum(-1)
    return chosen
