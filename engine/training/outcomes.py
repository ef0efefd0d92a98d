"""What candidate functions answer to calls: many candidates a box, a process for each.

The box is told the calls and never the right answers; what comes back is compared out here.
"""

import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sandbox.contract import Limits, Sandbox

CPU_S = 0.25
"""What one candidate may compute, all its examples together; right answers take a fifth at most."""

TRACING_SLOWS = 8
"""How many times as much a traced candidate may compute."""

_LINES = TypeAdapter(frozenset[int])

PROGRAMS_PER_BOX = 200
PARALLEL_BOXES = 2
BOX_WALL_CLOCK_S = 900.0
OUTPUT_BYTES = 64 * 1024**2
PROGRAM_MEMORY_BYTES = 1024**3
PROGRAM = Path(__file__).with_name("box_calls.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Calls:
    """Examples to run with every one of `sources` in the place of the function `name`.

    `setup` runs once, before. With `module` the function is one of an importable module's; with
    `prompted` the examples are statements and their outcome is what they print. With `traced` an
    outcome is the lines of the source that the example ran.
    """

    name: str
    setup: str
    examples: tuple[str, ...]
    sources: tuple[str, ...]
    module: str = ""
    prompted: bool = False
    traced: bool = False


@dataclass(frozen=True, slots=True)
class Boxes:
    """Where to run: a sandbox, an image of it, and what one candidate may compute."""

    sandbox: Sandbox
    image: str
    cpu_s: float = CPU_S


Answers = tuple[tuple[str, ...], ...]
"""For every source the outcomes, in the examples' order, as far as it got."""


def run_calls(tasks: Sequence[Calls], boxes: Boxes) -> list[Answers]:
    """The outcomes of every task's sources, box after box, two boxes at a time.

    A box that dies takes its candidates' outcomes with it: they have none.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    shares = _shared_out(tasks)
    with ThreadPoolExecutor(PARALLEL_BOXES) as pool:
        found = list(pool.map(lambda share: _run_box(share, boxes), shares))
    return [answers for share in found for answers in share]


def lines_run(tasks: Sequence[Calls], boxes: Boxes) -> list[frozenset[int] | None]:
    """The lines (1-based) of every task's first source that its examples ran, all together.

    None where an example did not live to tell, so that lines may be missing, or none ran: arguments
    that do not fit a signature fail before its function begins.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    traced = [replace(task, sources=task.sources[:1], traced=True) for task in tasks]
    patient = replace(boxes, cpu_s=TRACING_SLOWS * boxes.cpu_s)
    answers = run_calls(traced, patient)
    return [_lines(task, told) for task, told in zip(traced, answers, strict=True)]


def _lines(task: Calls, answers: Answers) -> frozenset[int] | None:
    """What the (untrusted) texts of a traced source name; None where they are not lines."""
    (told,) = answers or ((),)
    if not task.examples or len(told) < len(task.examples):
        return None
    try:
        return frozenset(line for text in told for line in _LINES.validate_json(text)) or None
    except ValidationError:
        return None


def _shared_out(tasks: Sequence[Calls]) -> list[list[Calls]]:
    """The tasks in their order, cut into boxes of some `PROGRAMS_PER_BOX` candidates."""
    total = sum(len(task.sources) for task in tasks)
    size = max(1, min(PROGRAMS_PER_BOX, -(-total // PARALLEL_BOXES)))
    shares: list[list[Calls]] = []
    room = 0
    for task in tasks:
        if room <= 0:
            shares.append([])
            room = size
        shares[-1].append(task)
        room -= len(task.sources)
    return shares


def _run_box(tasks: Sequence[Calls], boxes: Boxes) -> list[Answers]:
    """The outcomes of some tasks, from one fresh box without network."""
    token = secrets.token_hex(8)
    order = {
        "token": token,
        "memory": PROGRAM_MEMORY_BYTES,
        "cpu_s": boxes.cpu_s,
        "tasks": [
            {
                "name": task.name,
                "setup": task.setup,
                "module": task.module,
                "prompted": task.prompted,
                "traced": task.traced,
                "examples": task.examples,
                "sources": task.sources,
            }
            for task in tasks
        ],
    }
    limits = Limits(wall_clock_s=BOX_WALL_CLOCK_S, cpus=1.0, output_bytes=OUTPUT_BYTES)
    argv = ["python3", "-I", "-W", "ignore", "-c", PROGRAM]
    with boxes.sandbox.open(boxes.image, limits) as box:
        result = box.exec(argv, stdin=json.dumps(order).encode())
    return _read(result.output, token, tasks)


def _read(output: bytes, token: str, tasks: Sequence[Calls]) -> list[Answers]:
    """What the program in the box printed last; empty outcomes when it never came so far."""
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        if token in line[:60]:
            try:
                answers = json.loads(line)["answers"]
                return [tuple(tuple(map(str, told)) for told in task) for task in answers]
            except (ValueError, KeyError, TypeError):
                break
    return [tuple(() for _ in task.sources) for task in tasks]
