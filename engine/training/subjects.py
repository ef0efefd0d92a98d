"""Clean functions with examples of what they answer, and the tasks that bugs make of them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from engine.models.rewrites.spans import ParsedFunction
from engine.training.bugs import Bug, inject
from engine.training.corpus import Function
from engine.training.executable import Example, ExecutableTask, verdicts
from engine.training.issues import Failure, issue_text
from engine.training.outcomes import Boxes, Calls, run_calls

BUGS_TRIED = 6
BUGS_KEPT = 2

Inject = Callable[[ParsedFunction, Random], Bug | None]


@dataclass(frozen=True, slots=True)
class Subject:
    """A clean function, what it takes to run it, and `visible` and `hidden` examples when known."""

    function: Function
    setup: str
    rng: Random
    module: str = ""
    prompted: bool = False
    visible: tuple[Example, ...] = ()
    hidden: tuple[Example, ...] = ()

    @property
    def examples(self) -> tuple[Example, ...]:
        """All of them, in order."""
        return (*self.visible, *self.hidden)

    def calls(self, examples: Sequence[str], *sources: str) -> Calls:
        """The order to run examples with these sources; without any, with the clean one."""
        return Calls(
            name=self.function.name,
            setup=self.setup,
            examples=tuple(examples),
            sources=sources or (self.function.raw,),
            module=self.module,
            prompted=self.prompted,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How bugs are made, how many are tried on a function and how many of them kept."""

    bug_of: Inject = inject
    tried: int = BUGS_TRIED
    kept: int = BUGS_KEPT


def buggy_tasks(
    subjects: Sequence[Subject], boxes: Boxes, wanted: Wanted
) -> Iterator[ExecutableTask]:
    """Tasks from the bugs that a visible example shows.

    Raises:
        SandboxUnavailableError: no box can be opened, or the box failed.
    """
    made = [(subject, _bugs(subject, wanted)) for subject in subjects]
    made = [(subject, bugs) for subject, bugs in made if bugs]
    orders = [
        subject.calls([e.call for e in subject.examples], *(bug.source for bug in bugs))
        for subject, bugs in made
    ]
    for (subject, bugs), answers in zip(made, run_calls(orders, boxes), strict=True):
        pairs = enumerate(zip(bugs, answers, strict=True))
        tasks = (_told(_task(subject, bug, k), heard) for k, (bug, heard) in pairs)
        yield from [task for task in tasks if task is not None][: wanted.kept]


def _bugs(subject: Subject, wanted: Wanted) -> list[Bug]:
    """Different bugs of a function."""
    parsed = ParsedFunction(subject.function.raw)
    found: dict[str, Bug] = {}
    for _ in range(wanted.tried):
        bug = wanted.bug_of(parsed, subject.rng)
        if bug is not None:
            found.setdefault(bug.source, bug)
    return list(found.values())


def _task(subject: Subject, bug: Bug, number: int) -> ExecutableTask:
    """A task without its issue."""
    function = subject.function
    where = subject.module or function.package
    digest = hashlib.sha256(f"{function.raw}\0{bug.source}".encode()).hexdigest()
    return ExecutableTask(
        instance_id=f"{where}-{function.name}-{bug.kind}-{number}-{digest[:10]}",
        package=function.package,
        split=function.split,
        module=subject.module,
        prompted=subject.prompted,
        name=function.name,
        setup=subject.setup,
        source=bug.source,
        fixed=function.raw,
        kind=bug.kind,
        problem_statement="",
        visible=subject.visible,
        hidden=subject.hidden,
    )


def _told(task: ExecutableTask, heard: Sequence[str]) -> ExecutableTask | None:
    """The task with an issue about a visible example that fails; None when none does."""
    right = iter(verdicts(task, heard))
    failing = [
        k
        for k, example in enumerate(task.visible)
        if example.outcome is not None and not next(right)
    ]
    if not failing:
        return None
    rng = Random(task.instance_id.rpartition("-")[0] + task.source)
    wrong = rng.choice(failing)
    example = task.visible[wrong]
    said = heard[wrong] if wrong < len(heard) else ""
    failure = Failure(example.call.strip(), example.outcome or "", said)
    return replace(task, problem_statement=issue_text(task.kind, task.name, rng, failure))
