"""The embedded model by onnxruntime and by torch, in one run: start-up, scoring, writing.

A start is a fresh interpreter to its first candidates; scoring and writing are alternated.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from engine import line_format
from engine.models import EMBEDDED, EMBEDDED_PROFILE
from engine.models.base import Prompt, Sampling
from engine.models.onnx_local import OnnxLocal
from engine.models.ranked import rewrites_of
from engine.models.transformers_local import TransformersLocal

ROUNDS = 5
SCORED = 256
BACK_ENDS: dict[str, type[OnnxLocal | TransformersLocal]] = {
    "onnxruntime": OnnxLocal,
    "torch": TransformersLocal,
}
SIXTY_LINES = "def walk(node, limit):\n" + "\n".join(
    f"    value = node.child({k}) + limit" if k % 3 else f"    if value > {k}:\n        return node"
    for k in range(44)
)


def measure() -> dict[str, float | int | str]:
    figures: dict[str, float | int | str] = {"rounds": ROUNDS, "scored": SCORED}
    models = {
        name: back_end(EMBEDDED, name=name, profile=EMBEDDED_PROFILE)
        for name, back_end in BACK_ENDS.items()
    }
    shown = line_format.Shown(SIXTY_LINES, ())
    pool = rewrites_of(shown)[:SCORED]
    prompt = Prompt("", line_format.render_prompt(SIXTY_LINES, issue="", previous=()))
    spent: dict[str, list[float]] = {}
    for seed in range(ROUNDS):
        for name, model in models.items():
            sampling = Sampling(32, 1.0, 24, seed)
            spent.setdefault(f"{name}_start_s", []).append(_seconds(lambda n=name: _start(n)))
            spent.setdefault(f"{name}_score_s", []).append(
                _seconds(lambda m=model: m.score(prompt, pool))
            )
            spent.setdefault(f"{name}_write_s", []).append(
                _seconds(lambda m=model, s=sampling: list(m.sample(prompt, s)))
            )
    return figures | {name: median(values) for name, values in spent.items()}


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _start(name: str) -> None:
    program = (
        "import sys\n"
        "from tests.benchmarks.runtimes import BACK_ENDS, EMBEDDED, EMBEDDED_PROFILE\n"
        "from engine.models.base import Prompt, Sampling\n"
        "from engine.line_format import render_prompt\n"
        "model = BACK_ENDS[sys.argv[1]](EMBEDDED, name='m', profile=EMBEDDED_PROFILE)\n"
        "prompt = Prompt('', render_prompt('def f(a):\\n    return a', issue='', previous=()))\n"
        "list(model.sample(prompt, Sampling(8, 1.0, 16, 0)))\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, name], check=True, cwd=root, capture_output=True)
