"""Pure: the Markdown of status comment, help reply, commit message and pull request."""

from bot.render.pull import commit_message, job_marker, pull_body, pull_title
from bot.render.status import (
    Status,
    final_marker,
    help_comment,
    help_marker,
    refusal_comment,
    status_comment,
    status_marker,
)

__all__ = [
    "Status",
    "commit_message",
    "final_marker",
    "help_comment",
    "help_marker",
    "job_marker",
    "pull_body",
    "pull_title",
    "refusal_comment",
    "status_comment",
    "status_marker",
]
