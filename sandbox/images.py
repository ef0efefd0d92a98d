"""Which image a checkout needs, and making it once per content hash.

Three images above each other: the machine's Python toolchain (or a registry's), an environment of
wheels that other commits use again, and the repository itself.
"""

import errno
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.archives import special_files
from sandbox.contract import Limits, Sandbox, TestCommand
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.recipes import RECIPES, language_of, projects_in
from sandbox.recipes.layers import Layer, together
from sandbox.recipes.owned import in_folder, project_folder, reporting_as_told, with_install
from sandbox.recipes.place import NOTES, PROJECT_NOTES
from sandbox.recipes.python import PythonRecipe, bare_layer
from sandbox.recipes.python_choice import Choice, choose_python
from sandbox.recipes.steps import FOUND, Steps, as_text
from sandbox.recipes.wheels import STEP as WHEELS
from sandbox.reports import NOT_THERE, USAGE_ERROR
from sandbox.settings import MIB, SandboxSettings

REPOSITORY_BYTES = 1024 * MIB
UNWRITABLE = frozenset(
    {None, errno.EACCES, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
     errno.ENOSPC, errno.EPERM, errno.EROFS}
)  # fmt: skip
"""Conditions of this machine, not of the files."""
OURS = frozenset({"auto", "toolchain"})
"""The base images whose Python is the one that runs this program."""
PLAIN = "python"
"""The recipe of repositories in a language that none is for, where the owners' own command reports:
every base image has Python, and nothing comes on top of it.
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """An image that holds a repository ready for its tests, and how to run them.

    It is not `complete` where something that this machine could not have was done without, so that
    another machine, or this one later, makes another image of the same checkout.
    """

    image: str
    command: TestCommand
    recipe: str
    built: bool
    complete: bool = True


def bare(sandbox: Sandbox) -> str:
    """The image with only a Python interpreter, its standard library and pytest; made on first use.

    Raises:
        ImageBuildError: it cannot be made.
        SandboxUnavailableError: the back end does not answer.
    """
    with _machine_errors(sandbox):
        return _without_packages(sandbox, ())


def _without_packages(sandbox: Sandbox, toolchains: Sequence[Layer]) -> str:
    """The image with other languages' programs and nothing else that a repository asks for."""
    layer = together([*toolchains, bare_layer()])
    image = name("env", layer.key)
    _ensure(sandbox, image, None, layer)
    return image


def prepare(
    sandbox: Sandbox,
    checkout: Path,
    *,
    test_command: Sequence[str] | None,
    settings: SandboxSettings,
    steps: Steps = FOUND,
) -> Environment:
    """Make the image of a checkout, unless it is there, and find how its tests are run.

    `steps` are what the repository's owners set; `test_command` goes before theirs.

    Raises:
        ImageBuildError: no recipe fits, the repository is too large, or a build step failed; it
            carries the recipe that was tried.
        SandboxUnavailableError: the back end does not answer.
    """
    if test_command:
        command = shlex.join(word for word in test_command if word != "{tests}")
        steps = replace(steps, test_command=command, report="", report_files=())
    try:
        return _prepared(sandbox, checkout, settings, steps)
    except ImageBuildError as error:
        error.tried = tried(checkout, steps)
        raise


def tried(checkout: Path, steps: Steps) -> str:
    """The recipe for a checkout as text for `.github/evoscale.yml`: what is set, and what is found.

    Where no recipe fits, the folders that one would fit are named as its projects.
    """
    try:
        folder = project_folder(checkout, steps)
        language = _language(folder, steps)
    except ImageBuildError:
        inner = projects_in(checkout)
        each = [Steps(path=path, language=language_of(checkout / path) or "") for path in inner]
        return as_text(each or [steps])
    found = RECIPES[language].found(folder)
    whole = replace(
        steps,
        language=language,
        packages=found.packages if steps.packages is None else steps.packages,
        test_command=steps.test_command or found.test_command,
    )
    return as_text([whole])


def _prepared(
    sandbox: Sandbox, checkout: Path, settings: SandboxSettings, steps: Steps
) -> Environment:
    folder = project_folder(checkout, steps)
    language = _language(folder, steps)
    recipe = RECIPES[language]
    notes: list[str] = []
    with _machine_errors(sandbox):
        source = with_install(recipe.source(folder, steps.path), steps)
        below, others = _toolchains(sandbox, (language, steps), folder)
        choice = _python(sandbox, settings, (language, steps), folder)
        environment = _of_other_python(sandbox, choice, (others, steps), folder, notes)
        complete = environment is not None or choice.python is None
        if environment is None:
            dependencies = recipe.dependencies(folder, steps.packages)
            environment, whole = _environment(sandbox, below, (others, dependencies), notes)
            complete = complete and whole
        image = name("repo", environment, source.key, tree_hash(checkout))
        built = not sandbox.has_image(image)
        _ensure(sandbox, image, environment, source, checkout)
    as_told = reporting_as_told(steps)
    commands = [as_told] if as_told else recipe.commands(folder, steps.test_argv)
    command = _accepted(sandbox, image, in_folder(commands, steps), settings.limits(), notes)
    told = "; ".join([f"{command.runner}: {command.reason}", *notes])
    return Environment(image, command, told, built, complete)


def _language(folder: Path, steps: Steps) -> str:
    """The recipe's name.

    Raises:
        ImageBuildError: none fits, or the owners name one that is not there.
    """
    language = steps.language or language_of(folder)
    if language is None and reporting_as_told(steps) is not None:
        return PLAIN
    if language is None:
        inner = projects_in(folder)
        lie = (
            f"; manifests lie in {', '.join(inner)}: name them under `projects`"
            if inner
            else "; for another one set `test_command` and `report_files`"
        )
        reason = f"no manifest of a known language ({', '.join(RECIPES)}){lie}"
        raise ImageBuildError("recipe", reason)
    unknown = [each for each in (language, *steps.toolchains) if each not in RECIPES]
    if unknown:
        reason = f"there is no recipe for {unknown[0]!r}; there are {', '.join(RECIPES)}"
        raise ImageBuildError("recipe", reason)
    return language


def _toolchains(
    sandbox: Sandbox, wanted: tuple[str, Steps], folder: Path
) -> tuple[str | None, list[Layer]]:
    """The image with the languages' programs, or the layers to lay below the dependencies.

    There is no such image where the base image has the programs; others that the owners ask for
    then go into the image of the dependencies.
    """
    language, steps = wanted
    own = RECIPES[language].toolchain(folder)
    others = [RECIPES[each].toolchain(folder) for each in steps.toolchains if each != language]
    layers = [layer for layer in (own, *others) if layer is not None]
    if own is None:
        return None, layers
    layer = together(layers)
    image = name("tools", layer.key)
    _ensure(sandbox, image, None, layer)
    return image, []


def _python(
    sandbox: Sandbox, settings: SandboxSettings, wanted: tuple[str, Steps], folder: Path
) -> Choice:
    """The Python of a project's environment; an operator's own base image is not second-guessed."""
    language, steps = wanted
    if language != PLAIN or settings.base_image not in OURS:
        return Choice()

    def image(version: str) -> str | None:
        return sandbox.python(version)

    return choose_python(folder, steps.python, image)


def _of_other_python(
    sandbox: Sandbox,
    choice: Choice,
    wanted: tuple[Sequence[Layer], Steps],
    folder: Path,
    notes: list[str],
) -> str | None:
    """The image of the dependencies with another Python, or None: then the base image's is taken.

    So it is where there are no wheels for the other one.
    """
    others, steps = wanted
    if choice.note:
        notes.append(choice.note)
    if choice.python is None:
        return None
    dependencies = PythonRecipe(choice.python).dependencies(folder, steps.packages)
    whole = together([*others, dependencies])
    image = name("env", choice.python.below or "", whole.key)
    try:
        _ensure(sandbox, image, choice.python.below, whole)
    except ImageBuildError as error:
        notes.append(f"it cannot be used ({error.reason}), so another one was taken")
        return None
    return image


def _environment(
    sandbox: Sandbox, below: str | None, layers: tuple[Sequence[Layer], Layer], notes: list[str]
) -> tuple[str, bool]:
    """Build the image of the dependencies; where none can be had, go without them and note it.

    Gives its name, and whether they are in it.

    `layers` are the other languages' programs, which stay, and the dependencies. The image without
    dependencies has another name, so the next call tries again.
    """
    others, dependencies = layers
    whole = together([*others, dependencies])
    image = name("env", below or "", whole.key)
    try:
        _ensure(sandbox, image, below, whole)
    except ImageBuildError as error:
        if error.step != WHEELS:
            raise
        notes.append(f"without its dependencies: {error.reason}")
        return _without_packages(sandbox, others), False
    return image, True


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
            _lay_over_repository(layer, target)
        else:
            layer.lay(target)
        sandbox.build(image, base, target, layer.script)


def _lay_over_repository(layer: Layer, target: Path) -> None:
    """Lay a layer where the repository's files already lie, which may be in its way.

    Raises:
        ImageBuildError: they are.
        OSError: this machine's disk is full or not ours to write.
    """
    try:
        layer.lay(target)
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise
        name = Path(error.filename or "a file").name
        reason = (
            f"{error.strerror or type(error).__name__}: {name!r} of the repository is in the way"
        )
        raise ImageBuildError("copy", f"{reason}; remove it") from error


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
        noted = box.exec(["sh", "-c", f"cat {NOTES} {PROJECT_NOTES} 2>/dev/null"])
        if noted.output:
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
