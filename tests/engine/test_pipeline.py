"""One job from start to end, in real boxes, with a model that says what it was told to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine import repo_config, snapshot
from engine.candidate import Candidate, Span
from engine.contract import (
    Budget,
    Failed,
    Issue,
    NoPatch,
    Patched,
    Progress,
    RepairRequest,
    Selection,
    SnapshotRef,
    Stage,
)
from engine.errors import BadInputError
from engine.evaluate import from_row, to_row
from engine.models.base import EditFormat
from engine.models.scripted import ScriptedModel
from engine.orders import Errand, Orders
from engine.pipeline import Engine, repair
from engine.store import JobStore, connect, migrate
from engine.workshop import Workshop
from sandbox.backends import open_sandbox
from sandbox.contract import Patch
from sandbox.settings import SandboxSettings
from tests.engine import projects
from tests.factories import make_job

SETTINGS = SandboxSettings(kind="bubblewrap")


class Bench0:
    """A store, a snapshot and an engine that tests candidates at once, in this thread."""

    def __init__(
        self,
        folder: Path,
        repo: Path,
        body: str = projects.ISSUE_BODY,
        config: str | None = None,
    ) -> None:
        self.sandbox = open_sandbox("bubblewrap", SETTINGS)
        self.settings = SETTINGS
        self.database = connect(f"sqlite:///{folder / 'jobs.sqlite3'}")
        migrate(self.database)
        self.store = JobStore(self.database)
        self.progress: list[Progress] = []
        self.folder = folder
        packed = snapshot.pack(repo, folder / "snapshots", "k")
        issue = Issue(number=1, title=projects.ISSUE_TITLE, body=body)
        self.job = make_job(issue=issue, budget=Budget(iterations=2, candidates_per_iteration=2))
        ref = SnapshotRef(base_commit="c", base_branch="main", key=packed.key, sha256=packed.sha256)
        self.request = RepairRequest(job=self.job, snapshot=ref, config=config)
        self.store.add(self.job, self.job.job_id)
        self.store.request(self.job.job_id, self.request)

    def engine(self, script: Sequence[Sequence[str]], **changed: object) -> Engine:
        line = bool(changed.pop("line", False))
        model = ScriptedModel(
            script,
            edit_format=EditFormat.LINE if line else EditFormat.SEARCH_REPLACE,
            evolves=bool(changed.pop("evolves", True)),
        )
        made = Engine(
            model=model,
            store=self.store,
            orders=Orders(self.database),
            snapshot_dir=self.folder / "snapshots",
            hand_out=self.test_now,
            on_progress=self.progress.append,
            stopped=lambda: False,
        )
        return replace(made, **changed)

    def test_now(self, errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        workshop = Workshop(
            sandbox=self.sandbox,
            settings=self.settings,
            store=self.store,
            orders=Orders(self.database),
            snapshot_dir=self.folder / "snapshots",
            on_progress=self.progress.append,
            owner="test",
        )
        workshop.do(errand, job_id, (iteration, sample))


@pytest.fixture
def made(tmp_path):
    benches: list[Bench0] = []

    def make(repo: Path | None = None, **kwargs: str) -> Bench0:
        benches.append(Bench0(tmp_path, repo or projects.receipts(tmp_path / "repo"), **kwargs))
        return benches[-1]

    yield make
    for bench in benches:
        bench.database.dispose()


Made = Callable[..., Bench0]


def test_an_issue_with_an_example_ends_resolved_with_all_its_evidence(made: Made):
    bench = made()
    outcome = repair(
        bench.request,
        bench.engine([["no edit", projects.HARMLESS], [projects.BREAKS, projects.FIX]]),
    )
    assert isinstance(outcome, Patched)
    evidence = outcome.evidence
    assert evidence.resolved
    assert (evidence.fail_to_pass.passed, evidence.fail_to_pass.of) == (1, 1)
    assert (evidence.pass_to_pass.passed, evidence.pass_to_pass.of) == (2, 2)
    assert evidence.tests[0].before == "FAILED"
    assert evidence.tests[0].after == "PASSED"
    assert evidence.isolation == bench.sandbox.isolation
    assert evidence.reproduction is not None
    assert evidence.trial.startswith("1 of 1 passed alone, and failed when they were turned around")
    assert "+    return price * (100 - percent) / 100" in outcome.patch
    stages = [p.stage for p in bench.progress]
    assert stages[0] is Stage.ENVIRONMENT
    assert stages[-1] is Stage.FINAL_CHECK


def test_the_search_stops_at_the_iteration_that_resolves(made: Made):
    bench = made()
    engine = bench.engine([[projects.FIX, projects.HARMLESS]])
    outcome = repair(bench.request, engine)
    assert isinstance(outcome, Patched)
    assert outcome.evidence.iterations == 1


def test_feedback_from_the_tests_reaches_the_next_iteration(made: Made):
    bench = made()
    engine = bench.engine([[projects.HARMLESS, projects.BREAKS], [projects.FIX]])
    repair(bench.request, engine)
    prompts = engine.model.prompts
    assert "expected 180.0, got 220.0" in prompts[-1].user


def test_a_patch_that_breaks_what_worked_is_never_offered(made: Made):
    bench = made()
    outcome = repair(bench.request, bench.engine([[projects.BREAKS, projects.HARMLESS]]))
    assert isinstance(outcome, NoPatch)
    assert "none of those kept every other test" in outcome.reason
    assert outcome.candidates == 4


def test_a_patch_that_reaches_for_the_test_runner_is_refused_by_name(made: Made):
    bench = made()
    repair(bench.request, bench.engine([[projects.TAMPERS]]))
    notes = [row.note for row in bench.store.candidates(bench.job.job_id)]
    assert any("pytest" in note and note.startswith("refused") for note in notes)


LIES = """\
### receipts.py
<<<<<<< SEARCH
def total(prices):
=======
import importlib

reports = importlib.import_module("_py" + "test.reports")
original = reports.TestReport.from_item_and_call.__func__


def lie(cls, item, call):
    if item.nodeid.startswith("te" + "st_"):
        call.excinfo = None
    return original(cls, item, call)


reports.TestReport.from_item_and_call = classmethod(lie)


def total(prices):
>>>>>>> REPLACE
"""


def test_a_patch_that_fools_its_tests_is_not_offered(made: Made):
    bench = made()
    outcome = repair(bench.request, bench.engine([[LIES]]))
    assert isinstance(outcome, NoPatch)
    assert (
        "could be believed (test_evoscale_reproduction.py::test_issue[example_1] passes as well"
        in outcome.reason
    )


def test_a_winner_that_is_seen_through_does_not_end_the_search(made: Made):
    bench = made()
    outcome = repair(bench.request, bench.engine([[LIES, projects.HARMLESS], [projects.FIX]]))
    assert isinstance(outcome, Patched)
    assert "+    return price * (100 - percent) / 100" in outcome.patch
    assert (outcome.evidence.iterations, outcome.evidence.passing) == (2, 1)


def test_behind_a_winner_that_is_seen_through_the_next_best_of_its_iteration_is_taken(made: Made):
    bench = made()
    outcome = repair(bench.request, bench.engine([[LIES, projects.FIX]]))
    assert isinstance(outcome, Patched)
    assert "importlib" not in outcome.patch
    assert outcome.evidence.iterations == 1


def test_red_tests_are_the_goal_where_the_issue_has_no_example(tmp_path, made: Made):
    red = projects.TESTS + "\n\ndef test_ten_percent():\n    assert discounted(200, 10) == 180\n"
    bench = made(projects.receipts(tmp_path / "red", red), body="see the failing test")
    outcome = repair(bench.request, bench.engine([[projects.FIX]]))
    assert isinstance(outcome, Patched)
    assert outcome.evidence.resolved
    assert outcome.evidence.tests[0].test_id == "test_receipts.py::test_ten_percent"


def test_without_any_failing_test_the_honest_word_is_no_regression(made: Made):
    bench = made(body="it is dearer")
    outcome = repair(bench.request, bench.engine([[projects.FIX]]))
    assert isinstance(outcome, Patched)
    assert not outcome.evidence.resolved
    assert outcome.evidence.no_regression


def test_a_model_that_cannot_read_asks_for_an_example_instead_of_guessing(made: Made):
    bench = made(body="it is dearer")
    outcome = repair(bench.request, bench.engine([["<L0>x"]], line=True))
    assert isinstance(outcome, NoPatch)
    assert "Add an example to the issue" in outcome.reason


def test_a_line_edit_is_sampled_for_the_function_that_the_example_entered(made: Made):
    bench = made()
    outcome = repair(
        bench.request, bench.engine([["<L3>    return price * (100 - percent) / 100"]], line=True)
    )
    assert isinstance(outcome, Patched)
    assert "`discounted` in `receipts.py`" in outcome.explanation


def test_self_evolve_is_refused_for_a_model_that_was_not_trained_for_it(made: Made):
    bench = made()
    engine = bench.engine([["x"]], evolves=False, selection=Selection.UNSCORED)
    with pytest.raises(BadInputError, match="EVOSCALE_ENGINE_MODEL_EVOLVES"):
        repair(bench.request, engine)


@pytest.mark.parametrize("selection", list(Selection))
def test_every_selection_finds_the_fix(made: Made, selection):
    bench = made()
    outcome = repair(
        bench.request, bench.engine([[projects.HARMLESS], [projects.FIX]], selection=selection)
    )
    assert isinstance(outcome, Patched)


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (None, "no test was found"),
        ("def test_a():\n    assert 0\n", "none of the 1 tests passes"),
        ("import nothing_like_it\n", ""),
    ],
)
def test_a_repository_that_cannot_be_judged_is_told_so(tmp_path, made: Made, tests, said):
    bench = made(projects.receipts(tmp_path / "odd", tests))
    outcome = repair(bench.request, bench.engine([[projects.FIX]]))
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert said in outcome.reason


def test_an_environment_that_cannot_be_built_ends_with_its_log_and_a_recipe_to_paste(
    made: Made,
):
    bench = made(config="install: ['python -c \"raise SystemExit(chr(98) * 3)\"']\n")
    outcome = repair(bench.request, bench.engine([[projects.FIX]]))
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert "install command 1 failed" in outcome.reason
    assert "bbb" in outcome.log
    pasted = repo_config.parse(outcome.recipe).steps_for("")
    assert pasted.language == "python"
    assert pasted.install == repo_config.parse(bench.request.config or "").install


def test_a_request_to_stop_ends_the_search_with_a_reason(made: Made):
    bench = made()
    engine = bench.engine([[projects.HARMLESS]], stopped=lambda: len(bench.progress) > 2)
    outcome = repair(bench.request, engine)
    assert isinstance(outcome, NoPatch)
    assert "stopped on request" in outcome.reason


def test_after_a_stop_no_second_winner_is_looked_at(made: Made):
    bench = made()
    checks: list[int] = []

    def count(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        if errand is Errand.CHECK:
            checks.append(sample)
        bench.test_now(errand, job_id, iteration, sample)

    script = [[LIES, LIES.replace('"te" + "st_"', '"tes" + "t_"')]]
    engine = bench.engine(script, hand_out=count, stopped=lambda: bool(checks))
    outcome = repair(bench.request, engine)
    assert isinstance(outcome, NoPatch)
    stood = "the search was stopped on request. A patch was found that did not stand its last look"
    assert outcome.reason.startswith(stood)
    assert "when it is turned around so that it can only fail" in outcome.reason
    assert len(checks) == 1


def test_a_second_worker_goes_on_from_the_candidates_that_the_first_wrote_down(made: Made):
    bench = made()

    class KilledError(Exception):
        pass

    def die(errand: Errand, job_id: str, iteration: int, sample: int) -> None:
        if (errand, iteration, sample) == (Errand.EVALUATE, 1, 0):
            raise KilledError
        bench.test_now(errand, job_id, iteration, sample)

    script = [[projects.HARMLESS, projects.BREAKS], [projects.FIX, "none"]]
    with pytest.raises(KilledError):
        repair(bench.request, bench.engine(script, hand_out=die))
    before = len(bench.store.candidates(bench.job.job_id))
    second = bench.engine([[projects.ALSO_HARMLESS]])
    outcome = repair(bench.request, second)
    assert isinstance(outcome, Patched)
    assert before == 3
    assert len(bench.store.candidates(bench.job.job_id)) == 4
    assert second.model.prompts[0].user.startswith("# Issue")
    rows = bench.store.candidates(bench.job.job_id)
    assert [row.completion for row in rows][2] == projects.FIX, "what was sampled stays"


def test_rows_and_candidates_turn_into_each_other():
    candidate = Candidate(1, 2, "text", Patch("p"), "k", Span("a.py", "f", 1, 2), 3, 4, "note")
    assert from_row(to_row(candidate)) == candidate
