"""Pull requests, reviews and review comments as GitHub writes them in JSON."""

from bot.fakehub import payloads_repository as base
from bot.fakehub.git_repository import FileChange
from bot.fakehub.model import (
    Issue,
    JsonObject,
    Pull,
    Repository,
    Review,
    ReviewComment,
    timestamp,
    timestamp_or_none,
)
from bot.fakehub.payloads_issue import association, html_url, label
from bot.fakehub.pulls import PullFigures
from bot.fakehub.state import HubState


def pull(hub: HubState, repository: Repository, subject: Issue, details: Pull) -> JsonObject:
    """A `pull-request-simple`, as lists have it."""
    api, page = base.repository_url(hub, repository), html_url(hub, repository, subject)
    url, issue_url = f"{api}/pulls/{subject.number}", f"{api}/issues/{subject.number}"
    return {
        "url": url,
        "id": details.pull_id,
        "node_id": base.node_id("PR", details.pull_id),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue_url,
        "number": subject.number,
        "state": subject.state,
        "locked": subject.locked,
        "title": subject.title,
        "user": base.user_or_none(hub, subject.user),
        "body": subject.body,
        "created_at": timestamp(subject.created_at),
        "updated_at": timestamp(subject.updated_at),
        "closed_at": timestamp_or_none(subject.closed_at),
        "merged_at": timestamp_or_none(details.merged_at),
        "merge_commit_sha": details.merge_commit_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [label(hub, repository, one) for one in subject.labels],
        "milestone": None,
        "draft": details.draft,
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{api}/pulls/comments{{/number}}",
        "comments_url": f"{issue_url}/comments",
        "statuses_url": f"{api}/statuses/{details.head_sha}",
        "head": _end(hub, repository, details.head_ref, details.head_sha),
        "base": _end(hub, repository, details.base_ref, details.base_sha),
        "_links": _links(url, page, issue_url, f"{api}/statuses/{details.head_sha}"),
        "author_association": association(repository, subject.user),
        "auto_merge": None,
        "active_lock_reason": None,
    }


def full_pull(
    hub: HubState, repository: Repository, subject: Issue, details: Pull, figures: PullFigures
) -> JsonObject:
    """A `pull-request`, as asking for one gives it."""
    return pull(hub, repository, subject, details) | {
        "merged": details.merged_at is not None,
        "mergeable": figures.mergeable,
        "rebaseable": figures.mergeable,
        "mergeable_state": figures.mergeable_state,
        "merged_by": base.user_or_none(hub, details.merged_by),
        "comments": len(subject.comments),
        "review_comments": len(details.review_comments),
        "maintainer_can_modify": False,
        "commits": figures.commits,
        "additions": figures.additions,
        "deletions": figures.deletions,
        "changed_files": figures.changed_files,
    }


def _end(hub: HubState, repository: Repository, ref: str, sha: str) -> JsonObject:
    return {
        "label": f"{repository.owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": base.user(hub, repository.owner),
        "repo": base.repository(hub, repository),
    }


def _links(url: str, page: str, issue_url: str, statuses_url: str) -> JsonObject:
    targets = {
        "self": url,
        "html": page,
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{url.rpartition('/')[0]}/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": statuses_url,
    }
    return {relation: {"href": target} for relation, target in targets.items()}


def file(hub: HubState, repository: Repository, head_sha: str, change: FileChange) -> JsonObject:
    """A `diff-entry`."""
    page, api = base.repository_html_url(hub, repository), base.repository_url(hub, repository)
    document: JsonObject = {
        "sha": change.blob,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{page}/blob/{head_sha}/{change.path}",
        "raw_url": f"{page}/raw/{head_sha}/{change.path}",
        "contents_url": f"{api}/contents/{change.path}?ref={head_sha}",
    }
    if change.patch is not None:
        document["patch"] = change.patch
    if change.previous_path is not None:
        document["previous_filename"] = change.previous_path
    return document


def review(hub: HubState, repository: Repository, subject: Issue, given: Review) -> JsonObject:
    """A `pull-request-review`."""
    page = f"{html_url(hub, repository, subject)}#pullrequestreview-{given.review_id}"
    pull_url = f"{base.repository_url(hub, repository)}/pulls/{subject.number}"
    return {
        "id": given.review_id,
        "node_id": base.node_id("PRR", given.review_id),
        "user": base.user(hub, given.user),
        "body": given.body,
        "state": given.state,
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repository, given.user),
        "_links": {"html": {"href": page}, "pull_request": {"href": pull_url}},
        "submitted_at": timestamp(given.submitted_at),
        "commit_id": given.commit_sha,
    }


def review_comment(
    hub: HubState, repository: Repository, subject: Issue, said: ReviewComment
) -> JsonObject:
    """A `pull-request-review-comment`."""
    api = base.repository_url(hub, repository)
    url, pull_url = f"{api}/pulls/comments/{said.comment_id}", f"{api}/pulls/{subject.number}"
    page = f"{html_url(hub, repository, subject)}#discussion_r{said.comment_id}"
    document: JsonObject = {
        "url": url,
        "pull_request_review_id": said.review_id,
        "id": said.comment_id,
        "node_id": base.node_id("PRRC", said.comment_id),
        "diff_hunk": said.diff_hunk,
        "path": said.path,
        "commit_id": said.commit_sha,
        "original_commit_id": said.commit_sha,
        "user": base.user(hub, said.user),
        "body": said.body,
        "created_at": timestamp(said.created_at),
        "updated_at": timestamp(said.created_at),
        "html_url": page,
        "pull_request_url": pull_url,
        "author_association": association(repository, said.user),
        "_links": {
            "self": {"href": url},
            "html": {"href": page},
            "pull_request": {"href": pull_url},
        },
        "side": said.side,
        "subject_type": "file" if said.line is None else "line",
    }
    if said.line is not None:
        document |= {"line": said.line, "original_line": said.line}
    if said.in_reply_to is not None:
        document["in_reply_to_id"] = said.in_reply_to
    return document
