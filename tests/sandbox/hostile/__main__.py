"""What the checks of a run cost on this machine: `python -m tests.sandbox.hostile [BACK END]`.

The same small suite with canaries and without, in turn, and the look at the tests' files by itself.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import TestSpec
from sandbox.runner import broken_seals, run_tests
from tests.sandbox.conftest import CALC, LIMITS, settings

ROUNDS = 20


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.hostile", description=__doc__)
    parser.add_argument("kind", nargs="?", default="bubblewrap", choices=BACKENDS)
    sandbox = BACKENDS[parser.parse_args().kind](settings())
    with tempfile.TemporaryDirectory() as folder:
        for name, text in CALC.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        made = images.prepare(sandbox, Path(folder), test_command=None, settings=settings())
    spec = TestSpec(made.image, made.command)
    plain = replace(spec, canaries=False)
    taken: dict[str, list[float]] = {"with canaries": [], "without": [], "the tests' files": []}
    for _ in range(ROUNDS):
        taken["with canaries"].append(seconds(lambda: run_tests(sandbox, spec, None, LIMITS)))
        taken["without"].append(seconds(lambda: run_tests(sandbox, plain, None, LIMITS)))
        with sandbox.open(spec.image, LIMITS) as box:
            taken["the tests' files"].append(seconds(lambda box=box: broken_seals(box, ())))  # type: ignore[misc]  # a lambda's default has no type
    found = {
        n: {"median_s": round(statistics.median(t), 3), "min_s": round(min(t), 3)}
        for n, t in taken.items()
    }
    sys.stdout.write(
        json.dumps({"isolation": sandbox.isolation, "rounds": ROUNDS, **found}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
