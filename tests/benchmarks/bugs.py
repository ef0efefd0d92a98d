"""What a bug costs: one injected into a clean function, and one training row made of it."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from engine.models.rewrites.spans import ParsedFunction
from engine.training import bugs
from engine.training.corpus import functions_in
from engine.training.data import rows

SAMPLES = 2000
SOURCE = Path(statistics.__file__)


def measure() -> dict[str, float | int | str]:
    functions = [f for f, _ in functions_in(SOURCE.read_text(encoding="utf-8"), "cpython", "train")]
    parsed = [ParsedFunction(function.plain) for function in functions]
    rng = Random(0)
    return {
        "functions": len(functions),
        "samples": SAMPLES,
        "inject_ms": _ms(lambda: [bugs.inject(rng.choice(parsed), rng) for _ in range(SAMPLES)]),
        "row_ms": _ms(lambda: list(rows(functions, 0, 0, SAMPLES))),
    }


def _ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of one sample."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began) / SAMPLES
