"""What can be done to a pull request, and what a push does to those that are open."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import JsonValue

from bot.fakehub import payloads_pull as payloads
from bot.fakehub import payloads_repository, pulls
from bot.fakehub.actions_issue import Act, set_state, subject_part, tell, touch
from bot.fakehub.answers import ApiError, check_body, invalid
from bot.fakehub.git_repository import ZERO_SHA, Author
from bot.fakehub.model import Issue, JsonObject, Pull, Review, ReviewComment, ReviewState, timestamp
from bot.fakehub.webhooks import emit


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a new pull request asks for."""

    title: str
    body: str | None
    head: str
    base: str
    draft: bool


@dataclass(frozen=True, slots=True)
class Remark:
    """What a new review comment says, and where."""

    body: str
    path: str
    line: int | None
    side: str = "RIGHT"
    in_reply_to: int | None = None


def open_pull(act: Act, proposal: Proposal) -> Issue:
    """Open a pull request.

    Raises:
        ApiError: 422: a branch is missing, nothing lies between the two, or one is open already.
    """
    check_body("PullRequest", proposal.body)
    hub, git = act.hub, act.hub.git(act.repository)
    head_ref = _own_branch(act, proposal.head)
    head_sha, base_sha = git.branch(head_ref), git.branch(proposal.base)
    if head_sha is None:
        raise invalid("PullRequest", "head", "invalid")
    if base_sha is None:
        raise invalid("PullRequest", "base", "invalid")
    with hub.lock:
        _refuse_second(act, head_ref, proposal.base)
        pull = Pull(hub.next_id(), head_ref, proposal.base, head_sha, base_sha, proposal.draft)
        if not pulls.commits(hub, act.repository, pull):
            raise _refusal(f"No commits between {proposal.base} and {head_ref}")
        now = hub.clock()
        issue = Issue(
            issue_id=hub.next_id(),
            number=hub.next_number(act.repository),
            title=proposal.title,
            body=proposal.body,
            user=act.user,
            created_at=now,
            updated_at=now,
            via_app=act.via_app,
            pull=pull,
        )
        act.repository.issues[issue.number] = issue
        git.set_ref(f"refs/pull/{issue.number}/head", head_sha)
        tell(act, issue, "opened")
        return issue


def review(act: Act, issue: Issue, pull: Pull, state: ReviewState, body: str) -> Review:
    """Review a pull request.

    Raises:
        ApiError: 422: nothing said, or one's own approved.
    """
    check_body("PullRequestReview", body)
    if state != "COMMENTED" and issue.user is act.user:
        raise _refusal(f"Can not {state.split('_')[0].lower()} your own pull request")
    if state != "APPROVED" and not body.strip():
        raise _refusal("Could not review a pull request without a comment")
    with act.hub.lock:
        given = Review(act.hub.next_id(), act.user, body, state, pull.head_sha, act.hub.clock())
        pull.reviews.append(given)
        touch(act, issue)
        document = payloads.review(act.hub, act.repository, issue, given) | {"state": state.lower()}
        _tell_review(act, issue, "pull_request_review", "submitted", review=document)
        return given


def comment_on_line(act: Act, issue: Issue, pull: Pull, remark: Remark) -> ReviewComment:
    """Comment on a line of the diff; as at GitHub, the comment gets a review around it.

    Raises:
        ApiError: 422: the pull request does not touch that file, or the body is too long.
    """
    check_body("PullRequestReviewComment", remark.body)
    changed = {change.path: change for change in pulls.changes(act.hub, act.repository, pull)}
    if remark.path not in changed:
        raise invalid("PullRequestReviewComment", "path", "invalid")
    with act.hub.lock:
        hub, now = act.hub, act.hub.clock()
        wrapper = Review(hub.next_id(), act.user, "", "COMMENTED", pull.head_sha, now)
        pull.reviews.append(wrapper)
        said = ReviewComment(
            comment_id=hub.next_id(),
            review_id=wrapper.review_id,
            user=act.user,
            body=remark.body,
            path=remark.path,
            line=remark.line,
            side=remark.side,
            diff_hunk=changed[remark.path].patch or "",
            commit_sha=pull.head_sha,
            created_at=now,
            in_reply_to=remark.in_reply_to,
        )
        pull.review_comments.append(said)
        touch(act, issue)
        document = payloads.review_comment(hub, act.repository, issue, said)
        _tell_review(act, issue, "pull_request_review_comment", "created", comment=document)
        return said


def merge(act: Act, issue: Issue, pull: Pull) -> str:
    """Merge a pull request with a merge commit.

    Returns:
        the merge commit's id.

    Raises:
        ApiError: 405, it is closed, a draft or in conflict.
    """
    git = act.hub.git(act.repository)
    with act.hub.lock:
        tree = git.merge_tree(pull.base_sha, pull.head_sha)
        if issue.state == "closed" or pull.draft or tree is None:
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "Pull Request is not mergeable")
        author = Author(act.user.login, act.user.email, act.hub.clock())
        origin = f"{act.repository.owner.login}/{pull.head_ref}"
        message = f"Merge pull request #{issue.number} from {origin}\n"
        before = git.refs()
        sha = git.commit_tree(tree, [pull.base_sha, pull.head_sha], message, author)
        git.set_ref(f"refs/heads/{pull.base_ref}", sha)
        pull.merged_at, pull.merged_by, pull.merge_commit_sha = act.hub.clock(), act.user, sha
        set_state(act, issue, "closed", None)
        after_push(act, before)
        return sha


def after_push(act: Act, before: Mapping[str, str]) -> None:
    """Follow a push: `push` for each moved ref, `synchronize` for each open pull request on it."""
    with act.hub.lock:
        after = act.hub.git(act.repository).refs()
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ZERO_SHA), after.get(name, ZERO_SHA)
            if old != new:
                act.repository.pushed_at = act.hub.clock()
                _tell_push(act, name, old, new)
                _follow(act, name.removeprefix("refs/heads/"), old, new)


def _follow(act: Act, branch: str, old: str, new: str) -> None:
    for issue in act.hub.pulls(act.repository):
        if issue.pull is None or issue.state == "closed":
            continue
        if issue.pull.base_ref == branch and new != ZERO_SHA:
            issue.pull.base_sha = new
        if issue.pull.head_ref == branch:
            _move_head(act, issue, issue.pull, old, new)


def _move_head(act: Act, issue: Issue, pull: Pull, old: str, new: str) -> None:
    if new == ZERO_SHA:  # GitHub closes a pull request whose branch is gone
        set_state(act, issue, "closed", None)
        return
    pull.head_sha = new
    act.hub.git(act.repository).set_ref(f"refs/pull/{issue.number}/head", new)
    touch(act, issue)
    document = subject_part(act, issue) | {"before": old, "after": new}
    emit(act.hub, act.repository, "pull_request", "synchronize", act.user, document)


def _own_branch(act: Act, head: str) -> str:
    """The branch of `branch` or `owner:branch`; there are no forks here."""
    owner, colon, branch = head.rpartition(":")
    if colon and owner.lower() != act.repository.owner.login.lower():
        raise invalid("PullRequest", "head", "invalid")
    return branch


def _refuse_second(act: Act, head_ref: str, base_ref: str) -> None:
    for other in act.hub.pulls(act.repository):
        if (
            other.pull is not None
            and other.state == "open"
            and (other.pull.head_ref, other.pull.base_ref) == (head_ref, base_ref)
        ):
            raise _refusal(
                f"A pull request already exists for {act.repository.owner.login}:{head_ref}."
            )


def _refusal(message: str) -> ApiError:
    error: JsonObject = {"resource": "PullRequest", "code": "custom", "message": message}
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Validation Failed", errors=[error])


def _tell_review(act: Act, issue: Issue, event: str, action: str, **parts: JsonValue) -> None:
    if issue.pull is None:
        return
    document: JsonObject = {
        "pull_request": payloads.pull(act.hub, act.repository, issue, issue.pull)
    }
    emit(act.hub, act.repository, event, action, act.user, document | parts)


def _tell_push(act: Act, name: str, old: str, new: str) -> None:
    page = payloads_repository.repository_html_url(act.hub, act.repository)
    git, created, deleted = act.hub.git(act.repository), old == ZERO_SHA, new == ZERO_SHA
    span = (new,) if created else (f"{old}..{new}",)
    found = [] if deleted else git.log("--max-count=20", "--reverse", *span)
    commits: list[JsonObject] = [
        {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": timestamp(commit.author.date),
            "url": f"{page}/commit/{commit.sha}",
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
            "distinct": True,
        }
        for commit in found
    ]
    document: JsonObject = {
        "ref": name,
        "before": old,
        "after": new,
        "created": created,
        "deleted": deleted,
        "forced": not created and not deleted and git.merge_base(old, new) != old,
        "base_ref": None,
        "compare": f"{page}/compare/{old}...{new}",
        "commits": list(commits),
        "head_commit": commits[-1] if commits else None,
        "pusher": {"name": act.user.login, "email": act.user.email},
    }
    emit(act.hub, act.repository, "push", None, act.user, document)
