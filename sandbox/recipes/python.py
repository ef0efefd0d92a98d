"""Python repositories with pytest or unittest suites."""

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from sandbox.contract import TestCommand
from sandbox.recipes import wheels
from sandbox.recipes.layers import Layer, program, script
from sandbox.recipes.place import NOTES, REPORT
from sandbox.recipes.python_project import Project, read_project

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
MANIFESTS = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini", "pytest.ini",
)  # fmt: skip
OTHERS = ("go.mod", "Cargo.toml", "package.json")
SPHINX = ("docs/conf.py", "doc/conf.py", "docs/source/conf.py", "doc/source/conf.py")
DROPPED_PREFIX = re.compile(r"--cov(-|=|$)|-n(\d+|auto)$")
"""Options of a repository that change what is run, or need plugins that a repair does not need."""


class PythonRecipe:
    """See `sandbox.recipes.layers.Recipe`."""

    def applies(self, checkout: Path) -> bool:
        """Whether it declares a Python project, or is Python and declares nothing else."""
        if any((checkout / name).is_file() for name in MANIFESTS):
            return True
        other = any((checkout / name).is_file() for name in OTHERS)
        return not other and any(checkout.rglob("*.py"))

    def toolchain(self, checkout: Path) -> None:
        """None: every base image has Python."""

    def dependencies(self, checkout: Path) -> Layer:
        """A virtual environment of wheels: what the repository declares, and pytest."""
        project = read_project(checkout)
        own = canonicalize_name(project.name)
        wanted = tuple(
            dict.fromkeys((*project.requirements, *missing_always(project.requirements)))
        )
        if not project.requirements:
            return bare_layer()

        def lay(target: Path) -> None:
            place = target / "opt/env/wheels"
            place.parent.mkdir(parents=True)
            dropped = wheels.download(wanted, place)
            if dropped:
                note = f"no usable wheels for {', '.join(dropped)}"
                logger.info("%s; going on without", note)
                (target / NOTES.lstrip("/")).write_text(note, encoding="utf-8")
            for wheel in place.glob("*.whl"):
                if canonicalize_name(parse_wheel_filename(wheel.name)[0]) == own:
                    wheel.unlink()  # the repository's own published version would hide its files

        return Layer("\n".join([VERSION, own, *wanted]), lay, script("build_env.py"))

    def source(self, checkout: Path) -> Layer:
        """The repository, with the metadata and path entries that an installation would give it."""
        project = read_project(checkout)

        def lay(target: Path) -> None:
            for name, text in project.made_up_files.items():
                (target / "opt/repo" / name).write_text(text, encoding="utf-8")
            write_metadata(project, target / "opt/project")

        return Layer(f"{VERSION}\n{project!r}", lay, script("build_repo.py"))

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """Pytest with the repository's options, then without them, then unittest."""
        if wanted:
            return (asked_for(wanted),)
        project = read_project(checkout)
        kept = kept_options(project.addopts)
        changed = kept != project.addopts.split()
        own: tuple[str, ...] = ("-o", f"addopts={shlex.join(kept)}") if changed else ()
        own += project.left_out
        if "--doctest-modules" in kept:  # it would import Sphinx's configuration as a module
            own += tuple(f"--ignore={path}" for path in SPHINX if (checkout / path).is_file())
        reason = "the repository configures pytest" if project.uses_pytest else (
            "pytest also runs unittest suites"
        )  # fmt: skip
        return (
            TestCommand("pytest", (*PYTEST, *own, "{tests}"), reason),
            TestCommand(
                "pytest", (*PYTEST, "-o", "addopts=", *project.left_out, "{tests}"),
                "pytest does not accept the repository's own options here",
            ),
            unittest_command("pytest cannot be had here"),
        )  # fmt: skip


def bare_layer() -> Layer:
    """An environment with nothing but pytest in it; works without any index."""

    def lay(target: Path) -> None:
        place = target / "opt/env"
        place.mkdir(parents=True)
        if not wheels.lay_own_pytest(place / "laid"):
            wheels.download(ALWAYS, place / "wheels")

    return Layer(f"{VERSION}\nbare", lay, script("build_env.py"))


def unittest_command(reason: str) -> TestCommand:
    """Run unittest suites with nothing installed."""
    argv = ("python", "-c", program("run_unittest.py"), REPORT, "{tests}")
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


def write_metadata(project: Project, target: Path) -> None:
    """Lay what `importlib.metadata` and the shell would find of an editable installation."""
    site = target / "site"
    escaped = canonicalize_name(project.name).replace("-", "_")
    info = site / f"{escaped}-{project.version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project.name}\nVersion: {project.version}\n",
        encoding="utf-8",
    )
    (info / "INSTALLER").write_text("evoscale\n", encoding="utf-8")
    lines = [f"/repo/{path}".removesuffix("/.") for path in project.paths]
    (site / "repository.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items()) + "\n"
        for group, points in project.entry_points.items()
    )
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    _write_launchers(project.entry_points.get("console_scripts", {}), target / "bin")


def _write_launchers(scripts: Mapping[str, str], directory: Path) -> None:
    directory.mkdir()
    for name, where in scripts.items():
        module, _, call = where.split("[")[0].strip().partition(":")
        plain = all(part.isidentifier() for part in (*module.split("."), *call.split(".")))
        if plain and Path(name).name == name and name not in {".", ".."}:
            launcher = directory / name
            launcher.write_text(
                f"#!/opt/env/bin/python\nimport sys\nfrom {module} import {call.split('.')[0]}\n"
                f"sys.exit({call}())\n",
                encoding="utf-8",
            )
            launcher.chmod(0o755)
