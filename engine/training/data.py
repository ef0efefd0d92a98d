"""Training examples: a function with one bug, what was said and tried before, and the repair."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from engine.errors import BadInputError
from engine.line_format import MAX_LINES, LineEdit, hidden_lines, parse, render_edit, render_prompt
from engine.models.rewrites.kinds import edit_between
from engine.models.rewrites.spans import ParsedFunction
from engine.training.bugs import Bug, inject
from engine.training.corpus import Function
from engine.training.issues import title

SHARE_RAW = 0.5
SHARE_COMPLAINT = 0.12
SHARE_SUMMARY = 0.15
SHARE_PREVIOUS = 0.25
SHARE_GAPS = 0.4
SHARE_DOCSTRING_GAP = 0.5
MAX_GAP = 12
MAX_PREVIOUS = 5


@dataclass(frozen=True, slots=True)
class RepairRow:
    """One example in SWE-bench's field names where those exist.

    `source` is the buggy function; `patch` (its repair) and `previous` (wrong ones) are edits.
    """

    instance_id: str
    problem_statement: str
    source: str
    previous: tuple[str, ...]
    patch: str
    fixed: str
    kind: str

    @property
    def prompt(self) -> str:
        """The raw text that the model reads."""
        return render_prompt(self.source, issue=self.problem_statement, previous=self.previous)


def make_row(
    function: Function, rng: Random, instance_id: str, previous_share: float = SHARE_PREVIOUS
) -> RepairRow | None:
    """One example from a function; None when no bug could be put in.

    `previous_share` says how many examples show wrong edits.
    """
    fixed = function.raw if rng.random() < SHARE_RAW else function.plain
    if rng.random() < SHARE_GAPS:
        fixed = _with_gaps(fixed, rng)
    try:
        bug = inject(ParsedFunction(fixed), rng)
    except SyntaxError:  # such as an async comprehension outside the class it came from
        return None
    if bug is None or not _sayable(bug.repair, bug.source):
        return None
    tried = _wrong_edits(bug, fixed, rng) if rng.random() < previous_share else ()
    told = _issue(function, bug, rng)
    return RepairRow(instance_id, told, bug.source, tried, render_edit(bug.repair), fixed, bug.kind)


def _with_gaps(source: str, rng: Random) -> str:
    """The function with blank lines, which prompts number and hide, as a docstring's are."""
    lines = source.split("\n")
    if rng.random() < SHARE_DOCSTRING_GAP and lines[0].endswith(":"):
        lines[1:1] = [""] * rng.randint(1, MAX_GAP)
    for _ in range(rng.randint(0, 3)):
        lines.insert(rng.randrange(1, len(lines)), "")
    return "\n".join(lines) if len(lines) < MAX_LINES - MAX_PREVIOUS else source


def _sayable(edit: LineEdit, source: str) -> bool:
    """Whether an edit names lines that its prompt shows and survives being written down."""
    hidden = hidden_lines(source)
    shown = edit.start not in hidden and edit.end not in hidden and all(map(str.strip, edit.lines))
    return shown and parse(render_edit(edit)) == edit


def _issue(function: Function, bug: Bug, rng: Random) -> str:
    """A report's title, the docstring's first line, or most often nothing."""
    drawn = rng.random()
    if drawn < SHARE_COMPLAINT:
        return title(bug.kind, function.name, rng)
    return function.summary if drawn < SHARE_COMPLAINT + SHARE_SUMMARY else ""


def _wrong_edits(bug: Bug, fixed: str, rng: Random) -> tuple[str, ...]:
    """One to five edits of the buggy function that are not its repair.

    Half start from the repaired text, so that they touch the right line and still miss.
    """
    wanted = rng.randint(1, MAX_PREVIOUS)
    starts = {True: ParsedFunction(bug.source), False: ParsedFunction(fixed)}
    edits: dict[LineEdit, None] = {}
    for _ in range(2 * wanted):
        if len(edits) == wanted:
            break
        other = inject(starts[rng.random() < 0.5], rng)
        edit = edit_between(bug.source, other.source) if other else None
        if (
            edit is not None
            and len(edit.lines) <= MAX_PREVIOUS
            and edit.end - edit.start < MAX_PREVIOUS
        ):
            edits.setdefault(edit)
    sayable = (e for e in edits if e != bug.repair and _sayable(e, bug.source))
    return tuple(render_edit(edit) for edit in sayable)


def rows(
    functions: Sequence[Function],
    seed: int,
    first: int,
    count: int,
    *,
    previous_share: float = SHARE_PREVIOUS,
) -> Iterator[RepairRow]:
    """Examples number `first`.. of a seed's endless sequence, functions drawn by weight."""
    rng = Random(f"{seed}/{first}")
    weights = [function.weight for function in functions]
    for number, function in enumerate(rng.choices(functions, weights, k=count), start=first):
        row = make_row(function, rng, f"{function.package}-{number}", previous_share)
        if row is not None:
            yield row


def write_rows(path: Path, examples: Iterable[RepairRow]) -> None:
    """Write examples as JSONL."""
    with path.open("w", encoding="utf-8") as file:
        for row in examples:
            file.write(json.dumps(asdict(row)) + "\n")


def read_rows(path: Path) -> list[RepairRow]:
    """Read examples back.

    Raises:
        BadInputError: the file is missing or a line is no example.
    """
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [RepairRow(**{**row, "previous": tuple(row["previous"])}) for row in found]
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"{path} holds no training rows: {error}"
        raise BadInputError(msg) from error
