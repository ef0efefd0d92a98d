"""Pages for people: a repository, its issues, a pull request with its coloured diff."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, PackageLoader
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from markupsafe import Markup

from bot.fakehub import pulls
from bot.fakehub.answers import not_found
from bot.fakehub.git_repository import FileChange
from bot.fakehub.model import Issue, Pull, Repository, User
from bot.fakehub.routing import current_hub
from bot.fakehub.state import HubState

router = APIRouter(default_response_class=HTMLResponse)

# Whatever an issue says, its page loads nothing and runs nothing.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened in a conversation."""

    user: User | None
    at: datetime
    verb: str
    body: str
    anchor: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a diff, with the class that colours it."""

    kind: str
    text: str


def public_repository(request: Request, owner: str, repo: str) -> Repository:
    """The repository a page is about; private ones have no pages, since nobody can sign in here.

    Raises:
        ApiError: 404.
    """
    hub = current_hub(request)
    found = hub.repository(owner, repo) or hub.renamed(owner, repo)
    if found is None or found.private:
        raise not_found()
    return found


Hub = Annotated[HubState, Depends(current_hub)]
Public = Annotated[Repository, Depends(public_repository)]


@router.get("/")
def show_home(hub: Hub) -> HTMLResponse:
    """Every repository."""
    shown = [repository for repository in list(hub.repositories.values()) if not repository.private]
    return _render("home.html", repositories=shown, app=hub.app)


@router.get("/{owner}/{repo}")
def show_repository(hub: Hub, repository: Public) -> HTMLResponse:
    """A repository: its files, issues and pull requests."""
    git = hub.git(repository)
    head = git.branch(repository.default_branch)
    readme = git.read(head, "README.md") if head else None
    return _render(
        "repository.html",
        repository=repository,
        paths=git.paths(head) if head else [],
        head=git.commit(head) if head else None,
        branches=sorted(name.removeprefix("refs/heads/") for name in git.refs()),
        issues=_newest(issue for issue in repository.issues.values() if issue.pull is None),
        pulls=_newest(hub.pulls(repository)),
        readme=readme.decode(errors="replace") if readme else "",
    )


@router.get("/{owner}/{repo}/issues/{number}")
def show_issue(repository: Public, number: int) -> HTMLResponse:
    """An issue and its conversation."""
    issue = _issue(repository, number)
    return _render(
        "issue.html", repository=repository, issue=issue, entries=_conversation(issue, issue.pull)
    )


@router.get("/{owner}/{repo}/pull/{number}.diff")
def show_diff(hub: Hub, repository: Public, number: int) -> PlainTextResponse:
    """The diff of a pull request as text."""
    return PlainTextResponse(pulls.diff(hub, repository, _pull(repository, number)))


@router.get("/{owner}/{repo}/pull/{number}")
def show_pull(hub: Hub, repository: Public, number: int) -> HTMLResponse:
    """A pull request: conversation, commits, diff."""
    issue, pull = _issue(repository, number), _pull(repository, number)
    changes = pulls.changes(hub, repository, pull)
    return _render(
        "pull.html",
        repository=repository,
        issue=issue,
        pull=pull,
        entries=_conversation(issue, pull),
        commits=pulls.commits(hub, repository, pull),
        files=[(change, _diff_lines(change)) for change in changes],
        figures=pulls.figures(hub, repository, pull, is_open=issue.state == "open"),
    )


@router.get("/{owner}/{repo}/blob/{ref}/{path:path}")
def show_file(hub: Hub, repository: Public, ref: str, path: str) -> HTMLResponse:
    """A file as a branch or commit has it."""
    content = None if ref.startswith("-") else hub.git(repository).read(ref, path)
    if content is None:
        raise not_found()
    text = content.decode(errors="replace")
    return _render("file.html", repository=repository, path=path, ref=ref, lines=text.splitlines())


def _issue(repository: Repository, number: int) -> Issue:
    found = repository.issues.get(number)
    if found is None:
        raise not_found()
    return found


def _pull(repository: Repository, number: int) -> Pull:
    found = _issue(repository, number).pull
    if found is None:
        raise not_found()
    return found


def _newest(issues: Iterable[Issue]) -> list[Issue]:
    return sorted(issues, key=lambda issue: issue.number, reverse=True)


def _conversation(issue: Issue, pull: Pull | None) -> list[Entry]:
    entries = [
        Entry(
            issue.user, issue.created_at, "opened this", issue.body or "", f"issue-{issue.issue_id}"
        )
    ]
    entries += [
        Entry(
            comment.user,
            comment.created_at,
            "commented",
            comment.body,
            f"issuecomment-{comment.comment_id}",
        )
        for comment in list(issue.comments)
    ]
    if pull is not None:
        entries += _reviews(pull)
    return sorted(entries, key=lambda entry: entry.at)


_REVIEW_VERBS = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "requested changes",
    "COMMENTED": "reviewed",
}


def _reviews(pull: Pull) -> list[Entry]:
    wrappers = {comment.review_id for comment in pull.review_comments}
    entries = [
        Entry(
            review.user,
            review.submitted_at,
            _REVIEW_VERBS[review.state],
            review.body,
            f"pullrequestreview-{review.review_id}",
        )
        for review in pull.reviews
        if review.review_id not in wrappers
    ]
    return entries + [
        Entry(
            comment.user,
            comment.created_at,
            "commented on",
            comment.body,
            f"discussion_r{comment.comment_id}",
            comment.path if comment.line is None else f"{comment.path}, line {comment.line}",
        )
        for comment in pull.review_comments
    ]


_KINDS = {"+": "added", "-": "removed", "@": "hunk"}


def _diff_lines(change: FileChange) -> list[DiffLine]:
    if change.patch is None:
        return [DiffLine("hunk", "no text to show")]
    return [DiffLine(_KINDS.get(line[:1], ""), line) for line in change.patch.split("\n")]


# As on github.com: comments are not seen, a few tags without attributes work, addresses are links.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"&lt;(/?(?:details|summary|sub))&gt;")
_ADDRESS = re.compile(r"https?://[\w.:/?%=&;~-]*[\w/]")


def _html(_renderer: object, tokens: Sequence[Token], at: int, *_: object) -> str:
    return _TAG.sub(r"<\1>", escapeHtml(_COMMENT.sub("", tokens[at].content)))


def _text(_renderer: object, tokens: Sequence[Token], at: int, *_: object) -> str:
    text = escapeHtml(tokens[at].content)
    if at and tokens[at - 1].type == "link_open":
        return text
    return _ADDRESS.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', text)


@cache
def _markdown() -> MarkdownIt:
    """Markdown whose HTML is shown as text, but for `_TAG`; no images, no links to scripts."""
    made = (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).disable("image")
    )
    made.add_render_rule("html_block", _html)
    made.add_render_rule("html_inline", _html)
    made.add_render_rule("text", _text)
    return made


def _to_html(text: str) -> Markup:
    return Markup(_markdown().render(text))  # noqa: S704 - `_html` and `_text` escape all HTML


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("bot.fakehub"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["markdown"] = _to_html
    return environment


def _render(template: str, **values: object) -> HTMLResponse:
    html = _templates().get_template(template).render(**values)
    headers = {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(html, HTTPStatus.OK, headers)
