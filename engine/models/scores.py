"""Likelihoods of given completions, for models that can tell them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.models.base import Model, Prompt


@dataclass(frozen=True, slots=True)
class Scores:
    """For each completion its log-likelihood in nats and its tokens; `tokens_in` of the prompt."""

    tokens_in: int
    tokens_out: tuple[int, ...]
    log_likelihoods: tuple[float, ...]


class ScoringModel(Model, Protocol):
    """A model that also says how likely a given completion is."""

    def score(self, prompt: Prompt, completions: Sequence[str], *, closed: bool = True) -> Scores:
        """Score completions of one prompt; unless `closed`, as beginnings of completions.

        One that does not fit the context after the prompt has minus infinity.

        Raises:
            ModelUnavailableError: the model cannot be reached or loaded.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        ...
