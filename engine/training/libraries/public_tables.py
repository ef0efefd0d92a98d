"""Rows of JSONL and parquet files that a person downloaded."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.errors import BadInputError

HOW_TO_GET = """\
The data is not downloaded for you. On a machine with network and the `hf` program:

  hf download internlm/SWE-Fixer-Train-110K --repo-type dataset --local-dir data/swe-fixer
  hf download SWE-Gym/SWE-Gym --repo-type dataset --local-dir data/swe-gym
  hf download nebius/SWE-bench-extra --repo-type dataset --local-dir data/swe-bench-extra
  hf download nebius/SWE-agent-trajectories --repo-type dataset --local-dir data/trajectories

and for each repository that they name, into one folder:

  git clone --bare https://github.com/OWNER/NAME data/clones/OWNER__NAME.git

Licences: SWE-Fixer and SWE-Gym MIT, nebius' CC-BY-4.0; the repositories' own for their files."""


def read_table(path: Path, columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Yield the rows of a JSONL or parquet file, or of all such files of a folder.

    Raises:
        BadInputError: nothing is there, it cannot be read, or a column is missing.
    """
    for file in _files(path):
        rows = _parquet(file) if file.suffix == ".parquet" else _jsonl(file)
        for number, row in enumerate(rows, start=1):
            lacking = [name for name in columns if name not in row]
            if lacking:
                raise BadInputError(
                    f"{file}, row {number} has no {', '.join(lacking)}; it has "
                    f"{', '.join(sorted(row))[:200]}"
                )
            yield row


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix in {".jsonl", ".parquet"})
    if not found:
        raise BadInputError(f"{path} holds no .jsonl and no .parquet file.\n{HOW_TO_GET}")
    return found


def _jsonl(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise BadInputError(f"{path}, line {number} is no JSON object")
                yield row
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read: {error}; download it again") from error


def _parquet(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        from datasets import Dataset
    except ImportError as error:
        raise BadInputError("parquet files need pip install 'evoscale[train]'") from error
    from datasets import load_dataset

    try:
        rows: Dataset = load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        yield from rows
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} cannot be read: {error}; download it again") from error
