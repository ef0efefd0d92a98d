"""Issues, labels, comments and reactions as GitHub writes them in JSON."""

from collections import Counter
from collections.abc import Sequence

from bot.fakehub import payloads_repository as base
from bot.fakehub.model import (
    Comment,
    Issue,
    IssueEvent,
    JsonObject,
    Label,
    Reaction,
    Repository,
    User,
    timestamp,
    timestamp_or_none,
)
from bot.fakehub.state import HubState

REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def html_url(hub: HubState, repository: Repository, issue: Issue) -> str:
    """Where people look at an issue or pull request."""
    kind = "issues" if issue.pull is None else "pull"
    return f"{base.repository_html_url(hub, repository)}/{kind}/{issue.number}"


def association(repository: Repository, author: User | None) -> str:
    """The `author_association`; as at GitHub it is no proof of any permission."""
    if author is None:
        return "NONE"
    if author is repository.owner:
        return "OWNER"
    return "COLLABORATOR" if author.login.lower() in repository.collaborators else "NONE"


def label(hub: HubState, repository: Repository, known: Label) -> JsonObject:
    """A `label`."""
    return {
        "id": known.label_id,
        "node_id": base.node_id("LA", known.label_id),
        "url": f"{base.repository_url(hub, repository)}/labels/{known.name}",
        "name": known.name,
        "description": known.description,
        "color": known.color,
        "default": False,
    }


def reactions(url: str, given: Sequence[Reaction]) -> JsonObject:
    """A `reaction-rollup`."""
    counts = Counter(reaction.content for reaction in given)
    document: JsonObject = {"url": f"{url}/reactions", "total_count": len(given)}
    document |= {content: counts[content] for content in REACTIONS}
    return document


def reaction(hub: HubState, given: Reaction) -> JsonObject:
    """A `reaction`."""
    return {
        "id": given.reaction_id,
        "node_id": base.node_id("REA", given.reaction_id),
        "user": base.user(hub, given.user),
        "content": given.content,
        "created_at": timestamp(given.created_at),
    }


def comment(hub: HubState, repository: Repository, issue: Issue, said: Comment) -> JsonObject:
    """An `issue-comment`."""
    url = f"{base.repository_url(hub, repository)}/issues/comments/{said.comment_id}"
    return {
        "url": url,
        "html_url": f"{html_url(hub, repository, issue)}#issuecomment-{said.comment_id}",
        "issue_url": f"{base.repository_url(hub, repository)}/issues/{issue.number}",
        "id": said.comment_id,
        "node_id": base.node_id("IC", said.comment_id),
        "user": base.user_or_none(hub, said.user),
        "created_at": timestamp(said.created_at),
        "updated_at": timestamp(said.updated_at),
        "author_association": association(repository, said.user),
        "body": said.body,
        "reactions": reactions(url, said.reactions),
        "performed_via_github_app": base.app(hub) if said.via_app else None,
    }


def event(hub: HubState, repository: Repository, happened: IssueEvent) -> JsonObject:
    """An `issue-event-for-issue`."""
    api = base.repository_url(hub, repository)
    document: JsonObject = {
        "id": happened.event_id,
        "node_id": base.node_id("EV", happened.event_id),
        "url": f"{api}/issues/events/{happened.event_id}",
        "actor": base.user(hub, happened.actor),
        "event": happened.event,
        "commit_id": None,
        "commit_url": None,
        "created_at": timestamp(happened.created_at),
        "performed_via_github_app": base.app(hub) if happened.via_app else None,
    }
    if happened.label is not None:
        document["label"] = {"name": happened.label.name, "color": happened.label.color}
    return document


def issue(hub: HubState, repository: Repository, subject: Issue) -> JsonObject:
    """An `issue`; a pull request has one too, with a field that says so."""
    api = base.repository_url(hub, repository)
    url = f"{api}/issues/{subject.number}"
    document: JsonObject = {
        "url": url,
        "repository_url": api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": html_url(hub, repository, subject),
        "id": subject.issue_id,
        "node_id": base.node_id("I", subject.issue_id),
        "number": subject.number,
        "title": subject.title,
        "user": base.user_or_none(hub, subject.user),
        "labels": [label(hub, repository, one) for one in subject.labels],
        "state": subject.state,
        "locked": subject.locked,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": len(subject.comments),
        "created_at": timestamp(subject.created_at),
        "updated_at": timestamp(subject.updated_at),
        "closed_at": timestamp_or_none(subject.closed_at),
        "author_association": association(repository, subject.user),
        "active_lock_reason": None,
        "body": subject.body,
        "closed_by": base.user_or_none(hub, subject.closed_by),
        "reactions": reactions(url, subject.reactions),
        "performed_via_github_app": base.app(hub) if subject.via_app else None,
    }
    # github.com sends null for an open issue; its own description lists only the reasons.
    document["state_reason"] = subject.state_reason
    if subject.pull is not None:
        document |= _pull_marks(hub, repository, subject, api)
    return document


def _pull_marks(hub: HubState, repository: Repository, subject: Issue, api: str) -> JsonObject:
    page = html_url(hub, repository, subject)
    merged_at = subject.pull.merged_at if subject.pull else None
    return {
        "draft": subject.pull is not None and subject.pull.draft,
        "pull_request": {
            "url": f"{api}/pulls/{subject.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": timestamp_or_none(merged_at),
        },
    }
