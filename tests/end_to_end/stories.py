"""The whole system as real processes, and a person who uses it."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bot.demo.stack import Stack
from bot.fakehub.driver import FakehubDriver
from engine.contract import Patched
from engine.store import CandidateState, JobState, JobStore, StoredJob, connect
from tests.engine import projects

OWNER, PERSON, STRANGER = "octo", "ada", "eve"
REPOSITORY = f"{OWNER}/receipts"
MARKER = "<!-- evoscale:status"
LIMIT_S = 150.0
"""So long nothing may change before a story is stuck; how long it takes says nothing about it."""
POLL_S = 0.02
"""Between two looks for a moment that passes."""
CAME_POLL_S = 1.0
END_POLL_S = 0.2
"""Between two looks for what stays; each look takes time from what is looked at."""

T = TypeVar("T")


class Story:
    """A running stack, its hub's people, and the jobs as they lie in the database."""

    def __init__(self, stack: Stack, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self.stack = stack
        self.driver = FakehubDriver(stack.hub.base_url, stack.hub.admin_token)
        self.database = connect(stack.database_url)
        self.store = JobStore(self.database)

    def close(self) -> None:
        self.driver.close()
        self.database.dispose()

    def begin(self, project: Path, name: str = "receipts") -> None:
        for login in (OWNER, PERSON, STRANGER):
            self.driver.create_user(login)
        self.driver.create_repository(OWNER, name, project)
        self.driver.set_role(f"{OWNER}/{name}", PERSON, "write")
        self.driver.install(OWNER, [name])

    def open_issue(self, body: str = projects.ISSUE_BODY) -> int:
        return self.driver.open_issue(REPOSITORY, projects.ISSUE_TITLE, body, as_user=PERSON)

    def label(self, project: Path) -> int:
        """Have somebody label an issue of a new repository."""
        self.begin(project)
        number = self.open_issue()
        self.driver.add_label(REPOSITORY, number, "evoscale", as_user=PERSON)
        return number

    def until(self, what: str, look: Callable[[], T | None], poll_s: float = POLL_S) -> T:
        """Wait for something that must happen; a part of the stack that ended says so at once.

        A busy machine is slow, so it is waited for as long as jobs come on.
        """
        came, since = self.came(), time.monotonic()
        looked = since
        while (now := time.monotonic()) - since < self.limit_s:
            found = look()
            if found:
                return found
            self.stack.check()
            time.sleep(poll_s)
            if now - looked > CAME_POLL_S:
                looked, before, came = now, came, self.came()
                since = since if came == before else now
        said = f"{what} did not happen, and nothing else for {self.limit_s:.0f} s"
        raise AssertionError(f"{said}\n{self.logs()}")

    def came(self) -> Sequence[object]:
        """How far all jobs have come; leases and times go on without it."""
        return [
            (job.job.job_id, job.state, job.progress, job.attempts, self._tested(job))
            for job in self.store.recent(10)
        ]

    def _tested(self, job: StoredJob) -> int:
        candidates = self.store.candidates(job.job.job_id)
        return sum(each.state is CandidateState.TESTED for each in candidates)

    def done(self, jobs: int = 1) -> StoredJob:
        """The newest job, once as many as wanted are through."""

        def look() -> StoredJob | None:
            recent = self.store.recent(10)
            finished = [job for job in recent if job.state is JobState.DONE]
            return recent[0] if len(finished) >= jobs else None

        return self.until(f"{jobs} finished jobs", look, END_POLL_S)

    def logs(self) -> str:
        folder = self.stack.folder / "logs"
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in folder.iterdir())

    def status_comments(self, number: int, repository: str = REPOSITORY) -> list[str]:
        bodies = [str(c["body"]) for c in self.driver.comments(repository, number)]
        return [body for body in bodies if MARKER in body]

    def assert_ended_once(self, number: int) -> None:
        """One job, one branch, one pull request with one commit, one status comment in a final state."""
        job = self.done()
        assert len(self.store.recent(10)) == 1
        assert isinstance(job.outcome, Patched), job.outcome
        (pull,) = self.driver.pulls(REPOSITORY)
        (comment,) = self.status_comments(number)
        assert str(pull["html_url"]) in comment


def write_script(path: Path, script: Sequence[Sequence[str]]) -> dict[str, str]:
    """Have the engine's worker say what stands in a script."""
    path.write_text(json.dumps(script))
    return {"EVOSCALE_ENGINE_MODEL": "scripted", "EVOSCALE_ENGINE_MODEL_NAME": str(path)}
