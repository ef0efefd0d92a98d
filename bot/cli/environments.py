"""`evoscale bench environments`: how many real projects reach a green base without a human."""

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from bot.demo.cases import CaseUnavailableError, fetch
from engine.base_runs import run_base
from engine.errors import BadInputError
from engine.snapshot import extract_all
from sandbox.contract import Sandbox, TestReport, TestSpec, TestStatus
from sandbox.errors import ImageBuildError, SandboxError
from sandbox.images import Environment, prepare
from sandbox.recipes import language_of
from sandbox.recipes.telling import telling
from sandbox.settings import SandboxSettings, fetch_environment

LIST = Path(__file__).with_name("environments.toml")
FIXTURES = Path("tests") / "fixtures" / "repos"
FETCH_S = 120.0
REASON_CHARS = 300
BAD = frozenset({TestStatus.FAILED, TestStatus.ERROR})
GOOD = frozenset({TestStatus.PASSED, TestStatus.XFAIL})
PROGRESS = re.compile(r"[.FEsxX]*\s*\[\s*\d+%\]$")
"""What pytest prints of tests that ran: it tells nothing of why they ended."""
MISSING_LINK = re.compile(r"ENOENT.*\bsymlink\b")
MOST_QUARANTINED = 0.01
"""The share of its tests that a green base may have to set aside."""
LANGUAGES = """\
Of the projects under *javascript*, css-what (vitest), is-what (ava with ts-node), oblivious-set
(mocha, after `tsc`) and hashids (jest) are written in TypeScript. Crates are resolved with all
their optional dependencies, and none is fetched: of Rust the list holds crates that need none,
and one (semver) that does.

No published project of Java is in the list. Nine of Debian's sources were looked at: data-url
1.0.1, java-diff-utils 4.9, java-string-similarity 2.0.0, java-uuid-generator 3.1.5, jcodings
1.0.58, json-simple 2.3.0, mjson 1.4.0, openjson 1.0.12 (Maven) and dexx 0.7 (Gradle). Each pins
what a machine's Maven repository (decision 35) does not have: JUnit 4.12 or 4.13.1 where Debian
has 4.13.2, JUnit 5.6.2 where it has 5.9.2, parent poms such as `oss-parent`, plugins that Maven
loads before any test although the tests do not need them (`nexus-staging-maven-plugin`,
`maven-bundle-plugin`), Kotlin's plugin for Gradle. With JUnit's version changed by hand,
java-string-similarity, json-simple and openjson ended at those plugins. Debian itself builds
them from patched poms.
""".splitlines()
"""What the table does not say of TypeScript, Rust and Java."""


class Pin(BaseModel):
    """One project of the list: where it comes from, and what its archive must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    source: Literal["pypi", "npm", "debian", "fixture"]
    name: str
    version: str = ""
    sha256: str = ""
    path: str = ""


class Row(BaseModel):
    """What became of one project. `green` is as `is_green` has it; `red` tests fail every time."""

    model_config = ConfigDict(frozen=True)

    language: str
    name: str
    version: str
    detected: bool = False
    built: bool = False
    ran: bool = False
    green: bool = False
    tests: int = 0
    red: int = 0
    flaky: int = 0
    build_s: float = 0.0
    test_s: float = 0.0
    reason: str = ""
    recipe: str = ""
    notes: str = ""


ROWS = TypeAdapter(list[Row])


@dataclass(frozen=True, slots=True)
class Bench:
    """The list's part that was asked for, and where it is tried."""

    pins: Sequence[Pin]
    sandbox: Sandbox
    settings: SandboxSettings


def load(only: str = "") -> list[Pin]:
    """The pinned projects, of one language or project where `only` names it."""
    found = tomllib.loads(LIST.read_text(encoding="utf-8"))["project"]
    pins = [Pin.model_validate(entry) for entry in found]
    return [pin for pin in pins if only in {"", pin.language, pin.name}]


def run_all(bench: Bench, known: Sequence[Row], say: Callable[[Row], None]) -> list[Row]:
    """Try every project that is not known; one that cannot be tried does not stop the rest."""
    by_name = {(row.language, row.name, row.version): row for row in known}
    rows = []
    for pin in bench.pins:
        row = by_name.get((pin.language, pin.name, pin.version))
        if row is None:
            row = try_one(pin, bench.sandbox, bench.settings)
            say(row)
        rows.append(row)
    return rows


def read_rows(path: Path | None) -> list[Row]:
    """The projects that an earlier run has finished; none where there was no such run.

    Raises:
        BadInputError: the file holds something else.
    """
    if path is None or not path.is_file():
        return []
    try:
        return ROWS.validate_json(path.read_bytes())
    except ValueError as error:
        raise BadInputError(f"{path} holds no results of this bench: {error}") from error


def as_json(rows: Sequence[Row]) -> str:
    """What `read_rows` reads."""
    return ROWS.dump_json(list(rows), indent=1).decode() + "\n"


def try_one(pin: Pin, sandbox: Sandbox, settings: SandboxSettings) -> Row:
    """Fetch one project, build its environment and run its suite."""
    row = Row(language=pin.language, name=pin.name, version=pin.version)
    with tempfile.TemporaryDirectory(prefix="evoscale-environment-") as name:
        try:
            root = _fetched(pin, Path(name))
            row = row.model_copy(update={"detected": language_of(root) == pin.language})
            began = time.monotonic()
            environment = prepare(sandbox, root, test_command=None, settings=settings)
            built = {"built": True, "build_s": time.monotonic() - began}
            row = row.model_copy(update={**built, "recipe": environment.recipe})
            return _judged(row, environment, sandbox, settings)
        except ImageBuildError as error:
            why = f"{error.step}: {error.reason}"
        except (CaseUnavailableError, SandboxError, OSError) as error:
            why = str(error)
    return row.model_copy(update={"reason": _short(why)})


def _judged(row: Row, environment: Environment, sandbox: Sandbox, settings: SandboxSettings) -> Row:
    runs = run_base(sandbox, TestSpec(environment.image, environment.command), settings.limits())
    red = runs.with_status(BAD)
    passed = runs.with_status(GOOD)
    row = row.model_copy(
        update={
            "ran": bool(runs.stable),
            "tests": len(runs.stable) + len(runs.flaky),
            "red": len(red),
            "flaky": len(runs.flaky),
            "test_s": runs.first.duration_s,
            "notes": "; ".join(runs.notes),
        }
    )
    green = is_green(row, bool(passed))
    quarantined = bool(red or runs.flaky)
    why = _short(_why(runs.first, red)) if quarantined or not green else ""
    return row.model_copy(update={"green": green, "reason": why})


def is_green(row: Row, passed: bool) -> bool:
    """Whether a search could start from this base.

    The environment is built, the suite's report is complete and believed, some test passes, and of
    all tests at most `MOST_QUARANTINED` fail or differ between the base runs: those are set aside
    by name, as a search would set them aside.
    """
    aside = row.red + row.flaky
    return row.built and row.ran and passed and aside <= MOST_QUARANTINED * row.tests


def _why(report: TestReport, red: Sequence[str]) -> str:
    if report.ran and red:
        detail = report.details.get(red[0], "").splitlines()
        # pytest marks the lines that say what went wrong; elsewhere the first that speaks of it.
        marked = [line[1:].strip() for line in detail if line.startswith("E ")]
        said = marked or telling("\n".join(detail)).splitlines()
        return f"{len(red)} red, first {red[0]}: {said[0] if said else 'no detail'}"
    if report.ran and report.statuses:
        return "tests that differ between runs"
    if report.ran:
        return "the archive holds no test that the runner finds"
    lines = [line for line in telling(report.log_tail).splitlines() if not PROGRESS.match(line)]
    ends = " / ".join([*lines[:1], *lines[1:][-1:]]) or "the suite said nothing"
    return ": ".join(filter(None, (_advice(report), ends)))


def _advice(report: TestReport) -> str:
    """What to do where a suite gave no report, as far as it is known."""
    if report.timed_out:
        return "give a command more time with --seconds"
    if MISSING_LINK.search(report.log_tail):
        return "take the sources from the repository, as archives of npm carry no symbolic links"
    return ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= REASON_CHARS else flat[: REASON_CHARS - 3] + "..."


def _fetched(pin: Pin, into: Path) -> Path:
    """The folder of a project's files.

    Raises:
        CaseUnavailableError: it cannot be had, or has another digest than the one pinned.
    """
    if pin.source == "pypi":
        return fetch(pin.name, pin.version, pin.sha256, into)
    if pin.source == "npm":
        return _from_npm(pin, into)
    if pin.source == "debian":
        return _from_debian(pin, into)
    folder = FIXTURES / pin.path
    if not folder.is_dir():
        raise CaseUnavailableError(f"{folder} is not here; run this in a checkout of EvoScale")
    shutil.copytree(folder, into / "project")
    return into / "project"


def _from_npm(pin: Pin, into: Path) -> Path:
    asked = f"{pin.name}@{pin.version}"
    _command(["npm", "pack", "--silent", "--ignore-scripts", asked], into)
    (archive,) = [path for path in into.iterdir() if path.suffix == ".tgz"]
    _check(archive, pin)
    target = into / "unpacked"
    target.mkdir()
    with tarfile.open(archive) as members:
        extract_all(members, members.getmembers(), target)
    (root,) = [path for path in target.iterdir() if path.is_dir()]
    return root


def _from_debian(pin: Pin, into: Path) -> Path:
    """A source tree out of a `-dev` package, which carries sources and their tests as data."""
    _command(["apt-get", "download", f"{pin.name}={pin.version}"], into)
    (archive,) = [path for path in into.iterdir() if path.suffix == ".deb"]
    _check(archive, pin)
    _command(["dpkg-deb", "-x", str(archive), str(into / "unpacked")], into)
    root = into / "unpacked" / pin.path
    if not root.is_dir():
        raise CaseUnavailableError(f"{pin.name} has no {pin.path}")
    return root


def _command(argv: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            list(argv), cwd=folder, capture_output=True, text=True, check=False, timeout=FETCH_S,
            env=fetch_environment("NPM_CONFIG_"),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaseUnavailableError(f"{argv[0]}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CaseUnavailableError(f"{argv[0]} failed: {last}")


def _check(archive: Path, pin: Pin) -> None:
    if hashlib.sha256(archive.read_bytes()).hexdigest() != pin.sha256:
        raise CaseUnavailableError(f"{archive.name} has another digest than the one pinned here")


def totals(rows: Iterable[Row]) -> Mapping[str, Mapping[str, int]]:
    """Per language: how many there are, and how many got how far."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(
            row.language, dict.fromkeys(("projects", "detected", "built", "ran", "green"), 0)
        )
        counts["projects"] += 1
        for key in ("detected", "built", "ran", "green"):
            counts[key] += bool(getattr(row, key))
    return found


def as_markdown(rows: Sequence[Row], of: int, command: str, isolation: str, seconds: float) -> str:
    """The page `docs/results/environments.md`; `seconds` is what one command was given."""
    default = SandboxSettings.model_fields["wall_clock_s"].default
    lines = [
        "# Environments of real projects",
        "",
        f"{len(rows)} of the {of} projects in the list were tried; `--out` goes on with the rest.",
        "",
        f"Written by `{command}`; isolation `{isolation}`. Every published project is pinned by",
        "version and digest in `bot/cli/environments.toml`; those without a version are small",
        "repositories of this one, below `tests/fixtures/repos`, and are as the checkout has them.",
        "The suite runs as before a search: twice, and once in the opposite order where it bears",
        "that. *Green* means: the environment was built without a human, the report is complete",
        "and agrees with the exit code, some test passes, and at most "
        f"{MOST_QUARANTINED:.0%} of the tests fail (*red*)",
        "or differ between the runs (*flaky*); those are quarantined by name. *Ran*: there is such",
        "a report, whatever the share. An outcome beside *green* names a test that is set aside,",
        "or says what the suite does not bear. Tests whose names differ from run to run count as",
        "one for each shape of name (decision 53). Left out are archives that hold no tests.",
        f"One command of a suite was given {seconds:g} s; a job gives it {default:g} s unless",
        "`EVOSCALE_SANDBOX_WALL_CLOCK_S` says more, so a slow suite that is green here needs that.",
        "Seconds are of one machine under load and no measure of speed; a build of a second or so",
        "found an image of the same content there already.",
        "",
        *LANGUAGES,
        "",
        "| language | projects | detected | built | ran | green |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {language} | " + " | ".join(str(count) for count in counts.values()) + " |"
        for language, counts in totals(rows).items()
    ]
    lines += ["", *_shares(rows)]
    lines += [
        "",
        "| project | language | tests | red | flaky | build s | test s | outcome |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    lines += [_line(row) for row in rows]
    return "\n".join(lines) + "\n"


def _shares(rows: Sequence[Row]) -> list[str]:
    """How many are green of Python and JavaScript, together and each alone."""
    counts = totals(rows)
    both = [name for name in ("python", "javascript") if name in counts]
    said = []
    for names in [both] * (len(both) > 1) + [[name] for name in both]:
        green, of = (sum(counts[name][key] for name in names) for key in ("green", "projects"))
        alone = " together" if len(names) > 1 else " alone"
        said.append(f"{' and '.join(names)}{alone} {green} of {of} ({green / of:.0%})")
    return [f"Green: {', '.join(said)}."] if said else []


def _line(row: Row) -> str:
    why = "; ".join(filter(None, (row.reason, row.notes)))
    said = ": ".join(filter(None, ("green" if row.green else "", why)))
    outcome = said.replace("|", "\\|").replace("<", "&lt;")
    return (
        f"| {row.name} {row.version} | {row.language} | {row.tests} | {row.red} | {row.flaky} "
        f"| {row.build_s:.0f} | {row.test_s:.1f} | {outcome} |"
    )
