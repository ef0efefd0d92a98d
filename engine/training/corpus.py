"""Permissively licensed Python functions from pinned wheels and the standard library.

Wheels are opened as archives and never installed or executed. Everything that shares a function
name or a normalised syntax tree with a benchmark stays out; packages, not functions, are split.
"""

import ast
import builtins
import copy
import hashlib
import json
import math
import sysconfig
import textwrap
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import BadInputError
from engine.training.wheels import Wheel, check_digest, load_manifest

MIN_LINES = 3
MAX_FUNCTION_LINES = 40
MAX_FUNCTION_CHARS = 1100
BRIEF_CHARS = 220
MAX_FILE_BYTES = 400_000
MAX_PER_PACKAGE = 6000
SKIPPED_PARTS = frozenset(
    {"_vendor", "vendor", "vendored", "_vendored", "extern", "externals", "_extern", "tests",
     "test", "testing", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages",
     "ensurepip"}
)  # fmt: skip
"""Directories of tests, or of other people's packages, whose licences differ."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Function:
    """One function: `raw` as written, `plain` without comments and docstring, both dedented."""

    package: str
    split: str
    name: str
    raw: str
    plain: str
    summary: str
    weight: float


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What no training function may share with a benchmark."""

    names: frozenset[str]
    trees: frozenset[str]


def build_corpus(
    manifest: Path, out: Path, exclude: Sequence[Path], wheels: Path, *, stdlib: bool = True
) -> Counter[str]:
    """Write the kept functions to `out` as JSONL; functions per package.

    `wheels` is the folder that `fetch_wheels` filled; `exclude` the benchmarks' JSONL files.

    Raises:
        BadInputError: a wheel is missing or not the pinned one, or a benchmark is unreadable.
    """
    exclusions = load_exclusions(exclude)
    seen = set(exclusions.trees)
    found: dict[str, list[Function]] = {}
    for package, split, text in _texts(load_manifest(manifest), wheels, stdlib=stdlib):
        for function, tree in functions_in(text, package, split):
            if tree not in seen and function.name not in exclusions.names:
                seen.add(tree)
                found.setdefault(package, []).append(function)
    kept = {name: _heaviest(functions) for name, functions in found.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for function in (function for functions in kept.values() for function in functions):
            file.write(json.dumps(asdict(function)) + "\n")
    partial.replace(out)
    return Counter({name: len(functions) for name, functions in kept.items()})


def _heaviest(functions: list[Function]) -> list[Function]:
    """At most `MAX_PER_PACKAGE` functions of a package, those that compute most."""
    return sorted(functions, key=lambda f: (-f.weight, f.name, f.raw))[:MAX_PER_PACKAGE]


def read_corpus(path: Path) -> list[Function]:
    """Read back what `build_corpus` wrote.

    Raises:
        BadInputError: the file is missing or a line is no function.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [Function(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} is no corpus: {error}; build it again"
        raise BadInputError(msg) from error


def _texts(
    manifest: Sequence[Wheel], folder: Path, *, stdlib: bool
) -> Iterator[tuple[str, str, str]]:
    """(package, split, file text) of every Python file worth reading."""
    if stdlib:
        root = Path(sysconfig.get_path("stdlib"))
        for path in sorted(root.rglob("*.py")):
            if not SKIPPED_PARTS & set(path.relative_to(root).parts):
                yield "cpython", "train", path.read_text(encoding="utf-8", errors="replace")
    for wheel in manifest:
        path = folder / wheel.file
        check_digest(path, wheel)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".py") and _worth_reading(info):
                    yield wheel.name, wheel.split, archive.read(info).decode("utf-8", "replace")


def _worth_reading(info: zipfile.ZipInfo) -> bool:
    """Whether a member is the package's own code, of a usual size, and no test."""
    parts = Path(info.filename).parts
    return (
        info.file_size <= MAX_FILE_BYTES
        and not SKIPPED_PARTS & set(parts)
        and not parts[-1].startswith(("test_", "conftest"))
    )


def functions_in(text: str, package: str, split: str) -> Iterator[tuple[Function, str]]:
    """The usable functions of one file, each with the digest of its normalised tree."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = text.split("\n")
    for node in ast.walk(module):
        if isinstance(node, FunctionNode) and not node.name.startswith("test"):
            function = _function(node, lines, package, split)
            if function is not None:
                yield function, tree_digest(node)


def _function(
    node: FunctionNode, lines: Sequence[str], package: str, split: str
) -> Function | None:
    """Cut one function out of its file; None when too short, too long or not plain text."""
    bare = _without_docstring(node)
    if not bare.body or (node.end_lineno or 0) - node.lineno > 4 * MAX_FUNCTION_LINES:
        return None
    plain = ast.unparse(bare)
    raw = _raw_text(node, lines)
    if not all(_fits(t) for t in (plain, raw)):
        return None
    summary = (ast.get_docstring(node) or "").strip().split("\n")[0][:120]
    brevity = min(1.0, BRIEF_CHARS / len(plain)) ** 1.5
    return Function(
        package, split, node.name, raw, plain, summary, round(weight_of(bare) * brevity, 4)
    )


def _fits(text: str) -> bool:
    """Whether a function has the size the model is trained on, and is ASCII (columns are bytes)."""
    return (
        MIN_LINES <= text.count("\n") + 1 <= MAX_FUNCTION_LINES
        and len(text) <= MAX_FUNCTION_CHARS
        and text.isascii()
        and "\t" not in text
        and "\r" not in text
    )


def _without_docstring(node: FunctionNode) -> FunctionNode:
    """A copy of the function without decorators and docstring."""
    bare = copy.copy(node)
    bare.decorator_list = []
    if ast.get_docstring(node, clean=False) is not None:
        bare.body = node.body[1:]
    return bare


def _raw_text(node: FunctionNode, lines: Sequence[str]) -> str:
    """The function as it was written, from `def` on, its docstring's lines left out."""
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    kept = list(range(first, last))
    if ast.get_docstring(node, clean=False) is not None:
        quoted = node.body[0]
        kept = [k for k in kept if not quoted.lineno - 1 <= k < (quoted.end_lineno or 0)]
    text = textwrap.dedent("\n".join(lines[k].rstrip() for k in kept))
    return "\n".join(line for line in text.split("\n") if line)


def tree_digest(node: FunctionNode) -> str:
    """A digest that ignores the function's name, its docstring, annotations and local names."""
    tree = copy.deepcopy(_without_docstring(node))
    renamed: dict[str, str] = {}
    tree.name, tree.returns = "f", None
    for item in ast.walk(tree):
        if isinstance(item, ast.arg):
            item.annotation = None
            item.arg = renamed.setdefault(item.arg, f"v{len(renamed)}")
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            renamed.setdefault(item.id, f"v{len(renamed)}")
    for item in ast.walk(tree):
        if isinstance(item, ast.Name):
            item.id = renamed.get(item.id, item.id)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


_COMPUTING = (
    ast.For, ast.While, ast.Compare, ast.BinOp, ast.AugAssign, ast.Subscript, ast.comprehension,
    ast.BoolOp, ast.IfExp, ast.If,
)  # fmt: skip


def weight_of(node: FunctionNode) -> float:
    """How often to draw a function: self-contained, computing ones often, boilerplate seldom."""
    items = list(ast.walk(node))
    computing = sum(isinstance(item, _COMPUTING) for item in items)
    loops = any(isinstance(item, ast.For | ast.While | ast.comprehension) for item in items)
    returns = any(isinstance(item, ast.Return) and item.value is not None for item in items)
    method = bool(node.args.args) and node.args.args[0].arg in {"self", "cls"}
    density = min(1.0, 12.0 * computing / len(items))
    shape = (1.5 if loops else 1.0) * (1.2 if returns else 0.6) * (0.3 if method else 1.0)
    foreign = 1.0 + foreign_symbols(items)
    return (0.03 + density * density) * shape / (foreign * math.sqrt(foreign))


def foreign_symbols(items: Sequence[ast.AST]) -> int:
    """How many names and attributes of a function neither it nor Python itself defines."""
    stored = {n.id for n in items if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    own = stored | {n.arg for n in items if isinstance(n, ast.arg)} | set(dir(builtins))
    names = {n.id for n in items if isinstance(n, ast.Name)} - own
    attributes = {n.attr for n in items if isinstance(n, ast.Attribute)}
    known = {name for kind in (str, list, dict, set, int, bytes) for name in dir(kind)}
    return len(names) + len(attributes - known)


def load_exclusions(paths: Sequence[Path]) -> Exclusions:
    """Names and trees of every function that the benchmarks' text fields define.

    Raises:
        BadInputError: a file is missing or holds no JSON lines.
    """
    names: set[str] = set()
    trees: set[str] = set()
    for path in paths:
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            msg = f"{path} is no benchmark in JSON lines: {error}"
            raise BadInputError(msg) from error
        for row in rows:
            for node in _functions_of_row(row):
                names.add(node.name)
                trees.add(tree_digest(node))
    return Exclusions(frozenset(names - {"check"}), frozenset(trees))


def _functions_of_row(row: dict[str, object]) -> Iterator[FunctionNode]:
    """Every function that a benchmark's row defines, bodies joined to their declarations."""
    texts = [value for value in row.values() if isinstance(value, str)]
    declaration = str(row.get("declaration", ""))
    texts += [declaration + str(row.get(k, "")) for k in ("buggy_solution", "canonical_solution")]
    for text in texts:
        try:
            module = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # most fields are prose
        yield from (node for node in ast.walk(module) if isinstance(node, FunctionNode))
