"""Runs inside a box only: what candidate functions answer to calls, one process a candidate.

Reads one order from stdin (JSON), prints one line: the order's token and, for every task and every
candidate of it, the texts of its outcomes so far. What the right outcomes are is never told here.
"""

import __future__

import ast
import contextlib
import gc
import importlib
import io
import itertools
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

ITEMS_OF_AN_ITERATOR = 50
WALL_CLOCK_S = 4.0
MOST_CHARS = 2000
CANDIDATE = "candidate"
"""The name that a candidate's code is compiled under."""

Run = Callable[[dict[str, Any]], str]
"""One example: runs in a candidate's namespace and says what came of it."""


def main() -> None:
    """Carry out the order on stdin."""
    order = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    gc.disable()  # a collection would touch, and so copy, every page in every child
    answers = []
    for task in order["tasks"]:
        namespace, examples = prepared(task)
        answers.append([answer(task, namespace, examples, order, text) for text in task["sources"]])
    sys.stdout.write(json.dumps({"token": order["token"], "answers": answers}) + "\n")


def prepared(task: dict[str, Any]) -> tuple[dict[str, Any] | None, list[Run]]:
    """The namespace that a task's candidates start from, and its examples; None when it fails."""
    namespace: dict[str, Any] = {"__name__": "candidate"}
    known = set(sys.modules)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if task["module"]:
                namespace = importlib.import_module(task["module"]).__dict__
            exec(compile(task["setup"], "setup", "exec"), namespace)  # noqa: S102 - in a box
        of = prompted if task["prompted"] else called
        return namespace, [of(text) for text in task["examples"]]
    except BaseException:  # noqa: BLE001 - whatever a package does when it is imported
        for name in set(sys.modules) - known:  # else the next task would find what is half imported
            del sys.modules[name]
        return None, []


def called(text: str) -> Run:
    """A call and its outcome: the value, what became of the arguments, or the exception's name."""
    tree = ast.parse(text, mode="eval").body
    if not isinstance(tree, ast.Call) or tree.keywords or _starred(tree):
        whole = compile(text, "call", "eval")
        return lambda namespace: outcome(lambda: shown(eval(whole, namespace)))  # noqa: S307 - a box
    parts = [compile(ast.Expression(part), "call", "eval") for part in (tree.func, *tree.args)]

    def run(namespace: dict[str, Any]) -> str:
        def work() -> str:
            function, *arguments = [eval(part, namespace) for part in parts]  # noqa: S307 - box
            before = [plain(value) for value in arguments]
            found = shown(function(*arguments))
            after = [plain(value) for value in arguments]
            return found if before == after else f"{found}; arguments: ({', '.join(after)})"

        return outcome(work)

    return run


def prompted(text: str) -> Run:
    """A statement as at the interpreter's prompt, and all that it prints."""
    code = compile(text, "example", "single")

    def run(namespace: dict[str, Any]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(code, namespace)  # noqa: S102 - in a box
            except BaseException as error:  # noqa: BLE001 - what it raises is the outcome
                return "raised " + "".join(traceback.format_exception_only(error))
        return "printed " + printed.getvalue()

    return run


def _starred(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in call.args)


def outcome(work: Callable[[], str]) -> str:
    """What a piece of work gives, what it printed, or the name of what it raised."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            found = work()
        except BaseException as error:  # noqa: BLE001 - what it raises is the outcome
            return f"raises {type(error).__name__}"
    said = printed.getvalue()
    return f"{found}; prints {said!r}" if said else found


def shown(value: Any) -> str:
    """A value's text; an iterator's first items."""
    if isinstance(value, Iterator):
        return f"iterator of {plain(list(itertools.islice(value, ITEMS_OF_AN_ITERATOR)))}"
    return plain(value)


def plain(value: Any) -> str:
    """A value's `repr` in which sets, at any depth of plain containers, are in order."""
    kind = type(value)
    if kind in {set, frozenset} and value:
        inside = ", ".join(sorted(plain(item) for item in value))
        return f"{{{inside}}}" if kind is set else f"frozenset({{{inside}}})"
    if kind is list:
        return f"[{', '.join(plain(item) for item in value)}]"
    if kind is tuple:
        return f"({', '.join(plain(item) for item in value)}{',' * (len(value) == 1)})"
    if kind is dict:
        return f"{{{', '.join(f'{plain(k)}: {plain(v)}' for k, v in value.items())}}}"
    return repr(value)


def answer(
    task: dict[str, Any],
    namespace: dict[str, Any] | None,
    examples: list[Run],
    order: dict[str, Any],
    source: str,
) -> list[str]:
    """The outcomes of one candidate, in a process of its own; those that it lived to tell."""
    if namespace is None:
        return []
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read)
            confine(order)
            for said in outcomes(task, namespace, examples, source):
                os.write(write, json.dumps(said[:MOST_CHARS]).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(write)
    told = listen(read)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    return told


def confine(order: dict[str, Any]) -> None:
    """A session of its own, no streams, bounded memory, and an end after so much CPU time."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_VIRTUAL, order["cpu_s"])


def outcomes(
    task: dict[str, Any], namespace: dict[str, Any], examples: list[Run], source: str
) -> Iterator[str]:
    """Put a candidate in its place and go through the examples; nothing when it is no Python."""
    before = namespace.get(task["name"])
    try:
        code = compile(source, CANDIDATE, "exec", flags=__future__.annotations.compiler_flag)
        exec(code, namespace)  # noqa: S102 - in a box
    except BaseException:  # noqa: BLE001 - a candidate that cannot be defined has no outcomes
        return
    if task["module"]:
        replaced(task["module"].split(".")[0], task["name"], before, namespace[task["name"]])
        namespace = dict(namespace)  # as doctest does: examples leave the module alone
    for run in examples:
        yield traced(run, namespace) if task["traced"] else run(namespace)


def traced(run: Run, namespace: dict[str, Any]) -> str:
    """The lines of the candidate that an example runs, whatever its outcome."""
    lines: set[int] = set()

    def trace(frame: types.FrameType, event: str, argument: object) -> Any:
        del event, argument
        if frame.f_code.co_filename != CANDIDATE:
            return None
        lines.add(frame.f_lineno)
        return trace

    sys.settrace(trace)
    try:
        run(namespace)
    finally:
        sys.settrace(None)
    return json.dumps(sorted(lines))


def replaced(package: str, name: str, before: object, after: object) -> None:
    """Put the candidate wherever the package's modules imported the function."""
    for module in list(sys.modules.values()):
        own = isinstance(module, types.ModuleType) and module.__name__.split(".")[0] == package
        if own and module.__dict__.get(name) is before:
            setattr(module, name, after)


def listen(read: int) -> list[str]:
    """The lines that a candidate's process writes until it ends or its time is over."""
    ends = time.monotonic() + WALL_CLOCK_S
    told = b""
    while True:
        ready, _, _ = select.select([read], [], [], max(0.0, ends - time.monotonic()))
        part = os.read(read, 65536) if ready else b""
        if not part:
            break
        told += part
    whole = told.split(b"\n")[:-1]
    return [json.loads(line) for line in whole]


if __name__ == "__main__":
    main()
