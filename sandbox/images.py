"""Which image a checkout needs, and making it once per content hash.

Three images above each other: the machine's Python toolchain (or a registry's), an environment of
wheels that other commits use again, and the repository itself.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.archives import special_files
from sandbox.contract import Limits, Sandbox, TestCommand
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.recipes import RECIPES, choose
from sandbox.recipes.layers import Layer
from sandbox.recipes.place import NOTES
from sandbox.recipes.python import bare_layer
from sandbox.recipes.wheels import STEP as WHEELS
from sandbox.reports import NOT_THERE, USAGE_ERROR
from sandbox.settings import MIB, SandboxSettings

REPOSITORY_BYTES = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Environment:
    """An image that holds a repository ready for its tests, and how to run them."""

    image: str
    command: TestCommand
    recipe: str
    built: bool


def bare(sandbox: Sandbox) -> str:
    """The image with only a Python interpreter, its standard library and pytest; made on first use.

    Raises:
        ImageBuildError: it cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    layer = bare_layer()
    image = name("env", layer.key)
    with _machine_errors(sandbox):
        _ensure(sandbox, image, None, layer)
    return image


def prepare(
    sandbox: Sandbox,
    checkout: Path,
    *,
    test_command: Sequence[str] | None,
    settings: SandboxSettings,
) -> Environment:
    """Make the image of a checkout, unless it is there, and find how its tests are run.

    Raises:
        ImageBuildError: no recipe fits, the repository is too large, or a build step failed.
        SandboxUnavailableError: the back end does not answer.
    """
    recipe = choose(checkout)
    if recipe is None:
        raise ImageBuildError("recipe", f"no manifest of a known language: {', '.join(RECIPES)}")
    with _machine_errors(sandbox):
        dependencies, source = recipe.dependencies(checkout), recipe.source(checkout)
        below = _toolchain(sandbox, recipe.toolchain(checkout))
        environment = name("env", below or "", dependencies.key)
        notes: list[str] = []
        if not sandbox.has_image(environment):
            environment = _environment(sandbox, (environment, below), dependencies, notes)
        image = name("repo", environment, source.key, tree_hash(checkout))
        built = not sandbox.has_image(image)
        _ensure(sandbox, image, environment, source, checkout)
    commands = recipe.commands(checkout, test_command)
    command = _accepted(sandbox, image, commands, settings.limits(), notes)
    return Environment(
        image, command, "; ".join([f"{command.runner}: {command.reason}", *notes]), built
    )


def _toolchain(sandbox: Sandbox, layer: Layer | None) -> str | None:
    """The image with a language's programs; None where the base image has them."""
    if layer is None:
        return None
    image = name("tools", layer.key)
    _ensure(sandbox, image, None, layer)
    return image


def _environment(
    sandbox: Sandbox, named: tuple[str, str | None], layer: Layer, notes: list[str]
) -> str:
    """Build the image of the dependencies; where none can be had, take the bare one and note it.

    The bare image has another name, so the next call tries again.
    """
    image, below = named
    try:
        _ensure(sandbox, image, below, layer)
    except ImageBuildError as error:
        if error.step != WHEELS:
            raise
        notes.append(f"without its dependencies: {error.reason}")
        return bare(sandbox)
    return image


@contextmanager
def _machine_errors(sandbox: Sandbox) -> Iterator[None]:
    """This machine's own failures, such as a full disk, are not the repository's."""
    try:
        yield
    except OSError as error:
        reason = f"{error}; make room, or set TMPDIR and EVOSCALE_SANDBOX_CACHE_DIR"
        raise SandboxUnavailableError(sandbox.isolation, reason) from error


def name(kind: str, *parts: str) -> str:
    """An image's name: what decides its content, hashed."""
    return f"{kind}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"


def tree_hash(checkout: Path) -> str:
    """A hash of every file's path, mode and content; the repository's history does not count.

    Raises:
        ImageBuildError: the repository is larger than a box could hold.
    """
    digest = hashlib.sha256()
    total = 0
    for path in _files(checkout):
        status = path.lstat()
        digest.update(
            f"{path.relative_to(checkout)}\0{status.st_mode & 0o100111:o}\0".encode(
                errors="surrogateescape"
            )
        )
        if stat.S_ISLNK(status.st_mode):
            digest.update(os.fsencode(path.readlink()))
            continue
        total += status.st_size
        if total > REPOSITORY_BYTES:
            raise ImageBuildError(
                "copy", f"the repository is larger than {REPOSITORY_BYTES // MIB} MiB"
            )
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _files(checkout: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(checkout):
        directories[:] = sorted(d for d in directories if d != ".git" or Path(parent) != checkout)
        links = [d for d in directories if Path(parent, d).is_symlink()]
        for file in sorted([*names, *links]):
            path = Path(parent, file)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                yield path


def _ensure(
    sandbox: Sandbox, image: str, base: str | None, layer: Layer, checkout: Path | None = None
) -> None:
    """Build an image unless it is there."""
    if sandbox.has_image(image):
        return
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        if checkout is not None:
            shutil.copytree(
                checkout, target / "opt/repo", symlinks=True, ignore=_left_out(checkout)
            )
        layer.lay(target)
        sandbox.build(image, base, target, layer.script)


def _left_out(checkout: Path) -> Callable[[str, list[str]], list[str]]:
    def ignore(directory: str, names: list[str]) -> list[str]:
        history = [".git"] if Path(directory) == checkout else []
        return [*special_files(directory, names), *history]

    return ignore


def _accepted(
    sandbox: Sandbox,
    image: str,
    commands: Sequence[TestCommand],
    limits: Limits,
    notes: list[str],
) -> TestCommand:
    """The first command that its runner accepts, else the first whose runner is there."""
    there: list[TestCommand] = []
    with sandbox.open(image, limits) as box:
        noted = box.exec(["cat", NOTES])
        if noted.exit_code == 0:
            notes.append(noted.output.decode(errors="replace")[:500])
        if len(commands) == 1:
            return commands[0]
        for command in commands[:-1]:
            argv = [word for word in command.argv if word != "{tests}"]
            result = box.exec([*argv, "--collect-only", "-q"])
            if result.exit_code in NOT_THERE:
                continue
            if result.exit_code != USAGE_ERROR:
                return command
            there.append(command)
    return there[0] if there else commands[-1]
