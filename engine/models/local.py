"""What the back ends have in common whose network lies in this process."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from engine.models.base import Completion, Profile, Prompt, Sampling
from engine.models.decoding import Decoder
from engine.models.folder import ModelFolder
from engine.models.scores import Scores


class LocalModel(ABC):
    """A model folder on disk, loaded at first use."""

    def __init__(
        self, folder: Path | str, *, name: str, profile: Profile, threads: int | None = None
    ) -> None:
        """Name the folder; nothing is read before the first sample."""
        self._folder = ModelFolder(Path(folder), name)
        self._profile = profile
        self._threads = threads

    @property
    def name(self) -> str:
        """The name to write in evidence and results."""
        return self._folder.name

    @property
    def profile(self) -> Profile:
        """How this model wants to be prompted."""
        return self._profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield exactly `sampling.n` completions, each as soon as it is finished.

        The prompt is read once; the same call gives the same texts on the same machine.

        Raises:
            ModelUnavailableError: a file of the folder is missing or cannot be read.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        return self._decoder.sample(self._encode(prompt), sampling)

    def score(self, prompt: Prompt, completions: Sequence[str], *, closed: bool = True) -> Scores:
        """The log-likelihood of each completion after the prompt; see `ScoringModel`.

        `closed` counts the closing token in; without it the texts are beginnings.

        Raises:
            ModelUnavailableError: a file of the folder is missing or cannot be read.
            PromptTooLongError: the prompt leaves no room for a completion.
        """
        return self._decoder.score(self._encode(prompt), completions, closed=closed)

    @cached_property
    def _decoder(self) -> Decoder:
        """The folder's network and tokenizer."""
        self._folder.check()
        return self._load()

    def _encode(self, prompt: Prompt) -> list[int]:
        """The prompt's token ids: raw text."""
        return self._decoder.codec.encode(prompt.user)

    @abstractmethod
    def _load(self) -> Decoder:
        """Read the folder, whose files are there."""
