"""What the engine asks of a language model: some completions of one prompt, as they finish."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class EditFormat(StrEnum):
    """How a model writes an edit down; `engine.edits` reads every one of them."""

    SEARCH_REPLACE = "search_replace"
    LINE = "line"


class PromptShape(StrEnum):
    """The order and headings of a chat prompt; `engine.prompts` writes every one of them."""

    OWN = "own"
    SATORI = "satori"


@dataclass(frozen=True, slots=True)
class Profile:
    """What must be known of a model before it is prompted.

    `evolves` is true only for models trained by reinforcement learning to improve their own
    earlier patches: the others gain nothing from them without a selector (arXiv 2505.23604).
    `context_tokens` bounds prompt and completion together. `temperature` is None where the search
    may choose.
    """

    edit_format: EditFormat
    evolves: bool
    context_tokens: int
    prompt_shape: PromptShape = PromptShape.OWN
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `user` starts with what all samples share: a prefix cache can serve it.

    For `EditFormat.LINE` models `system` is empty and `user` is raw text (`engine.line_format`).
    """

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample: `n` completions at `temperature` (0 is greedy), of at most `max_tokens`.

    `avoid` holds completions of this prompt that were tried already: a back end that chooses among
    given texts leaves them out, one that writes need not look. In the same way `reached` holds the
    lines of a line prompt, 0-based, of which an edit must touch one to matter (`engine.reach`);
    None where that is unknown.
    """

    n: int
    temperature: float
    max_tokens: int
    seed: int
    avoid: frozenset[str] = frozenset()
    reached: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The model's raw text for sample number `sample` (0..n-1) and what it cost in tokens."""

    sample: int
    text: str
    tokens_in: int
    tokens_out: int


@runtime_checkable
class Closable(Protocol):
    """A model that holds connections or processes; the others need no end."""

    def close(self) -> None:
        """Let go of them; nothing may be sampled afterwards."""
        ...


class Model(Protocol):
    """A language model. Implementations stand in the table of `engine.models`."""

    @property
    def name(self) -> str:
        """The name to write in evidence and results, such as `embedded` or a served model's id."""
        ...

    @property
    def profile(self) -> Profile:
        """How this model wants to be prompted."""
        ...

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield exactly `sampling.n` completions, in any order, each as soon as it is finished.

        The same prompt, sampling and weights give the same texts where the back end can promise it.

        Raises:
            ModelUnavailableError: the model cannot be reached or loaded; trying later may help.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        ...
