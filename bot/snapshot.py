"""Brings a repository's files to the shared storage, so that the engine needs no credential."""

import logging
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from bot import git
from bot.github import Installation
from bot.settings import child_environment
from engine import snapshot
from engine.contract import (
    MAX_CONFIG_BYTES,
    Failed,
    RepairJob,
    RepairRequest,
    SnapshotRef,
)
from engine.errors import SnapshotInvalidError, StorageUnwritableError

logger = logging.getLogger(__name__)

CONFIG = ".github/evoscale.yml"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a search starts: the commit that a branch points at now."""

    branch: str
    commit: str


def take(job: RepairJob, installation: Installation, root: Path) -> RepairRequest | Failed:
    """Fetch the files of the base branch, or of our pull request's branch for a review.

    Raises:
        GitHubUnavailableError, GitFailedError: try again later.
        RepositoryGoneError, InstallationGoneError: there is nothing to fetch from any more.
    """
    repository = installation.repository()
    if not repository.writable:
        return _no("the repository is archived, so nothing can be pushed to it; unarchive it first")
    remote = git.Remote(repository.git_url, installation.token(), child_environment())
    try:
        return _fetched(job, repository.default_branch, remote, root)
    except (StorageUnwritableError, OSError) as error:
        logger.warning("no snapshot of job %s below %s: %s", job.job_id, root, error)
        return _no(_full(error))


def _fetched(
    job: RepairJob, default_branch: str, remote: git.Remote, root: Path
) -> RepairRequest | Failed:
    branch = job.pull_request.branch if job.pull_request else default_branch
    with git.workspace(remote) as workspace:
        commit = workspace.tip(branch)
        if commit is None:
            return _no(_missing(workspace, branch))
        taken = _pack(job, workspace, Start(branch, commit), root)
        if isinstance(taken, Failed):
            return taken
        return taken.model_copy(update={"config": _config(workspace, default_branch)})


def _config(workspace: git.Workspace, default_branch: str) -> str:
    """The owners' settings, from the default branch only.

    A pull request's branch may be written by people who must not say which command is run; and a
    file that is no plain one, or too large, counts as none.
    """
    tip = workspace.tip(default_branch)
    if tip is None:
        return ""
    workspace.fetch(tip, default_branch)
    return (workspace.read(tip, CONFIG, MAX_CONFIG_BYTES) or b"").decode("utf-8", "replace")


def _full(error: StorageUnwritableError | OSError) -> str:
    """Our own disk's fault, without a word on where things lie on this machine."""
    said = error.reason if isinstance(error, StorageUnwritableError) else error.strerror
    reason = (said or type(error).__name__).casefold()
    return (
        f"the server that runs me could not store the repository's files ({reason}); whoever runs "
        "it has to make room"
    )


def _missing(workspace: git.Workspace, branch: str) -> str:
    if workspace.is_empty():
        return "the repository is empty; push a first commit with code and a test"
    return f"the branch {branch!r} does not exist; check the repository's default branch"


def _pack(
    job: RepairJob, workspace: git.Workspace, start: Start, root: Path
) -> RepairRequest | Failed:
    workspace.fetch(start.commit, start.branch)
    size = workspace.size(start.commit)
    if size.files > snapshot.MAX_FILES or size.total_bytes > snapshot.MAX_BYTES:
        return _no(
            f"the repository has {size.files:,} files with {size.total_bytes:,} bytes; I take "
            f"{snapshot.MAX_FILES:,} files and {snapshot.MAX_BYTES:,} bytes at most"
        )
    if size.files == 0:
        return _no("the repository has no files; push code and a test first")
    try:
        with tempfile.TemporaryDirectory(prefix="evoscale-tree-") as folder:
            tree = Path(folder) / "tree"
            workspace.lay_out(start.commit, tree)
            packed = snapshot.pack(tree, root, f"{job.job_id}-{uuid.uuid4().hex[:8]}")
    except SnapshotInvalidError as error:
        return _no(str(error))
    ref = SnapshotRef(
        base_commit=start.commit, base_branch=start.branch, key=packed.key, sha256=packed.sha256
    )
    return RepairRequest(job=job, snapshot=ref)


def _no(reason: str) -> Failed:
    return Failed(reason=f"{reason[0].upper()}{reason[1:]}.", retryable=False)
