"""REST verbs of issues, their labels, comments and reactions."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bot.fakehub import actions_issue as actions
from bot.fakehub import payloads_issue as payloads
from bot.fakehub.actions_issue import Act
from bot.fakehub.answers import ApiError, paged
from bot.fakehub.model import Comment, Issue, IssueState, JsonObject, Reaction, Role, User
from bot.fakehub.routing import RestRoute
from bot.fakehub.tokens import Need
from bot.fakehub.visit import OPEN_ISSUES, TALK, TRIAGE, Here, Visit

router = APIRouter(route_class=RestRoute)


class NamedLabel(BaseModel):
    """A label given as an object."""

    name: str


class NewIssue(BaseModel):
    """Body of the verb that opens an issue."""

    title: str | int
    body: str | None = None
    labels: list[str | NamedLabel] = []


class ChangedIssue(BaseModel):
    """Body of the verb that edits, closes and reopens."""

    title: str | None = None
    body: str | None = None
    state: IssueState | None = None
    state_reason: Literal["completed", "not_planned", "duplicate", "reopened"] | None = None


class NewLabels(BaseModel):
    """Body of the verb that adds labels."""

    labels: list[str | NamedLabel] = []


class Said(BaseModel):
    """Body of a comment."""

    body: str


class NewReaction(BaseModel):
    """Body of a reaction."""

    content: str


def names(labels: list[str | NamedLabel]) -> list[str]:
    """The names of labels given in either form."""
    return [label if isinstance(label, str) else label.name for label in labels]


@router.post("/issues")
def create_issue(here: Here, new: NewIssue) -> JSONResponse:
    """Open an issue; labels from somebody without triage rights are dropped, as at GitHub."""
    act = here.act(OPEN_ISSUES)
    labels = names(new.labels) if _may_label(here, act) else []
    issue = actions.open_issue(act, str(new.title), new.body, labels)
    return JSONResponse(payloads.issue(here.hub, here.repository, issue), HTTPStatus.CREATED)


@router.get("/issues")
def list_issues(
    here: Here,
    state: str = "open",
    labels: str = "",
    since: datetime | None = None,
    direction: str = "desc",
) -> JSONResponse:
    """Issues and pull requests, newest first."""
    wanted = [name.strip().lower() for name in labels.split(",") if name.strip()]
    after = None if since is None else since.replace(tzinfo=since.tzinfo or UTC)
    found = [
        issue
        for issue in list(here.repository.issues.values())
        if state in ("all", issue.state)
        and {label.name.lower() for label in issue.labels}.issuperset(wanted)
        and (after is None or issue.updated_at >= after)
    ]
    found.sort(key=lambda issue: issue.number, reverse=direction == "desc")
    documents = [payloads.issue(here.hub, here.repository, issue) for issue in found]
    return paged(here.request, documents, base_path=here.page_base)


@router.get("/issues/{number}")
def get_issue(here: Here, number: int) -> JSONResponse:
    """One issue."""
    return JSONResponse(payloads.issue(here.hub, here.repository, here.issue(number)))


@router.patch("/issues/{number}")
def update_issue(here: Here, number: int, changed: ChangedIssue) -> JSONResponse:
    """Edit, close or reopen; one's own, or with triage rights anybody's."""
    issue = here.issue(number)
    act = here.act(_own_or_triage(here, issue.user))
    actions.edit(act, issue, title=changed.title, body=changed.body)
    if changed.state is not None:
        actions.set_state(act, issue, changed.state, changed.state_reason)
    return JSONResponse(payloads.issue(here.hub, here.repository, issue))


@router.get("/issues/{number}/labels")
def list_labels(here: Here, number: int) -> JSONResponse:
    """The labels of an issue."""
    return paged(here.request, _labels(here, here.issue(number)), base_path=here.page_base)


@router.post("/issues/{number}/labels")
def add_labels(here: Here, number: int, new: NewLabels | list[str | NamedLabel]) -> JSONResponse:
    """Add labels."""
    issue = here.issue(number)
    wanted = new if isinstance(new, list) else new.labels
    actions.add_labels(here.act(TRIAGE), issue, names(wanted))
    return JSONResponse(_labels(here, issue))


@router.delete("/issues/{number}/labels/{name:path}")
def remove_label(here: Here, number: int, name: str) -> JSONResponse:
    """Take a label off."""
    issue = here.issue(number)
    if not actions.remove_label(here.act(TRIAGE), issue, name):
        raise ApiError(HTTPStatus.NOT_FOUND, "Label does not exist")
    return JSONResponse(_labels(here, issue))


@router.get("/issues/{number}/events")
def list_events(here: Here, number: int) -> JSONResponse:
    """What happened to an issue besides talk, oldest first."""
    events = list(here.issue(number).events)
    documents = [payloads.event(here.hub, here.repository, event) for event in events]
    return paged(here.request, documents, base_path=here.page_base)


@router.get("/issues/{number}/comments")
def list_comments(here: Here, number: int, since: datetime | None = None) -> JSONResponse:
    """The conversation, oldest first."""
    issue = here.issue(number)
    documents = [
        payloads.comment(here.hub, here.repository, issue, comment)
        for comment in list(issue.comments)
        if since is None or comment.updated_at >= since
    ]
    return paged(here.request, documents, base_path=here.page_base)


@router.post("/issues/{number}/comments")
def create_comment(here: Here, number: int, said: Said) -> JSONResponse:
    """Say something."""
    issue = here.issue(number)
    act = here.act(TALK)
    if issue.locked and here.hub.role(here.repository, act.user) < Role.WRITE and not act.via_app:
        raise ApiError(HTTPStatus.FORBIDDEN, "Unable to create comment because issue is locked.")
    comment = actions.comment(act, issue, said.body)
    return JSONResponse(
        payloads.comment(here.hub, here.repository, issue, comment), HTTPStatus.CREATED
    )


@router.get("/issues/comments/{comment_id}")
def get_comment(here: Here, comment_id: int) -> JSONResponse:
    """One comment."""
    return JSONResponse(payloads.comment(here.hub, here.repository, *here.comment(comment_id)))


@router.patch("/issues/comments/{comment_id}")
def update_comment(here: Here, comment_id: int, said: Said) -> JSONResponse:
    """Say something else instead; one's own, or with triage rights anybody's."""
    issue, comment = here.comment(comment_id)
    actions.edit_comment(here.act(_own_or_triage(here, comment.user)), issue, comment, said.body)
    return JSONResponse(payloads.comment(here.hub, here.repository, issue, comment))


@router.delete("/issues/comments/{comment_id}")
def delete_comment(here: Here, comment_id: int) -> Response:
    """Take it back."""
    issue, comment = here.comment(comment_id)
    actions.delete_comment(here.act(_own_or_triage(here, comment.user)), issue, comment)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/issues/{number}/reactions")
def react_to_issue(here: Here, number: int, new: NewReaction) -> JSONResponse:
    """React to an issue."""
    return _react(here, here.issue(number).reactions, new.content)


@router.get("/issues/{number}/reactions")
def list_issue_reactions(here: Here, number: int) -> JSONResponse:
    """The reactions to an issue."""
    return _reactions(here, here.issue(number))


@router.post("/issues/comments/{comment_id}/reactions")
def react_to_comment(here: Here, comment_id: int, new: NewReaction) -> JSONResponse:
    """React to a comment."""
    return _react(here, here.comment(comment_id)[1].reactions, new.content)


@router.get("/issues/comments/{comment_id}/reactions")
def list_comment_reactions(here: Here, comment_id: int) -> JSONResponse:
    """The reactions to a comment."""
    return _reactions(here, here.comment(comment_id)[1])


def _react(here: Visit, given: list[Reaction], content: str) -> JSONResponse:
    reaction, is_new = actions.react(here.act(TALK), given, content)
    return JSONResponse(
        payloads.reaction(here.hub, reaction), HTTPStatus.CREATED if is_new else HTTPStatus.OK
    )


def _reactions(here: Visit, subject: Issue | Comment) -> JSONResponse:
    documents = [payloads.reaction(here.hub, one) for one in list(subject.reactions)]
    return paged(here.request, documents, base_path=here.page_base)


def _labels(here: Visit, issue: Issue) -> list[JsonObject]:
    return [payloads.label(here.hub, here.repository, label) for label in list(issue.labels)]


def _may_label(here: Visit, act: Act) -> bool:
    return act.via_app or here.hub.role(here.repository, act.user) >= Role.TRIAGE


def _own_or_triage(here: Visit, author: User | None) -> Need:
    return TALK if author is not None and author is here.caller.user else TRIAGE
