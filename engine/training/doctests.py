"""Examples of a function from its own doctest: what its authors say that it answers."""

from collections.abc import Iterable
from dataclasses import replace
from doctest import DocTestParser
from doctest import Example as Written
from random import Random

from engine.training.executable import Example, clean_answers, is_right, judged
from engine.training.outcomes import Boxes
from engine.training.packages import PackageFunction
from engine.training.subjects import Subject

MIN_EXAMPLES = 2


def with_doctests(functions: Iterable[PackageFunction], seed: int, boxes: Boxes) -> list[Subject]:
    """The functions whose doctests hold in a box, two examples at least, half of them visible.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    subjects = [s for f in functions if (s := _subject(f, seed)) is not None]
    orders = [s.calls([e.call for e in s.visible]) for s in subjects]
    answers = clean_answers(orders, boxes)
    held = [_held(s, heard) for s, heard in zip(subjects, answers, strict=True)]
    return [subject for subject in held if subject is not None]


def _subject(found: PackageFunction, seed: int) -> Subject | None:
    """A function with all examples of its docstring; None where they are too few or unreadable."""
    try:
        written = DocTestParser().get_examples(found.docstring)
    except ValueError:
        return None
    examples = tuple(_example(one) for one in written)
    if len(judged(examples)) < MIN_EXAMPLES or not _compile(examples):
        return None
    rng = Random(f"{seed}/{found.module}/{found.function.name}")
    return Subject(found.function, "", rng, found.module, prompted=True, visible=examples)


def _example(written: Written) -> Example:
    """One `>>>` as an example; without output it only prepares the next."""
    if written.exc_msg:
        return Example(written.source, f"raised {written.exc_msg}")
    return Example(written.source, f"printed {written.want}" if written.want else None)


def _compile(examples: Iterable[Example]) -> bool:
    try:
        for example in examples:
            compile(example.call, "example", "single")
    except (SyntaxError, ValueError):
        return False
    return True


def _held(subject: Subject, heard: tuple[str, ...]) -> Subject | None:
    """The subject with its examples shared out; those that do not hold are run and not judged."""
    examples = tuple(
        replace(example, outcome=None)
        if example.outcome is not None and not is_right(example.outcome, said)
        else example
        for example, said in zip(subject.visible, heard, strict=False)
    )
    told = [k for k, example in enumerate(examples) if example.outcome is not None]
    if len(told) < MIN_EXAMPLES:
        return None
    middle = told[len(told) // 2]
    return replace(subject, visible=examples[:middle], hidden=examples[middle:])
