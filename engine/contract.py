"""The documents that bot and engine exchange: job, request, progress, outcome.

They lie in the job store; a queue message carries a job id and nothing else.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_CONFIG_BYTES = 16_384
"""The largest `.github/evoscale.yml` that is read."""


class Document(BaseModel):
    """Crosses a process boundary: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TriggerKind(StrEnum):
    """What a person did to start the job."""

    LABEL = "label"
    COMMAND = "command"
    REVIEW = "review"


class Selection(StrEnum):
    """How conditioning examples are chosen between iterations."""

    UNSCORED = "unscored"
    BY_REWARD = "by_reward"
    BY_TESTS = "by_tests"


class RepositoryRef(Document):
    """A repository; the id outlives renames and transfers."""

    id: int
    owner: str
    name: str

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


class Issue(Document):
    """The problem statement, frozen when the job was made."""

    number: int
    title: str
    body: str

    @property
    def text(self) -> str:
        """Title and body as one problem statement."""
        return f"{self.title}\n\n{self.body}".strip()


class Budget(Document):
    """What one job may spend. Iterations count the first, unconditioned one: T=3 makes 4."""

    iterations: int = Field(default=4, ge=1, le=20)
    candidates_per_iteration: int = Field(default=5, ge=1, le=64)
    conditioning_examples: int = Field(default=5, ge=0, le=20)
    wall_clock_s: float = Field(default=1800.0, gt=0, le=86_400)


class PullRequestRef(Document):
    """The bot's own pull request that a review job continues."""

    number: int
    branch: str
    head_sha: str


class RepairJob(Document):
    """One thing to repair, as decided by the bot. `generation` counts jobs of one issue from 1."""

    job_id: str
    delivery_id: str
    installation_id: int
    repository: RepositoryRef
    issue: Issue
    trigger: TriggerKind
    requested_by: str
    generation: int = Field(ge=1)
    budget: Budget = Budget()
    pull_request: PullRequestRef | None = None
    previous_patch: str | None = None
    feedback: str | None = None


class SnapshotRef(Document):
    """Where the repository's files at base_commit lie on the shared storage."""

    base_commit: str
    base_branch: str
    key: str
    sha256: str


class RepairRequest(Document):
    """What the engine needs; holds no credential.

    `config` is the content of the default branch's `.github/evoscale.yml`, empty where it has none.
    None stands for a local checkout, whose own file counts.
    """

    job: RepairJob
    snapshot: SnapshotRef
    config: str | None = None


class Stage(StrEnum):
    """Where a job is, in the order that it passes through."""

    QUEUED = "queued"
    SNAPSHOT = "snapshot"
    ENVIRONMENT = "environment"
    BASELINE = "baseline"
    SEARCH = "search"
    FINAL_CHECK = "final_check"
    PUBLISH = "publish"
    DONE = "done"


class Progress(Document):
    """Best-effort news of a running job."""

    job_id: str
    stage: Stage
    iteration: int | None = None
    candidates: int = 0
    best_reward: float | None = None
    note: str = ""


class TestOutcome(Document):
    """One test before and after the patch, in SWE-bench's words, or `absent`."""

    __test__ = False

    test_id: str
    before: str
    after: str


class Tally(Document):
    """How many of a list of tests passed."""

    passed: int
    of: int


class Evidence(Document):
    """What the tests said about the chosen patch, and how it was found.

    `resolved` needs a FAIL_TO_PASS test that failed before and passes now; otherwise the honest
    word is `no_regression`. `trial` says what a second check of the FAIL_TO_PASS tests found that
    the code under test could not tell from others; `carried` are files whose change the issue asks
    for and no test judged; `notes` say what the suite did not bear. `project` is the folder whose
    tests these are, in a repository of several projects; `beside` says how the tests of others
    fared that the patch touches.
    """

    resolved: bool
    no_regression: bool
    fail_to_pass: Tally
    pass_to_pass: Tally
    tests: tuple[TestOutcome, ...]
    quarantined: tuple[str, ...] = ()
    trial: str = ""
    carried: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    project: str = ""
    beside: tuple[str, ...] = ()
    isolation: str
    image: str
    command: tuple[str, ...]
    reproduction: str | None = None
    iterations: int
    candidates: int
    distinct: int
    passing: int = 0
    decided_by: str
    model: str
    seed: int
    tokens: int
    wall_s: float


class Patched(Document):
    """A patch worth a pull request."""

    status: Literal["patched"] = "patched"
    patch: str
    explanation: str
    evidence: Evidence


class NoPatch(Document):
    """The search ended without a patch that keeps the tests; `reason` says what was tried."""

    status: Literal["no_patch"] = "no_patch"
    reason: str
    iterations: int = 0
    candidates: int = 0
    distinct: int = 0


class Failed(Document):
    """The engine could not find out; `reason` says what to do next.

    Where an environment cannot be built, `log` holds the lines that tell why, and `recipe` what was
    tried, as text for `.github/evoscale.yml`.
    """

    status: Literal["failed"] = "failed"
    reason: str
    retryable: bool
    log: str = ""
    recipe: str = ""


RepairOutcome = Annotated[Patched | NoPatch | Failed, Field(discriminator="status")]
