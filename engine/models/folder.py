"""A model's folder, as transformers writes it: its files checked before a library reads them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from engine.errors import ModelUnavailableError

REQUIRED_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"
WEIGHT_FILES = (WEIGHTS, "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where a model lies, and what it is called in errors."""

    path: Path
    name: str

    def check(self) -> None:
        """Name the first file that is missing or no JSON, before a library says it less clearly.

        Raises:
            ModelUnavailableError: there is one.
        """
        for file in REQUIRED_FILES:
            try:
                json.loads((self.path / file).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise self.unavailable(file, error) from error
        if not any((self.path / file).is_file() for file in WEIGHT_FILES):
            raise ModelUnavailableError(self.name, f"{self.path / WEIGHTS} is missing")

    def unavailable(self, file: str, error: Exception) -> ModelUnavailableError:
        """The error that names the file and what was wrong with it."""
        return ModelUnavailableError(self.name, f"{self.path / file} cannot be read: {error}")

    def config(self) -> dict[str, object]:
        """What `config.json` says; `check` has read it before."""
        read: dict[str, object] = json.loads((self.path / "config.json").read_text("utf-8"))
        return read

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Every tensor of `model.safetensors` in float32, whatever it is stored as.

        Raises:
            ModelUnavailableError: the file is missing, broken, or holds another type.
        """
        try:
            stored = deserialize((self.path / WEIGHTS).read_bytes())  # type: ignore[no-untyped-call]  # it has no types
            return {
                name: _float32(told["dtype"], told["data"]).reshape(told["shape"])
                for name, told in stored
            }
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise self.unavailable(WEIGHTS, error) from error


def _float32(kind: str, data: bytes) -> NDArray[np.float32]:
    """A tensor's bytes as float32; numpy has no bfloat16, which is float32's upper half."""
    if kind == "BF16":
        upper = np.frombuffer(data, np.uint16).astype(np.uint32)
        return (upper << 16).view(np.float32)
    stored = {"F32": np.float32, "F16": np.float16}[kind]
    return np.frombuffer(data, stored).astype(np.float32)
