"""The run pages and the rest of the web process, over ASGI and a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bot import main
from engine.contract import Failed, NoPatch, Progress, RepairOutcome, Stage
from engine.store import CandidateState, JobStore, StoredCandidate
from tests.factories import (
    PATCH,
    make_evidence,
    make_issue,
    make_job,
    make_patched,
    make_request,
    make_settings,
)

HOSTILE = "<script>alert(1)</script>\"'</pre>"


@pytest.fixture
def store(database: sa.Engine) -> JobStore:
    return JobStore(database)


@pytest.fixture
def web(database: sa.Engine, key: SecretStr) -> Iterator[TestClient]:
    made = make_settings(key, database_url=str(database.url), list_jobs=True)
    with TestClient(main.build(made), follow_redirects=False) as client:
        yield client


def done(store: JobStore, outcome: RepairOutcome, url: str | None = None) -> str:
    job = make_job()
    store.add(job, "1")
    store.request(job.job_id, make_request(job))
    store.finish(job.job_id, outcome)
    store.published(job.job_id, url, "evoscale/issue-12")
    return job.job_id


def candidate(iteration: int, sample: int, **changed: object) -> StoredCandidate:
    values: dict[str, object] = {
        "iteration": iteration,
        "sample": sample,
        "completion": "x",
        "patch": PATCH,
        "tokens_in": 1,
        "tokens_out": 1,
        "state": CandidateState.TESTED,
        "report": None,
        "note": "2 of 3 tests pass",
        "key": f"{iteration}-{sample}",
        "focus": "",
    }
    return StoredCandidate(**{**values, **changed})


def test_a_finished_job_shows_its_patch_evidence_and_candidates(
    web: TestClient, store: JobStore
) -> None:
    job_id = done(store, make_patched(), "https://github.example/ann/calc/pull/13")
    store.add_candidate(job_id, candidate(0, 0))
    store.add_candidate(job_id, candidate(1, 0, patch=None, note="no patch"))
    page = web.get(f"/jobs/{job_id}").text
    for part in (
        "https://github.example/ann/calc/pull/13",
        "Resolved",
        "tests/test_calc.py::test_add",
        '<span class="added">+    return a + b</span>',
        "Iteration 1",
        "Iteration 2",
        "2 of 3 tests pass",
        "docker (runc), no network",
    ):
        assert part in page
    assert "http-equiv" not in page


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (make_patched(evidence=make_evidence(resolved=False)), "patch, unproven"),
        (NoPatch(reason="Nothing kept the tests."), "no patch"),
        (Failed(reason="The repository is empty.", retryable=False), "could not find out"),
    ],
)
def test_every_end_has_its_word(
    web: TestClient, store: JobStore, outcome: RepairOutcome, word: str
) -> None:
    job_id = done(store, outcome)
    assert word in web.get(f"/jobs/{job_id}").text
    assert word in web.get("/jobs").text


def test_a_running_job_looks_again_by_itself(web: TestClient, store: JobStore) -> None:
    job = make_job()
    store.add(job, "1")
    store.request(job.job_id, make_request(job))
    for stage in Stage:
        store.report(Progress(job_id=job.job_id, stage=stage, iteration=1, candidates=7))
        page = web.get(f"/jobs/{job.job_id}").text
        assert 'http-equiv="refresh"' in page
        assert stage.value.replace("_", " ") in page
    store.request_stop(job.job_id, "ann")
    assert "stopping" in web.get(f"/jobs/{job.job_id}").text


def test_whatever_people_and_models_wrote_is_escaped(web: TestClient, store: JobStore) -> None:
    job = make_job(
        issue=make_issue(title=HOSTILE, body=HOSTILE), requested_by=HOSTILE, feedback=HOSTILE
    )
    store.add(job, "1")
    store.request(job.job_id, make_request(job))
    evidence = make_evidence(isolation=HOSTILE, reproduction=HOSTILE)
    store.finish(job.job_id, make_patched(patch=HOSTILE, explanation=HOSTILE, evidence=evidence))
    store.published(job.job_id, None, HOSTILE)
    store.add_candidate(job.job_id, candidate(0, 0, patch=HOSTILE, note=HOSTILE))
    for address in (f"/jobs/{job.job_id}", "/jobs"):
        page = web.get(address).text
        assert "<script" not in page
        assert "alert(1)" in page


def test_pages_allow_no_script_and_are_kept_nowhere(web: TestClient) -> None:
    headers = web.get("/jobs").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("job_id", ["unknown", "..%2f..%2fetc", "x" * 100, "a b", "%00"])
def test_an_unknown_job_is_404(web: TestClient, job_id: str) -> None:
    assert web.get(f"/jobs/{job_id}").status_code == 404


def test_the_list_is_there_only_where_the_operator_says_so(
    web: TestClient, database: sa.Engine, key: SecretStr, store: JobStore
) -> None:
    job_id = done(store, make_patched())
    assert web.get("/").headers["location"] == "/jobs"
    assert "add() subtracts" in web.get("/jobs").text
    private = main.build(make_settings(key, database_url=str(database.url)))
    with TestClient(private, follow_redirects=False) as client:
        assert client.get("/jobs").status_code == 404
        assert client.get("/").status_code == 200
        assert client.get(f"/jobs/{job_id}").status_code == 200


def test_an_empty_list_says_how_to_begin(web: TestClient) -> None:
    assert "/evoscale" in web.get("/jobs").text


def test_health_and_readiness(web: TestClient, database: sa.Engine) -> None:
    assert web.get("/healthz").status_code == 200
    assert web.get("/readyz").status_code == 200
    with database.begin() as connection:
        connection.execute(sa.text("DROP TABLE deliveries"))
    assert web.get("/healthz").status_code == 200
    assert web.get("/readyz").status_code == 503


def test_the_web_process_starts_from_the_environment(
    key: SecretStr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVOSCALE_BOT_APP_ID", "7")
    monkeypatch.setenv("EVOSCALE_BOT_PRIVATE_KEY", key.get_secret_value())
    monkeypatch.setenv("EVOSCALE_BOT_WEBHOOK_SECRET", "a secret of some length")
    monkeypatch.setenv("EVOSCALE_BOT_DATABASE_URL", f"sqlite:///{tmp_path}/new.sqlite3")
    with TestClient(main.app()) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/docs").status_code == 404
