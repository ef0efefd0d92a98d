"""Pure: a delivery becomes the start of a repair, a command, or Ignored(reason). Never raises.

A label or a command says only what is wanted; who may want it is asked of GitHub in `bot.dispatch`.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from bot.events import COMMAND, Account, CommentData, Payload, PullRequestData
from engine.contract import Budget, RepositoryRef

BRANCH_PREFIX = "evoscale/issue-"

_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMAND = re.compile(rf"{COMMAND}(?![^\s])[ \t]*(.*)", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_QUOTE = re.compile(r" {0,3}>")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BLOCK = re.compile(r"<(pre|code)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_BRANCH = re.compile(rf"{BRANCH_PREFIX}(\d{{1,18}})(?:-\d{{1,9}})?")
_SHOWN = 40
_MAX_DIGITS = 8


class Verb(StrEnum):
    """What `/evoscale` can be asked to do."""

    SOLVE = "solve"
    STOP = "stop"
    RETRY = "retry"
    STATUS = "status"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided: the label, who we are, what a job may spend at most."""

    label: str
    app_id: int
    bot_login: str
    usual: Budget = field(default_factory=Budget)
    most: Budget = field(default_factory=lambda: Budget(iterations=12, candidates_per_iteration=16))


@dataclass(frozen=True, slots=True)
class Target:
    """Where something was asked, by whom; `comment_id` where a comment asked it."""

    installation_id: int
    repository: RepositoryRef
    number: int
    by: str
    comment_id: int | None = None


@dataclass(frozen=True, slots=True)
class StartRepair:
    """Start a search for an issue. `labelled` when the label asked, not a command."""

    target: Target
    budget: Budget
    labelled: bool


@dataclass(frozen=True, slots=True)
class StartReview:
    """Start a search from the branch of our pull request; `number` of the target is the pull's."""

    target: Target
    issue_number: int
    branch: str
    review_id: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Stop, status or help; `problem` says what was wrong with a command we could not follow."""

    target: Target
    verb: Verb
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do, and why."""

    reason: str


Wanted = StartRepair | StartReview | Ask
Decision = Wanted | Ignored


@dataclass(frozen=True, slots=True)
class Command:
    """A line that starts with `/evoscale`, taken apart."""

    verb: Verb
    budget: Budget
    problem: str = ""


def decide(event: str, payload: Payload, rules: Rules) -> Decision:
    """Say what a delivery asks of us."""
    if missing := _missing(payload):
        return Ignored(f"the delivery names no {missing}")
    if _is_us(payload.sender, rules) or _through_us(payload.comment, rules):
        return Ignored("our own event")
    return _by_event(event, payload, rules)


def _by_event(event: str, payload: Payload, rules: Rules) -> Decision:
    match event, payload.action:
        case "issues", "labeled":
            return _labelled(payload, rules)
        case "issue_comment", "created":
            return _commented(payload, rules)
        case ("pull_request_review", "submitted") | ("pull_request_review_comment", "created"):
            return _reviewed(payload, rules)
    return Ignored(f"nothing to do on {event}.{payload.action}"[:120])


def _missing(payload: Payload) -> str:
    if payload.installation is None:
        return "installation; install the app instead of a webhook"
    if payload.repository is None:
        return "repository"
    return "" if payload.sender else "sender, so there is nobody to ask a permission for"


def issue_of_branch(branch: str) -> int | None:
    """The issue that one of our branches is for, or None where the branch is not ours."""
    found = _BRANCH.fullmatch(branch)
    return int(found[1]) if found else None


def branch_of(issue_number: int, generation: int) -> str:
    """The branch of a job: the same job always has the same one."""
    suffix = f"-{generation}" if generation > 1 else ""
    return f"{BRANCH_PREFIX}{issue_number}{suffix}"


def visible(text: str) -> str:
    """The text without what GitHub does not show: HTML comments, closed or not."""
    return _HIDDEN.sub("", text)


def find_command(text: str, rules: Rules) -> Command | None:
    """The first line that is a command; quotes, code and hidden text are none."""
    for line in _spoken_lines(text):
        found = _COMMAND.match(line)
        if found:
            return _parse(found[1], rules)
    return None


def _spoken_lines(text: str) -> list[str]:
    spoken: list[str] = []
    fence = ""
    for line in _LINE_END.split(_without_blocks(text)):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and _closes(line, fence) else fence
        elif mark and (mark[1][0] == "~" or "`" not in line[mark.end() :]):
            fence = mark[1]
        elif not _QUOTE.match(line):
            spoken.append(line)
    return spoken


def _closes(line: str, fence: str) -> bool:
    closing = line.strip()
    return len(closing) >= len(fence) and set(closing) == {fence[0]}


def _without_blocks(text: str) -> str:
    """Blank out hidden text and HTML code, leaving a mark so that no new line start appears."""
    return _BLOCK.sub(".", _HIDDEN.sub(".", text))


def _parse(rest: str, rules: Rules) -> Command:
    words = rest.split()
    verb = Verb.SOLVE
    if words and "=" not in words[0]:
        name = words.pop(0)
        try:
            verb = Verb(name.casefold())
        except ValueError:
            return Command(Verb.HELP, rules.usual, f"I do not know `{_safe(name)}`.")
    return _with_arguments(verb, words, rules)


def _with_arguments(verb: Verb, words: list[str], rules: Rules) -> Command:
    budget = rules.usual
    if words and verb not in (Verb.SOLVE, Verb.RETRY):
        return Command(Verb.HELP, budget, f"`{verb}` takes no arguments.")
    for word in words:
        name, _, value = word.partition("=")
        changed = _set(budget, name.casefold(), value, rules.most)
        if isinstance(changed, str):
            return Command(Verb.HELP, rules.usual, changed)
        budget = changed
    return Command(verb, budget)


def _set(budget: Budget, name: str, value: str, most: Budget) -> Budget | str:
    limits = {
        "iterations": most.iterations,
        "candidates": most.candidates_per_iteration,
        "minutes": int(most.wall_clock_s // 60),
    }
    if name not in limits:
        return f"I do not know the argument `{_safe(name)}`."
    plain = value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
    number = int(value) if plain else 0
    if not 1 <= number <= limits[name]:
        return f"`{name}` must be a whole number from 1 to {limits[name]}, not `{_safe(value)}`."
    match name:
        case "iterations":
            return budget.model_copy(update={"iterations": number})
        case "candidates":
            return budget.model_copy(update={"candidates_per_iteration": number})
    return budget.model_copy(update={"wall_clock_s": number * 60.0})


def _safe(word: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "?" for c in word)
    return kept[:_SHOWN] or "nothing"


def _is_us(account: Account | None, rules: Rules) -> bool:
    return account is not None and account.login.casefold() == rules.bot_login.casefold()


def _through_us(comment: CommentData | None, rules: Rules) -> bool:
    app = comment.performed_via_github_app if comment else None
    ours = app is not None and app.id == rules.app_id
    return ours or _is_us(comment.user if comment else None, rules)


def _target(payload: Payload, number: int, comment_id: int | None = None) -> Target:
    installation, repository, sender = payload.installation, payload.repository, payload.sender
    if installation is None or repository is None or sender is None:
        raise AssertionError("decide() asked for these three")
    ref = RepositoryRef(id=repository.id, owner=repository.owner.login, name=repository.name)
    return Target(installation.id, ref, number, sender.login, comment_id)


def _labelled(payload: Payload, rules: Rules) -> Decision:
    issue, label = payload.issue, payload.label
    if issue is None or label is None:
        return Ignored("a labeled event without its issue or label")
    if label.name.casefold() != rules.label.casefold():
        return Ignored("another label")
    if issue.pull_request is not None:
        return Ignored("the label acts on issues; on our pull requests, leave a review")
    return StartRepair(_target(payload, issue.number), rules.usual, labelled=True)


def _commented(payload: Payload, rules: Rules) -> Decision:
    issue, comment = payload.issue, payload.comment
    if issue is None or comment is None:
        return Ignored("a comment event without its issue or comment")
    command = find_command(comment.body or "", rules)
    if command is None:
        return Ignored("no command at the start of a line")
    target = _target(payload, issue.number, comment.id)
    if issue.pull_request is not None:
        return _on_pull_request(target, ours=_is_us(issue.user, rules))
    if command.verb in (Verb.SOLVE, Verb.RETRY):
        return StartRepair(target, command.budget, labelled=False)
    return Ask(target, command.verb, command.problem)


def _on_pull_request(target: Target, *, ours: bool) -> Decision:
    if not ours:
        return Ignored("a command on a pull request that is not ours")
    return Ask(target, Verb.HELP, "On a pull request I follow reviews: leave one.")


def _reviewed(payload: Payload, rules: Rules) -> Decision:
    pull = payload.pull_request
    if pull is None:
        return Ignored("a review event without its pull request")
    number = issue_of_branch(pull.head.ref)
    if number is None or not _is_us(pull.user, rules) or not _at_home(payload, pull):
        return Ignored("a review of a pull request that is not ours")
    if pull.state != "open":
        return Ignored("a review of a pull request that is closed")
    review_id = _review_id(payload)
    if review_id is None:
        return Ignored("a review that asks for nothing")
    return StartReview(_target(payload, pull.number), number, pull.head.ref, review_id)


def _at_home(payload: Payload, pull: PullRequestData) -> bool:
    head, here = pull.head.repo, payload.repository
    return head is not None and here is not None and head.id == here.id


def _review_id(payload: Payload) -> int | None:
    if payload.review is not None:
        asks = payload.review.state.casefold() in ("changes_requested", "commented")
        return payload.review.id if asks else None
    return payload.comment.pull_request_review_id if payload.comment else None
