"""Python repositories with pytest or unittest suites."""

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import wheels
from sandbox.recipes.declared import text_of
from sandbox.recipes.layers import (
    Layer,
    leads_out,
    nothing,
    place_in_repository,
    program,
    script,
    together,
)
from sandbox.recipes.place import NOTES, REPORT
from sandbox.recipes.python_choice import Python
from sandbox.recipes.python_locks import Pins
from sandbox.recipes.python_metadata import write_metadata
from sandbox.recipes.python_project import Project, read_project
from sandbox.recipes.requirement_files import askable
from sandbox.recipes.steps import HERE, Steps

logger = logging.getLogger(__name__)

VERSION = "4"  # raise it when what goes into an image changes
ALWAYS = ("pytest",)
PYTEST = (
    "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "junit_family=xunit1",
    f"--junitxml={REPORT}", "--rootdir=/repo", "--continue-on-collection-errors", "--color=no",
)  # fmt: skip
TAKES_A_VALUE = frozenset(
    {"-n", "--numprocesses", "--dist", "--maxfail", "--junitxml", "--junit-xml", "--color"}
)
DROPPED_OPTIONS = TAKES_A_VALUE | frozenset(
    {"-x", "--exitfirst", "-v", "-vv", "-q", "--ff", "--failed-first", "--lf", "--last-failed",
     "--sw", "--stepwise", "--no-cov", "--mypy", "--flake8", "--pylint", "--ruff", "--black",
     "--isort", "--no-cov-on-fail"}
)  # fmt: skip
MANAGE = "manage.py"
MANIFESTS = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini", "pytest.ini",
    MANAGE, "Pipfile", "environment.yml", "noxfile.py",
)  # fmt: skip
OTHERS = ("go.mod", "Cargo.toml", "package.json")
SPHINX = ("docs/conf.py", "doc/conf.py", "docs/source/conf.py", "doc/source/conf.py")
DROPPED_PREFIX = re.compile(r"--cov(-|=|$)|-n(\d+|auto)$")
"""Options of a repository that change what is run, or need plugins that a repair does not need."""


@dataclass(frozen=True, slots=True)
class PythonRecipe:
    """See `sandbox.recipes.layers.Recipe`. `python` is None for the base image's own."""

    python: Python | None = None

    def applies(self, checkout: Path) -> bool:
        """Whether it declares a Python project, or is Python and declares nothing else."""
        if any((checkout / name).is_file() for name in MANIFESTS):
            return True
        other = any((checkout / name).is_file() for name in OTHERS)
        return not other and any(checkout.rglob("*.py"))

    def toolchain(self, checkout: Path) -> None:
        """None: every base image has Python, and another one comes with the dependencies."""

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """A virtual environment of wheels: what the repository declares, and pytest.

        Raises:
            ImageBuildError: a package is no requirement that an index can be asked for.
        """
        other = self.python
        markers = None if other is None else other.markers
        project = read_project(checkout, markers)
        own = canonicalize_name(project.name)
        asked = (
            project.requirements if packages is None else _asked(packages, project.name, markers)
        )
        if not asked and other is None:
            return bare_layer()
        pip = wheels.OWN if markers is None else wheels.for_python(markers)
        wanted = tuple(dict.fromkeys((*asked, *missing_always(asked))))

        def lay(target: Path) -> None:
            place = target / "opt/env/wheels"
            place.parent.mkdir(parents=True, exist_ok=True)
            notes = _downloaded(wanted, project.pins, place, pip)
            if notes:
                logger.info("%s; going on", "; ".join(notes))
                (target / NOTES.lstrip("/")).write_text("; ".join(notes), encoding="utf-8")
            for wheel in place.glob("*.whl"):
                if canonicalize_name(parse_wheel_filename(wheel.name)[0]) == own:
                    wheel.unlink()  # the repository's own published version would hide its files

        key = [VERSION, own, *wanted, *project.pins.lines]
        made = Layer("\n".join(key), lay, script("build_env.py"))
        if other is None:
            return made
        named = replace(made, key=f"{other.version}\n{pip[-1]}\n{made.key}")
        return together([other.layer or _proof(other), named])

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository, with the metadata and path entries that an installation would give it."""
        project = read_project(checkout)

        def lay(target: Path) -> None:
            for name, text in project.made_up_files.items():
                _make_up(target / place_in_repository(path) / name, target, text)
            write_metadata(project, target / "opt/project", path)

        return Layer(f"{VERSION}\n{path}\n{project!r}", lay, script("build_repo.py"))

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """Pytest with the repository's options, then without them, then unittest."""
        if wanted:
            return (asked_for(wanted),)
        project = read_project(checkout)
        if _is_django(project, checkout):
            return (django_command(f"{MANAGE} and a requirement of Django"),)
        reason = "the repository configures pytest" if project.uses_pytest else (
            "pytest also runs unittest suites"
        )  # fmt: skip
        if project.runner:
            reason = f"{reason}; {project.runner_from} starts {project.runner}"
        plain = ("-o", "addopts=", *project.left_out, *_files_option(project))
        return (
            TestCommand("pytest", (*PYTEST, *_own(project, checkout), "{tests}"), reason),
            TestCommand(
                "pytest", (*PYTEST, *plain, "{tests}"),
                "pytest does not accept the repository's own options here",
            ),
            unittest_command("pytest cannot be had here"),
        )  # fmt: skip

    def found(self, checkout: Path) -> Steps:
        """The requirements that the repository declares, and the command."""
        project = read_project(checkout)
        words = ("pytest", *_own(project, checkout))
        if _is_django(project, checkout):
            words = ("python", MANAGE, "test")
        return Steps(packages=project.requirements, test_command=shlex.join(words))


def _proof(python: Python) -> Layer:
    """Nothing but the question whether an image's Python is what its name says."""
    found = "'%d.%d' % sys.version_info[:2]"
    said = f"import sys; assert {found} == {python.short!r}, 'it holds Python ' + sys.version"
    return Layer("", nothing, ("python3", "-I", "-S", "-c", said))


def _make_up(file: Path, target: Path, text: str) -> None:
    """Write what a build would write, unless it is there or a link leads out of the repository."""
    if not leads_out(file.parent, target) and file.parent.is_dir():
        with suppress(FileExistsError), file.open("x", encoding="utf-8") as made:
            made.write(text)


def _own(project: Project, checkout: Path) -> tuple[str, ...]:
    """The options that pytest needs for this repository, besides those that make it report."""
    kept = kept_options(project.addopts)
    changed = kept != project.addopts.split()
    own: tuple[str, ...] = ("-o", f"addopts={shlex.join(kept)}") if changed else ()
    own += (*project.left_out, *_files_option(project))
    if "--doctest-modules" in kept:  # it would import Sphinx's configuration as a module
        own += tuple(f"--ignore={path}" for path in SPHINX if (checkout / path).is_file())
    return own


def _files_option(project: Project) -> tuple[str, ...]:
    return ("-o", f"python_files={project.python_files}") if project.python_files else ()


def _is_django(project: Project, checkout: Path) -> bool:
    """Whether `manage.py test` is the way: pytest with its plugin for Django goes first."""
    names = {canonicalize_name(Requirement(text).name) for text in project.requirements}
    by_pytest = "pytest-django" in names or project.runner == "pytest"
    there = bool(text_of(checkout / MANAGE))
    return there and not by_pytest and ("django" in names or project.runner == "django")


def _asked(packages: Sequence[str], own: str, markers: Mapping[str, str] | None) -> tuple[str, ...]:
    """Requirements as owners wrote them.

    Raises:
        ImageBuildError: one is none, or asks for an address.
    """
    for text in packages:
        if not askable((text,), own):
            reason = f"{text!r} is no requirement that an index can be asked for"
            raise ImageBuildError("packages", f"{reason}; write a name and a range, as 'six>=1'")
    return askable(packages, own, markers)


def _downloaded(wanted: Sequence[str], pins: Pins, place: Path, pip: Sequence[str]) -> list[str]:
    """Get the wheels, by the lock file where that is possible; gives what has to be said of it."""
    if pins.lines and wheels.download_locked(wanted, pins.lines, place, pip):
        return [f"versions of {pins.file}"]
    dropped = wheels.download(wanted, place, pip)
    notes = [f"no usable wheels for {', '.join(dropped)}"] if dropped else []
    if pins.lines:
        notes.append(f"the versions of {pins.file} cannot be had here, others were taken")
    return notes


def bare_layer() -> Layer:
    """An environment with nothing but pytest in it; works without any index."""

    def lay(target: Path) -> None:
        place = target / "opt/env"
        place.mkdir(parents=True, exist_ok=True)
        if not wheels.lay_own_pytest(place / "laid"):
            wheels.download(ALWAYS, place / "wheels")

    return Layer(f"{VERSION}\nbare", lay, script("build_env.py"))


def unittest_command(reason: str) -> TestCommand:
    """Run unittest suites with nothing installed."""
    argv = ("python", "-c", program("run_unittest.py"), REPORT, "{tests}")
    return TestCommand("unittest", argv, reason)


def django_command(reason: str) -> TestCommand:
    """Run `manage.py test` with unittest's own recorder in the place of its printed results."""
    argv = ("python", "-c", program("run_unittest.py"), REPORT, f"--django={MANAGE}", "{tests}")
    return TestCommand("unittest", argv, reason)


def asked_for(wanted: Sequence[str]) -> TestCommand:
    """The command somebody set, made to report where it is one we know."""
    words = [word for word in wanted if word != "{tests}"]
    reason = "the repository's owner set this command"
    if "pytest" in words[:3] or words[0].endswith(("/pytest", "py.test")):
        after = words.index("pytest") + 1 if "pytest" in words else 1
        return TestCommand(
            "pytest", (*words[:after], *PYTEST[1:], *words[after:], "{tests}"), reason
        )
    if words[:3] == ["python", MANAGE, "test"]:
        return TestCommand("unittest", django_command("").argv, reason)
    if "unittest" in words[:3]:
        names = [w for w in words[words.index("unittest") + 1 :] if w[0] != "-" and w != "discover"]
        return TestCommand("unittest", (*unittest_command("").argv[:-1], *names, "{tests}"), reason)
    return TestCommand("command", tuple(words), reason)


def missing_always(requirements: Sequence[str]) -> tuple[str, ...]:
    """What every environment needs and this one does not ask for."""
    asked = {canonicalize_name(Requirement(text).name) for text in requirements}
    return tuple(name for name in ALWAYS if name not in asked)


def kept_options(addopts: str) -> list[str]:
    """A repository's pytest options without those that would disturb a repair."""
    try:
        words = shlex.split(addopts)
    except ValueError:
        return []
    kept: list[str] = []
    skip = False
    for word in words:
        name = word.split("=")[0]
        if skip:
            skip = False
        elif name in DROPPED_OPTIONS or DROPPED_PREFIX.match(word):
            skip = name in TAKES_A_VALUE and "=" not in word
        else:
            kept.append(word)
    return kept
