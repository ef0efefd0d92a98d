"""What a pull request is in git: its commits, its difference, whether it would merge."""

from dataclasses import dataclass

from bot.fakehub.git_repository import Commit, FileChange
from bot.fakehub.model import Pull, Repository
from bot.fakehub.state import HubState


@dataclass(frozen=True, slots=True)
class PullFigures:
    """What GitHub works out about a pull request."""

    mergeable: bool | None
    mergeable_state: str
    commits: int
    additions: int
    deletions: int
    changed_files: int


def diff_base(hub: HubState, repository: Repository, pull: Pull) -> str:
    """Where the difference starts: the point at which the branch left its base."""
    return hub.git(repository).merge_base(pull.base_sha, pull.head_sha) or pull.base_sha


def diff(hub: HubState, repository: Repository, pull: Pull) -> str:
    """The unified diff."""
    return hub.git(repository).diff(diff_base(hub, repository, pull), pull.head_sha)


def changes(hub: HubState, repository: Repository, pull: Pull) -> list[FileChange]:
    """The difference, file by file."""
    return hub.git(repository).changes(diff_base(hub, repository, pull), pull.head_sha)


def commits(hub: HubState, repository: Repository, pull: Pull) -> list[Commit]:
    """The commits, oldest first."""
    return hub.git(repository).log("--reverse", f"{pull.base_sha}..{pull.head_sha}")


def figures(hub: HubState, repository: Repository, pull: Pull, *, is_open: bool) -> PullFigures:
    """Work out everything that the answer about one pull request says."""
    changed = changes(hub, repository, pull)
    mergeable = None
    if is_open:
        mergeable = hub.git(repository).merge_tree(pull.base_sha, pull.head_sha) is not None
    return PullFigures(
        mergeable=mergeable,
        mergeable_state=_mergeable_state(pull, mergeable=mergeable),
        commits=len(commits(hub, repository, pull)),
        additions=sum(change.additions for change in changed),
        deletions=sum(change.deletions for change in changed),
        changed_files=len(changed),
    )


def _mergeable_state(pull: Pull, *, mergeable: bool | None) -> str:
    if mergeable is None:
        return "unknown"
    if not mergeable:
        return "dirty"
    return "draft" if pull.draft else "clean"
