"""`make bench`: measures everything that this machine can, one figure after the other."""

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.errors import BotError
from engine.errors import EngineError
from sandbox.errors import SandboxError
from tests.benchmarks import boxes, bugs, candidates, copies, demo, receiver, runtimes, tokens

NOT_MEASURED = (
    BotError,
    EngineError,
    SandboxError,
    OSError,
    subprocess.SubprocessError,
    ValueError,
)
"""One figure that cannot be had here does not cost the others."""
Figures = dict[str, float | int | str]
BENCHES: dict[str, Callable[[], Figures]] = {
    "boxes": boxes.measure,
    "copies": copies.measure,
    "receiver": receiver.measure,
    "tokens": tokens.measure,
    "bugs": bugs.measure,
    "runtimes": runtimes.measure,
    "candidates": candidates.measure,
    "demo": demo.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--only", choices=list(BENCHES), action="append")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    table = Table("bench", "figure", "value")
    failed = False
    for name in given.only or list(BENCHES):
        try:
            figures = BENCHES[name]()
        except NOT_MEASURED as error:
            failed, figures = True, {"failed": f"{type(error).__name__}: {error}"}
        (given.out / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
        for figure, value in figures.items():
            table.add_row(name, figure, f"{value:.3g}" if isinstance(value, float) else str(value))
    Console().print(table)
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
