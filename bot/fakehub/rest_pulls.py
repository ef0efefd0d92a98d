"""REST verbs of pull requests, their files, reviews and review comments."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from bot.fakehub import actions_issue, pulls
from bot.fakehub import actions_pull as actions
from bot.fakehub import payloads_pull as payloads
from bot.fakehub import payloads_repository as base_payloads
from bot.fakehub.actions_pull import Proposal, Remark
from bot.fakehub.answers import invalid, paged
from bot.fakehub.model import Issue, IssueState, JsonObject, Pull, ReviewState
from bot.fakehub.routing import RestRoute
from bot.fakehub.visit import OPEN_PULLS, REVIEW, WRITE_CONTENTS, Here, Visit

router = APIRouter(route_class=RestRoute)


class NewPull(BaseModel):
    """Body of the verb that opens a pull request."""

    head: str
    base: str
    title: str | None = None
    body: str | None = None
    draft: bool = False


class ChangedPull(BaseModel):
    """Body of the verb that edits, closes and reopens."""

    title: str | None = None
    body: str | None = None
    state: IssueState | None = None


class NewReview(BaseModel):
    """Body of a review."""

    body: str = ""
    event: Literal["APPROVE", "REQUEST_CHANGES", "COMMENT"] = "COMMENT"


class NewReviewComment(BaseModel):
    """Body of a comment on a line."""

    body: str
    path: str
    commit_id: str
    line: int | None = None
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    in_reply_to: int | None = None


_STATES: dict[str, ReviewState] = {
    "APPROVE": "APPROVED",
    "REQUEST_CHANGES": "CHANGES_REQUESTED",
    "COMMENT": "COMMENTED",
}


@router.get("/pulls")
def list_pulls(
    here: Here, state: str = "open", head: str | None = None, base: str | None = None
) -> JSONResponse:
    """Pull requests, newest first; `head` is `owner:branch`."""
    owner = here.repository.owner.login
    documents = [
        payloads.pull(here.hub, here.repository, issue, issue.pull)
        for issue in here.hub.pulls(here.repository)
        if issue.pull is not None
        and state in ("all", issue.state)
        and head in (None, f"{owner}:{issue.pull.head_ref}")
        and base in (None, issue.pull.base_ref)
    ]
    return paged(here.request, documents[::-1], base_path=here.page_base)


@router.post("/pulls")
def create_pull(here: Here, new: NewPull) -> JSONResponse:
    """Open a pull request."""
    if new.title is None:
        raise invalid("PullRequest", "title", "missing_field")
    proposal = Proposal(new.title, new.body, new.head, new.base, new.draft)
    issue = actions.open_pull(here.act(OPEN_PULLS), proposal)
    return JSONResponse(_full(here, *here.pull(issue.number)), HTTPStatus.CREATED)


@router.get("/pulls/{number}")
def get_pull(here: Here, number: int, accept: Annotated[str, Header()] = "") -> Response:
    """One pull request, or its diff where `Accept` asks for that."""
    issue, pull = here.pull(number)
    if ".diff" in accept:
        text = pulls.diff(here.hub, here.repository, pull)
        return PlainTextResponse(text, media_type="application/vnd.github.diff; charset=utf-8")
    return JSONResponse(_full(here, issue, pull))


@router.patch("/pulls/{number}")
def update_pull(here: Here, number: int, changed: ChangedPull) -> JSONResponse:
    """Edit, close or reopen."""
    issue, pull = here.pull(number)
    act = here.act(REVIEW if issue.user is here.caller.user else OPEN_PULLS)
    actions_issue.edit(act, issue, title=changed.title, body=changed.body)
    if changed.state is not None:
        actions_issue.set_state(act, issue, changed.state, None)
    return JSONResponse(_full(here, issue, pull))


@router.get("/pulls/{number}/files")
def list_files(here: Here, number: int) -> JSONResponse:
    """The files that it changes."""
    _, pull = here.pull(number)
    changed = pulls.changes(here.hub, here.repository, pull)
    documents = [
        payloads.file(here.hub, here.repository, pull.head_sha, change) for change in changed
    ]
    return paged(here.request, documents, base_path=here.page_base)


@router.get("/pulls/{number}/commits")
def list_commits(here: Here, number: int) -> JSONResponse:
    """The commits that it adds, oldest first."""
    _, pull = here.pull(number)
    found = pulls.commits(here.hub, here.repository, pull)
    documents = [base_payloads.commit(here.hub, here.repository, commit) for commit in found]
    return paged(here.request, documents, base_path=here.page_base)


@router.put("/pulls/{number}/merge")
def merge_pull(here: Here, number: int) -> JSONResponse:
    """Merge it."""
    issue, pull = here.pull(number)
    sha = actions.merge(here.act(WRITE_CONTENTS), issue, pull)
    return JSONResponse({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@router.get("/pulls/{number}/reviews")
def list_reviews(here: Here, number: int) -> JSONResponse:
    """The reviews, oldest first."""
    issue, pull = here.pull(number)
    documents = [
        payloads.review(here.hub, here.repository, issue, review) for review in list(pull.reviews)
    ]
    return paged(here.request, documents, base_path=here.page_base)


@router.post("/pulls/{number}/reviews")
def create_review(here: Here, number: int, new: NewReview) -> JSONResponse:
    """Review it."""
    issue, pull = here.pull(number)
    review = actions.review(here.act(REVIEW), issue, pull, _STATES[new.event], new.body)
    return JSONResponse(payloads.review(here.hub, here.repository, issue, review))


@router.get("/pulls/{number}/comments")
def list_review_comments(here: Here, number: int) -> JSONResponse:
    """The comments on lines, oldest first."""
    issue, pull = here.pull(number)
    documents = [
        payloads.review_comment(here.hub, here.repository, issue, comment)
        for comment in list(pull.review_comments)
    ]
    return paged(here.request, documents, base_path=here.page_base)


@router.post("/pulls/{number}/comments")
def create_review_comment(here: Here, number: int, new: NewReviewComment) -> JSONResponse:
    """Comment on a line of the diff."""
    issue, pull = here.pull(number)
    remark = Remark(new.body, new.path, new.line, new.side, new.in_reply_to)
    comment = actions.comment_on_line(here.act(REVIEW), issue, pull, remark)
    document = payloads.review_comment(here.hub, here.repository, issue, comment)
    return JSONResponse(document, HTTPStatus.CREATED)


def _full(here: Visit, issue: Issue, pull: Pull) -> JsonObject:
    figures = pulls.figures(here.hub, here.repository, pull, is_open=issue.state == "open")
    return payloads.full_pull(here.hub, here.repository, issue, pull, figures)
