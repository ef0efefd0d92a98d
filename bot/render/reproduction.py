"""Pure: the generated test file as a person would write it: what to type, what must come."""

import ast
import re
from typing import Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

_DATA = re.compile(r"^EXAMPLES = json\.loads\((?P<literal>.+)\)$", re.MULTILINE)


class _Example(BaseModel):
    name: str
    kind: Literal["returns", "raises", "runs", "block"]
    source: str
    want: str
    setup: tuple[str, ...]


_EXAMPLES = TypeAdapter(list[_Example])


def readable(file: str) -> str:
    """The examples of a generated file as prompts and expected answers; any other file as it is."""
    found = _DATA.search(file)
    if found is None:
        return file
    try:
        examples = _EXAMPLES.validate_json(ast.literal_eval(found["literal"]))
    except (ValidationError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return file
    titled = len(examples) > 1
    return "\n\n".join(_shown(example, titled=titled) for example in examples) or file


def _shown(example: _Example, *, titled: bool) -> str:
    lines = [f"# {example.name}"] if titled else []
    if example.kind == "block":
        return "\n".join([*lines, example.source.strip("\n")])
    lines += [_prompted(source) for source in (*example.setup, example.source)]
    if example.kind == "returns":
        lines.append(example.want.strip("\n"))
    elif example.kind == "raises":
        lines += ["Traceback (most recent call last):", "    ...", example.want]
    else:
        lines.append("# no exception")
    return "\n".join(lines)


def _prompted(source: str) -> str:
    first, *rest = source.strip("\n").split("\n")
    return "\n".join([f">>> {first}", *(f"... {line}".rstrip() for line in rest)])
