"""Where a stage stands, written whole or not at all, and believed by the same run only."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInputError

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance

FILE = "checkpoint.pt"


class Checkpoint:
    """A model's and its optimizer's state after some steps.

    `origin` is what two runs must share for one to go on from the other's checkpoint.
    """

    def __init__(self, folder: Path, origin: Mapping[str, object]) -> None:
        """Name the folder; nothing is read yet."""
        self._path = folder / FILE
        self._origin = {name: str(value) for name, value in origin.items()}

    def load(self, model: "torch.nn.Module", optimizer: "torch.optim.Optimizer") -> int:
        """Put the saved state into both; the steps that were done, 0 without a checkpoint.

        Raises:
            BadInputError: it is of another run.
        """
        import torch

        if not self._path.is_file():
            return 0
        saved = torch.load(self._path, weights_only=True)
        check_origin(saved.get("origin"), self._origin, self._path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        return int(saved["step"])

    def save(self, model: "torch.nn.Module", optimizer: "torch.optim.Optimizer", step: int) -> None:
        """Write the state down."""
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        write_checkpoint({"origin": self._origin, **state}, self._path)


def write_checkpoint(state: Mapping[str, object], path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


def check_origin(saved: object, wanted: Mapping[str, str], path: Path) -> None:
    """Refuse a checkpoint of another run.

    Raises:
        BadInputError: it is one; names what differs.
    """
    told = saved if isinstance(saved, dict) else {}
    differing = [name for name, value in wanted.items() if told.get(name) != value]
    if differing:
        msg = (
            f"{path} is of another run: its {' and '.join(differing)} differ; "
            "train into another folder, or delete it"
        )
        raise BadInputError(msg)


def claim(path: Path, settings: Mapping[str, object]) -> None:
    """Note what the files beside `path` are made with, so that no other run takes them for its own.

    Raises:
        BadInputError: they were made with other settings; names what differs.
    """
    told = {name: str(value) for name, value in settings.items()}
    if path.is_file():
        check_origin(json.loads(path.read_text(encoding="utf-8")), told, path)
    path.write_text(json.dumps(told, indent=1), encoding="utf-8")


def write_config(config: "DataclassInstance", folder: Path) -> None:
    """Write down what a stage was told, beside what it makes."""
    text = json.dumps(asdict(config), default=str, indent=1)
    (folder / "config.json").write_text(text, encoding="utf-8")
