import threading
import time

import pytest
import sqlalchemy as sa

from engine import database
from engine import store as store_module
from engine.contract import (
    Failed,
    Issue,
    NoPatch,
    Progress,
    RepairJob,
    RepairRequest,
    RepositoryRef,
    SnapshotRef,
    Stage,
    TriggerKind,
)
from engine.store import (
    CandidateState,
    JobState,
    JobStore,
    SearchTimes,
    StoredCandidate,
    connect,
    migrate,
)


def job(job_id="j1", number=7) -> RepairJob:
    return RepairJob(
        job_id=job_id,
        delivery_id="d",
        installation_id=1,
        repository=RepositoryRef(id=10, owner="octo", name="demo"),
        issue=Issue(number=number, title="t", body="b"),
        trigger=TriggerKind.LABEL,
        requested_by="ada",
        generation=1,
    )


REF = SnapshotRef(base_commit="c", base_branch="main", key="k", sha256="s")


@pytest.fixture
def engine(database_url):
    made = connect(database_url)
    migrate(made)
    yield made
    made.dispose()


@pytest.fixture
def store(engine):
    return JobStore(engine)


def candidate(sample=0, patch="diff") -> StoredCandidate:
    state = CandidateState.SAMPLED if patch else CandidateState.TESTED
    return StoredCandidate(0, sample, "text", patch, "key", None, 3, 4, state, None, "")


def test_the_migration_makes_exactly_the_tables_that_the_code_reads(engine):
    found = sa.MetaData()
    found.reflect(engine)
    for table in database.metadata.sorted_tables:
        assert {c.name for c in found.tables[table.name].columns} == {c.name for c in table.columns}


def test_migrating_twice_and_from_several_threads_is_harmless(database_url):
    engines = [connect(database_url) for _ in range(4)]
    threads = [threading.Thread(target=migrate, args=(e,)) for e in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert JobStore(engines[0]).add(job(), "k")
    for each in engines:
        each.dispose()


def test_one_key_makes_one_job(store):
    assert store.add(job(), "10:7:1")
    assert not store.add(job("j2"), "10:7:1")
    assert store.by_key("10:7:1").job.job_id == "j1"


def test_a_job_walks_through_its_states_and_never_back(store):
    store.add(job(), "k")
    assert store.get("j1").state is JobState.QUEUED
    assert store.request("j1", RepairRequest(job=job(), snapshot=REF))
    assert not store.request("j1", RepairRequest(job=job(), snapshot=REF))
    assert store.finish("j1", NoPatch(reason="none"))
    assert not store.finish("j1", Failed(reason="late", retryable=False))
    assert store.get("j1").outcome == NoPatch(reason="none")
    assert store.published("j1", "http://pr", "evoscale/issue-7")
    done = store.get("j1")
    assert (done.state, done.url) == (JobState.DONE, "http://pr")
    assert store.by_branch(10, "evoscale/issue-7").job.job_id == "j1"
    assert store.open_jobs() == []


def test_one_of_many_workers_gets_the_lease(store):
    store.add(job(), "k")
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(store.lease("j1", f"w{n}", 60)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(True) == 1
    assert store.get("j1").attempts == 1


def test_a_lease_that_ran_out_is_taken_and_the_late_owner_learns_it(store):
    store.add(job(), "k")
    assert store.lease("j1", "dead", -1)
    assert [j.job.job_id for j in store.open_jobs()] == ["j1"]
    assert store.lease("j1", "next", 60)
    assert not store.renew("j1", "dead", 60)
    assert store.renew("j1", "next", 60)
    assert store.open_jobs() == []
    store.release("j1", "next")
    assert store.lease("j1", "third", 60)


def test_candidates_are_written_once_leased_once_and_tested_once(store):
    store.add(job(), "k")
    assert store.add_candidate("j1", candidate())
    assert not store.add_candidate("j1", candidate())
    assert store.lease_candidate("j1", 0, 0, "a", 60) is not None
    assert store.lease_candidate("j1", 0, 0, "b", 60) is None
    store.tested("j1", 0, 0, "{}", "fixes 1 of 1")
    store.tested("j1", 0, 0, '{"late": 1}', "late")
    (row,) = store.candidates("j1")
    assert (row.state, row.report, row.note) == (CandidateState.TESTED, "{}", "fixes 1 of 1")


def test_the_first_checkpoint_stays(store):
    store.add(job(), "k")
    store.checkpoint("j1", "baseline", "one")
    store.checkpoint("j1", "baseline", "two")
    assert store.checkpointed("j1", "baseline") == "one"
    assert store.checkpointed("j1", "other") is None


def test_progress_and_stop_requests_are_kept(store):
    store.add(job(), "k")
    store.report(Progress(job_id="j1", stage=Stage.SEARCH, iteration=2))
    store.request_stop("j1", "ada")
    store.request_stop("j1", "bob")
    stored = store.get("j1")
    assert stored.progress.iteration == 2
    assert stored.stop_requested
    assert stored.stopped_by == "ada"


def test_the_time_that_was_spent_outlives_the_worker_that_spent_it(store):
    store.add(job(), "k")
    assert store.lease("j1", "one", 60)
    assert store.renew("j1", "one", 60, SearchTimes(12.5, 3.5))
    assert store.get("j1").times == SearchTimes(12.5, 3.5)
    assert store.renew("j1", "one", 60)
    assert not store.renew("j1", "two", 60, SearchTimes(99.0, 99.0))
    assert store.get("j1").times == SearchTimes(12.5, 3.5)


def test_the_newest_job_of_an_issue_is_the_latest(store):
    store.add(job("old"), "k1")
    while store.get("old").created_at == time.time():
        continue
    store.add(job("new"), "k2")
    assert store.latest(10, 7).job.job_id == "new"
    assert [j.job.job_id for j in store.recent()] == ["new", "old"]
    assert store.latest(10, 8) is None
    assert store_module.OUTCOME is not None


def test_whatever_a_model_or_a_test_writes_can_be_kept(store):
    store.add(job(), "k")
    odd = "a\x00b \ud800 \U0001f600 " + "x" * 100_000
    assert store.add_candidate("j1", candidate(patch=odd))
    store.tested("j1", 0, 0, odd, odd)
    store.checkpoint("j1", "baseline", odd)
    assert store.finish("j1", Failed(reason=odd.replace("\ud800", ""), retryable=False))
    assert store.published("j1", odd, None)
    (row,) = store.candidates("j1")
    assert row.note.endswith("x" * 100_000)
    assert "\U0001f600" in store.checkpointed("j1", "baseline")


def test_many_workers_take_each_candidate_once(store):
    store.add(job(), "k")
    for sample in range(12):
        store.add_candidate("j1", candidate(sample))
    got: list[int] = []

    def work(owner: str) -> None:
        taken = (store.lease_candidate("j1", 0, sample, owner, 60) for sample in range(12))
        got.extend(each.sample for each in taken if each is not None)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(12))
