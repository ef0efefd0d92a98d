"""Examples of a function from calling it with guessed arguments in a box.

What the clean function answers is the right answer. Two runs in two boxes must agree, so chance,
time and addresses stay out.
"""

import ast
import builtins
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random

from engine.errors import BadInputError
from engine.models.rewrites.spans import ParsedFunction
from engine.training.arguments import Guesses, Types
from engine.training.corpus import Function
from engine.training.executable import Example, ExecutableTask, clean_answers
from engine.training.imports import imports_for
from engine.training.outcomes import Boxes
from engine.training.packages import PackageFunction
from engine.training.subjects import Subject, Wanted, buggy_tasks

MAX_LINES = 14
MAX_CHARS = 400
EXAMPLES = 12
SPARE = 4
MIN_OUTCOMES = 3
MAX_RAISING = 3
GUESSES = 60
BATCH = 150
GUESSING_CPU_S = 0.6
CLEAN_CPU_S = 0.05
MOST_CHARS = 240
_FORBIDDEN = frozenset(
    {"open", "input", "exec", "eval", "globals", "locals", "vars", "id", "hash", "exit", "quit",
     "breakpoint", "compile", "__import__", "super", "print", "dir", "memoryview"}
)  # fmt: skip
_OF_A_PLACE = (" at 0x", "<function", "<module", "<class", "<bound", "<built-in", "<lambda")


def draw_tasks(
    functions: Sequence[Function],
    count: int,
    seed: int,
    boxes: Boxes,
    say: Callable[[int], None] = lambda _: None,
) -> list[ExecutableTask]:
    """The first `count` tasks from these functions, in an order drawn by the seed.

    `say` hears how many there are so far.

    Raises:
        BadInputError: the functions do not give so many.
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    order = list(functions)
    Random(seed).shuffle(order)
    found: list[ExecutableTask] = []
    for batch in _batches(s for f in order if (s := self_contained(f, seed)) is not None):
        found += buggy_tasks(with_guesses(batch, boxes), boxes, Wanted())
        say(min(len(found), count))
        if len(found) >= count:
            return found[:count]
    msg = f"these functions give {len(found)} executable tasks, not {count}; ask for fewer"
    raise BadInputError(msg)


def _batches(subjects: Iterable[Subject]) -> Iterator[list[Subject]]:
    """The subjects, so many at a time."""
    batch: list[Subject] = []
    for subject in subjects:
        batch.append(subject)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def self_contained(function: Function, seed: int) -> Subject | None:
    """A short function of the corpus that needs nothing but imports; None for others."""
    text = function.raw
    if text.count("\n") >= MAX_LINES or len(text) > MAX_CHARS or not text.startswith("def "):
        return None
    parsed = _callable(text)
    setup = None if parsed is None else imports_for(_foreign(parsed))
    if setup is None:
        return None
    return Subject(function, setup, Random(f"{seed}/{function.package}/{text}"))


def of_module(found: PackageFunction, seed: int) -> Subject | None:
    """A function that runs inside its module; None where it cannot be called with values only."""
    if _callable(found.function.raw) is None:
        return None
    rng = Random(f"{seed}/{found.module}/{found.function.name}")
    return Subject(found.function, "", rng, found.module)


def _callable(text: str) -> ParsedFunction | None:
    """A function of values that returns one; None where it is a method, or reads from outside."""
    try:
        parsed = ParsedFunction(text)
    except (SyntaxError, ValueError):
        return None
    node = parsed.tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        return None
    first = next(iter([*node.args.posonlyargs, *node.args.args]), None)
    needs_keyword = any(default is None for default in node.args.kw_defaults)
    if first is None or first.arg in {"self", "cls", "mcs", "klass"} or needs_keyword:
        return None
    gives = any(isinstance(n, ast.Return | ast.Yield) and n.value for n in parsed.nodes)
    return parsed if gives and not _FORBIDDEN & {n.id for n in parsed.of(ast.Name)} else None


def _foreign(parsed: ParsedFunction) -> set[str]:
    """The names that neither a function nor Python itself defines."""
    names = parsed.of(ast.Name)
    own = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | set(dir(builtins))
    for node in ast.walk(parsed.tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name):
                own.add(name)
            case ast.ExceptHandler(name=str(name)):
                own.add(name)
    return {n.id for n in names} - own


def with_guesses(subjects: Sequence[Subject], boxes: Boxes) -> list[Subject]:
    """The subjects for which calls with enough different and steady outcomes were found.

    The second half of the guesses repeats the types of those in the first half that were taken.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    guesses = [Guesses(_node(subject)) for subject in subjects]
    guessing = replace(boxes, cpu_s=GUESSING_CPU_S)
    types = [
        [g.types(s.rng) for _ in range(GUESSES)] for g, s in zip(guesses, subjects, strict=True)
    ]
    first = _answered(subjects, guesses, types, guessing)
    types = [_taken(s, t, e) for s, t, e in zip(subjects, types, first, strict=True)]
    second = _answered(subjects, guesses, types, guessing)
    chosen = [
        replace(s, visible=_chosen([*one, *two], s.rng))
        for s, one, two in zip(subjects, first, second, strict=True)
    ]
    return _steady([subject for subject in chosen if subject.visible], boxes)


def _node(subject: Subject) -> ast.FunctionDef:
    node = ast.parse(subject.function.raw).body[0]
    if not isinstance(node, ast.FunctionDef):
        msg = f"{subject.function.name} is no plain function"
        raise TypeError(msg)
    return node


def _answered(
    subjects: Sequence[Subject],
    guesses: Sequence[Guesses],
    types: Sequence[Sequence[Types]],
    boxes: Boxes,
) -> list[list[Example]]:
    """Calls with values of these types, and what the clean functions answer to them."""
    calls = [
        [guess.call(subject.function.name, each, subject.rng) for each in wanted]
        for subject, guess, wanted in zip(subjects, guesses, types, strict=True)
    ]
    orders = [subject.calls(texts) for subject, texts in zip(subjects, calls, strict=True)]
    return [
        [Example(text, said) for text, said in zip(texts, heard, strict=False)]
        for texts, heard in zip(calls, clean_answers(orders, boxes), strict=True)
    ]


def _taken(subject: Subject, types: Sequence[Types], heard: Sequence[Example]) -> list[Types]:
    """Types that the function took, drawn anew; all of them where it took none."""
    taken = [each for each, example in zip(types, heard, strict=False) if not _raises(example)]
    return [subject.rng.choice(taken or types) for _ in range(GUESSES)]


def _raises(example: Example) -> bool:
    return (example.outcome or "").startswith("raises ")


def _chosen(found: Sequence[Example], rng: Random) -> tuple[Example, ...]:
    """Calls whose outcomes differ most, few of them exceptions; none where they differ too little.

    The k-th call of an outcome has its turn with the other outcomes' k-th.
    """
    usable = list({e.call: e for e in found if _usable(e)}.values())
    rng.shuffle(usable)
    counted: Counter[str] = Counter()
    turns: list[tuple[int, Example]] = []
    for example in usable:
        said = example.outcome or ""
        turns.append((counted[said], example))
        counted[said] += 1
    ordered = [example for _, example in sorted(turns, key=lambda turn: turn[0])]
    raising = [example for example in ordered if _raises(example)][:MAX_RAISING]
    chosen = [e for e in ordered if not _raises(e) or e in raising][: EXAMPLES + SPARE]
    rng.shuffle(chosen)
    return tuple(chosen) if _enough(chosen) else ()


def _usable(example: Example) -> bool:
    """Whether an outcome is short, and says nothing of addresses."""
    said = example.outcome or ""
    short = len(example.call) <= MOST_CHARS and len(said) <= MOST_CHARS
    return short and said.isascii() and not any(word in said for word in _OF_A_PLACE)


def _enough(examples: Sequence[Example]) -> bool:
    return len(examples) >= EXAMPLES and len({e.outcome for e in examples}) >= MIN_OUTCOMES


def _steady(subjects: Sequence[Subject], boxes: Boxes) -> list[Subject]:
    """The subjects whose examples come out the same, and fast, once more; half become hidden."""
    orders = [subject.calls([e.call for e in subject.visible]) for subject in subjects]
    answers = clean_answers(orders, replace(boxes, cpu_s=CLEAN_CPU_S))
    found = []
    for subject, heard in zip(subjects, answers, strict=True):
        pairs = zip(subject.visible, heard, strict=False)
        same = tuple(e for e, said in pairs if e.outcome == said)[:EXAMPLES]
        if _enough(same):
            half = EXAMPLES // 2
            found.append(replace(subject, visible=same[:half], hidden=same[half:]))
    return found
