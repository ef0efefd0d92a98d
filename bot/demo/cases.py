"""Real bugs of real projects, fetched at run time: pinned releases, nothing of theirs here.

A case names a release that has the bug, the release that fixed it, and the report in our own words.
The archive is found and fetched by pip, so its configuration (index, proxy, certificates) holds; it
is checked against its digest and unpacked without running anything in it.
"""

import hashlib
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bot.errors import BotError
from engine.snapshot import extract_all
from sandbox.settings import fetch_environment

CASES = Path(__file__).parent / "cases.toml"
SMALL = Path(__file__).parent / "small"
FETCH_S = 120.0
MAX_ARCHIVE_BYTES = 32 * 1024**2

_FETCH = """
import sys
from pip._internal.commands.download import DownloadCommand
from pip._internal.network.download import Downloader

name, version, folder = sys.argv[1:]
command = DownloadCommand("download", "")
options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", name])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    found = finder.find_all_candidates(name)
    links = [each.link for each in found if str(each.version) == version]
    if not links:
        sys.exit(f"no source distribution of {name} {version} in the index")
    download = Downloader(session, "off")
    print(download(links[0], folder)[0])
"""


class CaseUnavailableError(BotError):
    """A case's archive cannot be had: no network, no such release, or another digest."""

    retryable = True


class Case(BaseModel):
    """One real bug that the next release mended.

    `before`, `after` and `check` are the maintainers' answer: for the harness that judges, never
    for anything that looks for a patch. `demo` marks the one that `evoscale demo` plays.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    project: str
    version: str
    sha256: str
    fixed_version: str
    licence: str
    reference: str
    path: str
    function: str
    change: str
    before: str
    after: str
    title: str
    body: str
    check: str
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """A case's files on disk, ready to be pushed."""

    root: Path
    name: str
    title: str
    body: str
    origin: str


def load() -> list[Case]:
    """Every case of `cases.toml`."""
    with CASES.open("rb") as stream:
        return [Case.model_validate(each) for each in tomllib.load(stream)["bug"]]


def find(name: str) -> Case:
    """The case of this name, or the demo's own when the name is empty.

    Raises:
        CaseUnavailableError: there is none of this name.
    """
    cases = load()
    for case in cases:
        if case.name == name or (not name and case.demo):
            return case
    known = ", ".join(case.name for case in cases)
    raise CaseUnavailableError(f"there is no case {name!r}; there are {known or 'none'}")


def fetch(name: str, version: str, sha256: str, into: Path) -> Path:
    """Fetch one source distribution by pip and unpack it; gives the folder of its files.

    Raises:
        CaseUnavailableError: it cannot be had, or has another digest than the one pinned.
    """
    folder = into / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    asked = [sys.executable, "-c", _FETCH, name, version, str(folder)]
    try:
        result = subprocess.run(
            asked, capture_output=True, text=True, check=False, timeout=FETCH_S,
            env=fetch_environment("PIP_"),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CaseUnavailableError(f"{name} {version} did not arrive in {FETCH_S:.0f} s") from error
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CaseUnavailableError(f"{name} {version} cannot be fetched: {last}")
    archive = Path(result.stdout.strip().splitlines()[-1])
    if archive.stat().st_size > MAX_ARCHIVE_BYTES:
        raise CaseUnavailableError(f"{archive.name} is larger than {MAX_ARCHIVE_BYTES} bytes")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
        raise CaseUnavailableError(f"{archive.name} has another digest than the one pinned here")
    return _unpack(archive, into / f"{name}-{version}")


def _unpack(archive: Path, into: Path) -> Path:
    into.mkdir(parents=True)
    with tarfile.open(archive) as members:
        extract_all(members, members.getmembers(), into)
    (root,) = [path for path in into.iterdir() if path.is_dir()]
    return root


def project_of(case: Case, into: Path) -> Project:
    """Fetch a case's buggy release.

    Raises:
        CaseUnavailableError: it cannot be had.
    """
    root = fetch(case.project, case.version, case.sha256, into)
    origin = f"{case.project} {case.version} ({case.licence}); fixed in {case.fixed_version}"
    return Project(root, case.project, case.title, case.body, origin)


def small_project() -> Project:
    """The project of our own that serves where there is no network."""
    report = (SMALL / "ISSUE.md").read_text(encoding="utf-8")
    title, _, body = report.partition("\n")
    origin = "a small project of our own, with a bug that we put in: no real one, no download"
    return Project(SMALL / "project", "receipts", title.lstrip("# "), body.strip(), origin)
