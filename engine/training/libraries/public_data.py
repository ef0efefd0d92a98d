"""Public data → tasks and verdicts, from files that a person downloaded.

Read are JSONL and parquet files with the columns that SWE-Fixer-Train-110K, SWE-Gym, SWE-Gym-Raw
and SWE-bench-extra share (instance_id, repo, base_commit, problem_statement, patch) and those of
SWE-agent-trajectories (instance_id, target, generated_patch). None holds the files themselves:
those come from git, out of clones that lie beside each other.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from engine.training.libraries.public_git import GoldEdit, gold_edit
from engine.training.libraries.public_tables import read_table
from engine.training.libraries.tasks import File, Task, Verdict
from sandbox.unified_diff import DiffSyntaxError, parse

COLUMNS = ("instance_id", "repo", "base_commit", "problem_statement", "patch")
TRAJECTORY_COLUMNS = ("instance_id", "target", "generated_patch")

SWE_BENCH = frozenset({
    "astropy/astropy", "django/django", "matplotlib/matplotlib", "mwaskom/seaborn", "pallets/flask",
    "psf/requests", "pydata/xarray", "pylint-dev/pylint", "pytest-dev/pytest",
    "scikit-learn/scikit-learn", "sphinx-doc/sphinx", "sympy/sympy",
})  # fmt: skip
"""The repositories of SWE-bench's test split: nothing of them may be trained on."""

MIN_WORDS, MAX_WORDS = 10, 1_500
"""Ours: that very short and very long issues were left out is published, the limits are not."""
MAX_FILES = 3

_IMAGE = re.compile(
    r"!\[[^\]]*\]\(|<img\b|\.(?:png|jpe?g|gif|webp|svg|mp4|mov)\b|/user-images\.|/assets/\d", re.I
)
_LINK = re.compile(r"https?://([^\s/)\]>\"']+)(/[^\s)\]>\"']*)?", re.I)
_COMMIT = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])(?:[0-9a-f]{40}|[0-9a-f]{7,12})\b")


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of the shared shape."""

    instance_id: str
    repo: str
    base_commit: str
    problem_statement: str
    patch: str


def instances(path: Path) -> Iterator[Instance]:
    """Yield the rows of the shared shape.

    Raises:
        BadInputError: the files cannot be read, or a column is missing.
    """
    for row in read_table(path, COLUMNS):
        yield Instance(**{name: str(row[name] or "") for name in COLUMNS})


def left_out_for(instance: Instance) -> str | None:
    """Why an instance is not trained on, in the published order of filters; None keeps it."""
    if instance.repo.lower() in SWE_BENCH:
        return "repository of SWE-bench"
    return _issue_is_unfit(instance) or _patch_is_unfit(instance.patch)


def _issue_is_unfit(instance: Instance) -> str | None:
    text = instance.problem_statement
    words = len(text.split())
    if words < MIN_WORDS or words > MAX_WORDS:
        return "issue too short or too long"
    if _IMAGE.search(text):
        return "issue with images"
    if any(not _related(match, instance.repo) for match in _LINK.finditer(text)):
        return "issue with links elsewhere"
    return "issue with commit hashes" if _COMMIT.search(_LINK.sub(" ", text)) else None


def _related(link: re.Match[str], repo: str) -> bool:
    """Whether a link leads to the repository itself, whose text says no answer by itself."""
    host, path = link[1].lower(), (link[2] or "").lower()
    return host in {"github.com", "www.github.com"} and path.startswith(f"/{repo.lower()}")


def _patch_is_unfit(patch: str) -> str | None:
    try:
        changes = parse(patch)
    except DiffSyntaxError:
        return "patch that cannot be read"
    if len(changes) > MAX_FILES:
        return f"patch of more than {MAX_FILES} files"
    if any(change.old != change.new for change in changes):
        return "patch that adds, removes or renames a file"
    if not any(path.endswith(".py") for change in changes for path in change.paths):
        return "patch without Python"
    return None


@dataclass(slots=True)
class Report:
    """How many rows were kept, and why the others were not."""

    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def all_tasks(paths: Sequence[Path], clones: Path, report: Report) -> Iterator[Task]:
    """Yield the instances that pass the filters, with their files and the gold edit as blocks.

    Raises:
        BadInputError: the files cannot be read, or a column is missing.
    """
    seen: set[str] = set()
    for instance in chain.from_iterable(instances(path) for path in paths):
        reason = "twice" if instance.instance_id in seen else left_out_for(instance)
        seen.add(instance.instance_id)
        edit = None if reason else gold_edit(clones, instance.repo, instance)
        if isinstance(edit, GoldEdit):
            report.kept += 1
            yield _task(instance, edit)
        else:
            report.left_out[reason or str(edit)] += 1


def _task(instance: Instance, edit: GoldEdit) -> Task:
    return Task(
        instance_id=instance.instance_id,
        problem_statement=instance.problem_statement,
        files=tuple(File(path=path, text=text) for path, text in edit.before.items()),
        completion=edit.blocks,
        patch=instance.patch,
        repo=instance.repo,
        base_commit=instance.base_commit,
    )


def verdicts(path: Path, known: frozenset[str], report: Report) -> Iterator[Verdict]:
    """Yield each distinct patch of the trajectories with the label that its tests gave it.

    Kept are those whose task is in `known`; the reward model cannot read the others' files.

    Raises:
        BadInputError: the files cannot be read, or a column is missing.
    """
    seen: set[tuple[str, str]] = set()
    for row in read_table(path, TRAJECTORY_COLUMNS):
        instance_id, patch = str(row["instance_id"]), str(row["generated_patch"] or "")
        reason = None
        if not patch.strip():
            reason = "no patch"
        elif instance_id not in known:
            reason = "task not kept"
        elif (instance_id, patch) in seen:
            reason = "twice"
        if reason:
            report.left_out[reason] += 1
            continue
        seen.add((instance_id, patch))
        report.kept += 1
        yield Verdict(instance_id=instance_id, resolved=bool(row["target"]), patch=patch)
