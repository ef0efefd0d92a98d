"""Packages whose functions are run: their wheels in an image, and their module-level functions."""

import ast
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.training.corpus import MAX_FILE_BYTES, SKIPPED_PARTS, Function, functions_in
from engine.training.wheels import Wheel, check_digest
from sandbox import images
from sandbox.contract import Sandbox
from sandbox.recipes.layers import script


@dataclass(frozen=True, slots=True)
class PackageFunction:
    """A function of an importable module, with its docstring."""

    function: Function
    module: str
    docstring: str


def image_of(wheels: Sequence[Wheel], folder: Path, sandbox: Sandbox) -> str:
    """The image with these wheels unpacked; made on first use.

    Raises:
        BadInputError: a wheel is missing or not the pinned one.
        ImageBuildError: the image cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    name = images.name("env", "packages to run", *(wheel.sha256 for wheel in wheels))
    if not sandbox.has_image(name):
        for wheel in wheels:
            check_digest(folder / wheel.file, wheel)
        with tempfile.TemporaryDirectory() as directory:
            target = Path(directory)
            place = target / "opt/env/wheels"
            place.mkdir(parents=True)
            for wheel in wheels:
                shutil.copyfile(folder / wheel.file, place / wheel.file)
            sandbox.build(name, None, target, script("build_env.py"))
    return name


def functions_of(wheel: Wheel, folder: Path) -> Iterator[PackageFunction]:
    """The undecorated module-level functions of a wheel's modules.

    Raises:
        BadInputError: the wheel is missing or not the pinned one.
    """
    check_digest(folder / wheel.file, wheel)
    with zipfile.ZipFile(folder / wheel.file) as archive:
        for info in archive.infolist():
            path = PurePosixPath(info.filename)
            if path.suffix != ".py" or info.file_size > MAX_FILE_BYTES or _skipped(path):
                continue
            text = archive.read(info).decode("utf-8", "replace")
            parts = path.with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield from _functions(text, module, wheel)


def _skipped(path: PurePosixPath) -> bool:
    """Whether a file is a test, or somebody else's."""
    named = path.name.startswith(("test_", "conftest", "__main__", "setup"))
    return named or bool(SKIPPED_PARTS & set(path.parts)) or ".data" in path.parts[0]


def _functions(text: str, module: str, wheel: Wheel) -> Iterator[PackageFunction]:
    """The functions that stand at the top of one file, and once only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return
    lines = text.split("\n")
    nodes = [n for n in body if isinstance(n, ast.FunctionDef) and not n.decorator_list]
    for node in nodes:
        cut = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        found = next((f for f, _ in functions_in(cut, wheel.name, wheel.split)), None)
        if found is not None and found.name == node.name:
            yield PackageFunction(found, module, ast.get_docstring(node) or "")
