"""A model that says what it was told to: for tests, demos of the pipeline and dry runs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.errors import ModelUnavailableError
from engine.models.base import Completion, EditFormat, Profile, Prompt, Sampling

_SCRIPT: TypeAdapter[list[list[str]]] = TypeAdapter(list[list[str]])


class ScriptedModel:
    """Answers call number k with the k-th list of texts, the last list again when calls go on.

    A list shorter than the samples asked for is repeated.
    """

    def __init__(
        self,
        script: Sequence[Sequence[str]],
        *,
        edit_format: EditFormat = EditFormat.SEARCH_REPLACE,
        evolves: bool = True,
    ) -> None:
        if not script or not all(script):
            raise ModelUnavailableError("scripted", "the script holds no text; give lists of texts")
        self._script = script
        self._calls = 0
        self._profile = Profile(edit_format, evolves, context_tokens=32_768)
        self.prompts: list[Prompt] = []

    @classmethod
    def from_file(cls, path: Path, edit_format: EditFormat) -> "ScriptedModel":
        """Read a JSON file: a list of calls, each a list of texts.

        Raises:
            ModelUnavailableError: the file is missing or of another form.
        """
        try:
            script = _SCRIPT.validate_python(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise ModelUnavailableError("scripted", f"{path}: {error}") from error
        return cls(script, edit_format=edit_format)

    @property
    def name(self) -> str:
        """Always `scripted`."""
        return "scripted"

    @property
    def profile(self) -> Profile:
        """As given when it was made."""
        return self._profile

    def sample(self, prompt: Prompt, sampling: Sampling) -> Iterator[Completion]:
        """Yield the texts of this call, in order."""
        texts = self._script[min(self._calls, len(self._script) - 1)]
        self._calls += 1
        self.prompts.append(prompt)
        for sample in range(sampling.n):
            text = texts[sample % len(texts)]
            words = len(text.split())
            yield Completion(sample, text, len(prompt.user.split()), words)
