"""What can be done to an issue or its conversation; each change tells the app."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from bot.fakehub import payloads_issue as payloads
from bot.fakehub import payloads_pull
from bot.fakehub.answers import check_body, invalid
from bot.fakehub.model import (
    Comment,
    EventName,
    Issue,
    IssueEvent,
    IssueState,
    JsonObject,
    Label,
    Reaction,
    Repository,
    User,
)
from bot.fakehub.pulls import figures
from bot.fakehub.state import HubState
from bot.fakehub.webhooks import emit


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something where."""

    hub: HubState
    repository: Repository
    user: User
    via_app: bool


def subject_part(act: Act, issue: Issue) -> JsonObject:
    """The part of a payload that shows what something happened to."""
    if issue.pull is None:
        return {"issue": payloads.issue(act.hub, act.repository, issue)}
    numbers = figures(act.hub, act.repository, issue.pull, is_open=issue.state == "open")
    pull = payloads_pull.full_pull(act.hub, act.repository, issue, issue.pull, numbers)
    return {"number": issue.number, "pull_request": pull}


def tell(act: Act, issue: Issue, action: str, **parts: JsonValue) -> None:
    """Send `issues` or `pull_request`, as the case may be."""
    event = "issues" if issue.pull is None else "pull_request"
    emit(act.hub, act.repository, event, action, act.user, subject_part(act, issue) | parts)


def open_issue(act: Act, title: str, body: str | None, labels: Sequence[str]) -> Issue:
    """Open an issue: one `opened`, and one `labeled` for each label.

    Raises:
        ApiError: 422, no title or too long a body.
    """
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    check_body("Issue", body)
    hub, now = act.hub, act.hub.clock()
    with hub.lock:
        issue = Issue(
            issue_id=hub.next_id(),
            number=hub.next_number(act.repository),
            title=title,
            body=body,
            user=act.user,
            created_at=now,
            updated_at=now,
            via_app=act.via_app,
        )
        act.repository.issues[issue.number] = issue
        issue.labels = list(dict.fromkeys(_label(act, name) for name in labels))
        tell(act, issue, "opened")
        for label in issue.labels:
            _tell_label(act, issue, "labeled", label)
        return issue


def edit(act: Act, issue: Issue, *, title: str | None, body: str | None) -> None:
    """Change title or body; None leaves it.

    Raises:
        ApiError: 422, too long a body.
    """
    check_body("Issue" if issue.pull is None else "PullRequest", body)
    changes: JsonObject = {}
    with act.hub.lock:
        if title is not None and title != issue.title:
            changes["title"] = {"from": issue.title}
            issue.title = title
        if body is not None and body != issue.body:
            changes["body"] = {"from": issue.body}
            issue.body = body
        if changes:
            touch(act, issue)
            tell(act, issue, "edited", changes=changes)


def set_state(act: Act, issue: Issue, state: IssueState, reason: str | None) -> None:
    """Close or reopen."""
    with act.hub.lock:
        if state == issue.state:
            return
        closed = state == "closed"
        issue.state = state
        issue.state_reason = (reason or "completed") if closed else "reopened"
        if issue.pull is not None:
            issue.state_reason = None
        issue.closed_at = act.hub.clock() if closed else None
        issue.closed_by = act.user if closed else None
        touch(act, issue)
        _remember(act, issue, "closed" if closed else "reopened")
        tell(act, issue, "closed" if closed else "reopened")


def add_labels(act: Act, issue: Issue, names: Sequence[str]) -> None:
    """Put labels on; those that the repository does not know are made, as at GitHub."""
    with act.hub.lock:
        present = {label.name.lower() for label in issue.labels}
        for name in names:
            if name.lower() not in present:
                present.add(name.lower())
                label = _label(act, name)
                issue.labels.append(label)
                touch(act, issue)
                _tell_label(act, issue, "labeled", label)


def remove_label(act: Act, issue: Issue, name: str) -> bool:
    """Take a label off; False if it was not there."""
    with act.hub.lock:
        for label in issue.labels:
            if label.name.lower() == name.lower():
                issue.labels.remove(label)
                touch(act, issue)
                _tell_label(act, issue, "unlabeled", label)
                return True
    return False


def comment(act: Act, issue: Issue, body: str) -> Comment:
    """Say something.

    Raises:
        ApiError: 422, nothing or too much.
    """
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    check_body("IssueComment", body)
    now = act.hub.clock()
    with act.hub.lock:
        said = Comment(act.hub.next_id(), act.user, body, now, now, act.via_app)
        issue.comments.append(said)
        touch(act, issue)
        _tell_comment(act, issue, "created", said)
        return said


def edit_comment(act: Act, issue: Issue, said: Comment, body: str) -> None:
    """Say something else instead.

    Raises:
        ApiError: 422, nothing or too much.
    """
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    check_body("IssueComment", body)
    with act.hub.lock:
        before, said.body = said.body, body
        said.updated_at = act.hub.clock()
        _tell_comment(act, issue, "edited", said, changes={"body": {"from": before}})


def delete_comment(act: Act, issue: Issue, said: Comment) -> None:
    """Take back what was said."""
    with act.hub.lock:
        issue.comments.remove(said)
        _tell_comment(act, issue, "deleted", said)


def react(act: Act, given: list[Reaction], content: str) -> tuple[Reaction, bool]:
    """Add a reaction; each person has each at most once.

    Returns:
        the reaction, and whether it is new.

    Raises:
        ApiError: 422, no such reaction.
    """
    if content not in payloads.REACTIONS:
        raise invalid("Reaction", "content", "invalid")
    with act.hub.lock:
        for known in given:
            if known.user is act.user and known.content == content:
                return known, False
        new = Reaction(act.hub.next_id(), act.user, content, act.hub.clock())
        given.append(new)
        return new, True


def touch(act: Act, issue: Issue) -> None:
    """Remember that something changed just now."""
    issue.updated_at = act.hub.clock()


def _label(act: Act, name: str) -> Label:
    known = act.repository.labels.get(name.lower())
    if known is None:
        known = act.repository.labels[name.lower()] = Label(act.hub.next_id(), name)
    return known


def _remember(act: Act, issue: Issue, event: EventName, label: Label | None = None) -> None:
    moment = act.hub.clock()
    event_id = act.hub.next_id()
    issue.events.append(IssueEvent(event_id, event, act.user, moment, act.via_app, label))


def _tell_label(
    act: Act, issue: Issue, action: Literal["labeled", "unlabeled"], label: Label
) -> None:
    _remember(act, issue, action, label)
    tell(act, issue, action, label=payloads.label(act.hub, act.repository, label))


def _tell_comment(act: Act, issue: Issue, action: str, said: Comment, **parts: JsonValue) -> None:
    # A comment on a pull request shows it in its form as an issue, as at GitHub.
    document: JsonObject = {
        "issue": payloads.issue(act.hub, act.repository, issue),
        "comment": payloads.comment(act.hub, act.repository, issue, said),
    }
    emit(act.hub, act.repository, "issue_comment", action, act.user, document | parts)
