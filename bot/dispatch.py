"""Works the inbox off: delivery → decision → job. Asks GitHub for the present state first."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.events import IssueData, read
from bot.github import App, Feedback, Installation
from bot.inbox import Bookmarks, Delivery, DeliveryState
from bot.render import (
    Status,
    help_comment,
    help_marker,
    refusal_comment,
    status_comment,
    status_marker,
)
from bot.triggers import (
    Ask,
    Ignored,
    Rules,
    StartRepair,
    StartReview,
    Target,
    Verb,
    Wanted,
    decide,
    visible,
)
from engine.contract import (
    Issue,
    NoPatch,
    Patched,
    PullRequestRef,
    RepairJob,
    TriggerKind,
)
from engine.queue import PUBLISH, SNAPSHOT
from engine.store import JobState, JobStore, StoredJob

logger = logging.getLogger(__name__)

Wake = Callable[[str, str], object]

OWNER = f"dispatch-{uuid.uuid4()}"
LATER_S = 60.0
MAX_FEEDBACK = 20_000
MAX_ISSUE = 60_000


@dataclass(frozen=True, slots=True)
class Done:
    """A delivery was worked off; `state` is DONE or IGNORED."""

    state: DeliveryState
    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """A delivery has to wait, for this long."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided about jobs."""

    rules: Rules
    allow_triage: bool = False
    jobs_per_issue: int = 20
    public_url: str = ""

    @property
    def roles(self) -> frozenset[str]:
        """The roles that may start, stop and ask."""
        usual = frozenset({"admin", "maintain", "write"})
        return usual | {"triage"} if self.allow_triage else usual


class Dispatcher:
    """Turns deliveries into jobs. Handling the same delivery again changes nothing."""

    def __init__(
        self,
        app: App,
        store: JobStore,
        bookmarks: Bookmarks,
        policy: Callable[[], Policy],
        wake: Wake,
    ) -> None:
        self._app = app
        self._store = store
        self._bookmarks = bookmarks
        self._policy = policy
        self._wake = wake

    def handle(self, delivery: Delivery) -> Done | Later:
        """Do what a delivery asks.

        Raises:
            GitHubUnavailableError: try the same delivery again later.
            GitHubRefusedError: GitHub will not have it; the delivery is given up.
        """
        payload = read(delivery.body)
        if isinstance(payload, str):
            return _ignored(payload)
        decision = decide(delivery.event, payload, self._policy().rules)
        if isinstance(decision, Ignored):
            return _ignored(decision.reason)
        asked_at = payload.issue.updated_at if payload.issue else None
        return self._act(decision, delivery.delivery_id, asked_at)

    def _act(self, wanted: Wanted, delivery_id: str, asked_at: datetime | None) -> Done | Later:
        target = wanted.target
        installation = self._app.installation(
            target.installation_id, target.repository, delivery_id
        )
        repository = installation.repository()
        role = installation.role_of(target.by)
        if role not in self._policy().roles:
            return self._refuse_person(installation, wanted, role)
        if not repository.writable:
            return _ignored("the repository is archived")
        ask = Asked(installation, delivery_id, asked_at)
        if isinstance(wanted, StartRepair):
            return self._start(ask, wanted)
        return (
            self._start_review(ask, wanted)
            if isinstance(wanted, StartReview)
            else self._answer(ask, wanted)
        )

    def _refuse_person(self, installation: Installation, wanted: Wanted, role: str) -> Done:
        target = wanted.target
        if target.comment_id is not None:
            installation.react(target.comment_id, "confused")
        elif isinstance(wanted, StartRepair):
            advice = (
                f"The label was set by somebody whose role here is `{role}`. Somebody with write "
                "access can start the search with `/evoscale`."
            )
            self._refuse(installation, target, advice)
        return _ignored(f"{target.by} has the role {role}; write is needed")

    def _refuse(self, installation: Installation, target: Target, reason: str) -> None:
        """Say why nothing was started, unless the status comment tells of a job already."""
        if self._store.latest(target.repository.id, target.number) is None:
            marker = status_marker(target.number)
            installation.say(target.number, marker, refusal_comment(target.number, reason))

    def _start(self, ask: "Asked", start: StartRepair) -> Done:
        target, installation = start.target, ask.installation
        issue = installation.issue(target.number)
        if issue is None:
            return _ignored("the issue was deleted or moved")
        latest = self._store.latest(target.repository.id, target.number)
        if latest is not None and latest.state is not JobState.DONE:
            return self._still_running(ask, target, latest)
        if latest is not None and ask.is_old_news(latest, labelled=start.labelled):
            return _done("the search that came of it has ended already")
        if refusal := self._why_not(start, issue, latest):
            return self._say_why_not(ask, start, refusal)
        trigger = TriggerKind.LABEL if start.labelled else TriggerKind.COMMAND
        generation = latest.job.generation + 1 if latest else 1
        job = RepairJob(
            job_id=uuid.uuid4().hex,
            delivery_id=ask.delivery_id,
            installation_id=target.installation_id,
            repository=target.repository,
            issue=_frozen(issue),
            trigger=trigger,
            requested_by=target.by,
            generation=generation,
            budget=start.budget,
        )
        key = f"{target.repository.id}:{target.number}:{generation}"
        return self._add(ask, target, job, key)

    def _why_not(self, start: StartRepair, issue: IssueData, latest: StoredJob | None) -> str:
        policy = self._policy()
        if issue.state != "open":
            return "The issue is closed. Reopen it first."
        if start.labelled and not issue.has_label(policy.rules.label):
            return "The label was taken off again."
        if not any(letter.isalnum() for letter in visible(issue.body or "")):
            return (
                "The issue has no text below its title. Write what happens and what should happen "
                "instead, best with an example, and then comment `/evoscale`."
            )
        if latest is not None and latest.job.generation >= policy.jobs_per_issue:
            return (
                f"This issue has had {latest.job.generation} searches, which is as many as this "
                "server allows for one issue. Open a new issue with what was learned."
            )
        return ""

    def _say_why_not(self, ask: "Asked", start: StartRepair, reason: str) -> Done:
        target = start.target
        if start.labelled and self._store.latest(target.repository.id, target.number) is None:
            self._refuse(ask.installation, target, reason)
        else:
            self._help(ask.installation, target.number, reason)
        return _ignored(reason)

    def _still_running(self, ask: "Asked", target: Target, latest: StoredJob) -> Done:
        self._acknowledge(ask.installation, target)
        self._refresh(ask.installation, latest)
        return _done("a search for this issue is running already")

    def _add(self, ask: "Asked", target: Target, job: RepairJob, key: str) -> Done:
        added = self._store.add(job, key)
        stored = self._store.by_key(key)
        if stored is None:
            return _done("the job is gone again")
        self._wake(SNAPSHOT, stored.job.job_id)
        self._acknowledge(ask.installation, target)
        self._refresh(ask.installation, stored)
        logger.info("job %s for %s#%s", stored.job.job_id, job.repository.full_name, target.number)
        return _done(f"job {stored.job.job_id}" if added else "somebody else was faster")

    def _acknowledge(self, installation: Installation, target: Target) -> None:
        if target.comment_id is not None:
            installation.react(target.comment_id, "eyes")

    def _refresh(self, installation: Installation, stored: StoredJob) -> None:
        number, job_id = stored.job.issue.number, stored.job.job_id
        public_url = self._policy().public_url.rstrip("/")
        note = self._bookmarks.get(f"note:{job_id}") or ""
        page = f"{public_url}/jobs/{job_id}" if public_url else ""
        installation.say(number, status_marker(number), status_comment(Status(stored, note, page)))

    def _start_review(self, ask: "Asked", start: StartReview) -> Done | Later:
        target, number = start.target, start.issue_number
        key = f"{target.repository.id}:{number}:review:{start.review_id}"
        latest = self._store.latest(target.repository.id, number)
        if self._store.by_key(key) is not None:
            return _done("this review has its search already")
        if latest is not None and latest.state is not JobState.DONE:
            return Later(LATER_S, "another search for this issue is running")
        generation = latest.job.generation + 1 if latest else 1
        if generation > self._policy().jobs_per_issue:
            return _ignored("this issue has had as many searches as the server allows")
        job = self._review_job(ask, start, generation)
        return _ignored(job) if isinstance(job, str) else self._add(ask, target, job, key)

    def _review_job(self, ask: "Asked", start: StartReview, generation: int) -> RepairJob | str:
        pull = ask.installation.pull(start.target.number)
        feedback = ask.installation.feedback(start.target.number, start.review_id)
        issue = ask.installation.issue(start.issue_number)
        if pull is None or pull.state != "open" or issue is None or feedback is None:
            return "the pull request, its issue or the review is gone"
        text = _feedback_text(feedback)
        if not text:
            return "the review has no text"
        before = self._store.by_branch(start.target.repository.id, start.branch)
        outcome = before.outcome if before else None
        return RepairJob(
            job_id=uuid.uuid4().hex,
            delivery_id=ask.delivery_id,
            installation_id=start.target.installation_id,
            repository=start.target.repository,
            issue=_frozen(issue),
            trigger=TriggerKind.REVIEW,
            requested_by=start.target.by,
            generation=generation,
            budget=before.job.budget if before else self._policy().rules.usual,
            pull_request=PullRequestRef(
                number=pull.number, branch=pull.head.ref, head_sha=pull.head.sha
            ),
            previous_patch=outcome.patch if isinstance(outcome, Patched) else None,
            feedback=text,
        )

    def _answer(self, ask: "Asked", asked: Ask) -> Done:
        target, installation = asked.target, ask.installation
        latest = self._store.latest(target.repository.id, target.number)
        self._acknowledge(installation, target)
        match asked.verb:
            case Verb.HELP:
                self._help(installation, target.number, asked.problem)
            case Verb.STOP if latest is not None and latest.state is not JobState.DONE:
                self._stop(installation, latest, target.by)
            case Verb.STATUS if latest is not None:
                self._refresh(installation, latest)
            case _:
                self._help(installation, target.number, "No search is running here.")
        return _done(f"answered {asked.verb}")

    def _help(self, installation: Installation, number: int, problem: str) -> None:
        body = help_comment(number, self._policy().rules.label, problem)
        installation.say(number, help_marker(number), body)

    def _stop(self, installation: Installation, latest: StoredJob, by: str) -> None:
        """Ask the holder to end; a job that nobody holds ends at once."""
        job_id = latest.job.job_id
        self._store.request_stop(job_id, by)
        if self._store.lease(job_id, OWNER, LATER_S):
            self._store.finish(
                job_id, NoPatch(reason="The search was ended before it found anything.")
            )
            self._store.release(job_id, OWNER)
            self._wake(PUBLISH, job_id)
        now = self._store.get(job_id)
        if now is not None:
            self._refresh(installation, now)


@dataclass(frozen=True, slots=True)
class Asked:
    """Through whom, by which delivery, and when something was asked."""

    installation: Installation
    delivery_id: str
    asked_at: datetime | None

    def is_old_news(self, latest: StoredJob, *, labelled: bool) -> bool:
        """Whether the newest job came of this delivery, or of a later look at the same label."""
        if latest.job.delivery_id == self.delivery_id:
            return True
        known = labelled and self.asked_at is not None
        return bool(known and self.asked_at and self.asked_at.timestamp() < latest.created_at)


def _frozen(issue: IssueData) -> Issue:
    body = visible(issue.body or "")[:MAX_ISSUE]
    return Issue(number=issue.number, title=issue.title, body=body)


def _feedback_text(feedback: Feedback) -> str:
    parts = [visible(feedback.review).strip()]
    for comment in feedback.comments:
        line = comment.line or comment.original_line
        where = f"{comment.path}:{line}" if line else comment.path
        said = visible(comment.body or "").strip()
        parts += [f"{where}: {said}"] if said else []
    return "\n\n".join(part for part in parts if part)[:MAX_FEEDBACK]


def _done(reason: str) -> Done:
    return Done(DeliveryState.DONE, reason)


def _ignored(reason: str) -> Done:
    return Done(DeliveryState.IGNORED, reason)
