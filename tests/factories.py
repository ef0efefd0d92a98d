"""One place that knows every required field of our documents."""

import uuid

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from bot.inbox import Delivery
from bot.settings import BotSettings
from engine.contract import (
    Budget,
    Evidence,
    Issue,
    Patched,
    RepairJob,
    RepairRequest,
    RepositoryRef,
    SnapshotRef,
    Tally,
    TestOutcome,
    TriggerKind,
)
from engine.store import JobState, SearchTimes, StoredJob

SECRET = SecretStr("It's a Secret to Everybody")
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
COMMIT = "4f1c0c2b6f1f0a9d8e7c6b5a4938271605f4e3d2"
PATCH = """\
--- a/calc/__init__.py
+++ b/calc/__init__.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""


def make_key() -> SecretStr:
    """A fresh private key, as GitHub gives one to an app."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return SecretStr(pem.decode())


def make_settings(key: SecretStr, **changed: object) -> BotSettings:
    values: dict[str, object] = {"app_id": 7, "private_key": key, "webhook_secret": SECRET}
    return BotSettings.model_validate({**values, **changed})


def make_repository(name: str = "calc", owner: str = "ann", number: int = 1) -> RepositoryRef:
    return RepositoryRef(id=number, owner=owner, name=name)


def make_issue(**changed: object) -> Issue:
    values: dict[str, object] = {
        "number": 12,
        "title": "add() subtracts",
        "body": "`add(2, 2)` gives 0, it should give 4.",
    }
    return Issue.model_validate({**values, **changed})


def make_job(**changed: object) -> RepairJob:
    values: dict[str, object] = {
        "job_id": "0123456789abcdef0123456789abcdef",
        "delivery_id": GUID,
        "installation_id": 5,
        "repository": make_repository(),
        "issue": make_issue(),
        "trigger": TriggerKind.LABEL,
        "requested_by": "ann",
        "generation": 1,
        "budget": Budget(iterations=4, candidates_per_iteration=5),
    }
    return RepairJob.model_validate({**values, **changed})


def make_request(job: RepairJob, **changed: object) -> RepairRequest:
    values: dict[str, object] = {
        "base_commit": COMMIT,
        "base_branch": "main",
        "key": job.job_id,
        "sha256": "0" * 64,
    }
    return RepairRequest(job=job, snapshot=SnapshotRef.model_validate({**values, **changed}))


def make_evidence(**changed: object) -> Evidence:
    values: dict[str, object] = {
        "resolved": True,
        "no_regression": True,
        "fail_to_pass": Tally(passed=1, of=1),
        "pass_to_pass": Tally(passed=2, of=2),
        "tests": (
            TestOutcome(test_id="tests/test_calc.py::test_add", before="FAILED", after="PASSED"),
            TestOutcome(test_id="tests/test_calc.py::test_zero", before="PASSED", after="PASSED"),
            TestOutcome(test_id="tests/test_calc.py::test_sub", before="PASSED", after="PASSED"),
        ),
        "isolation": "docker (runc), no network",
        "image": "sha256:1234567890ab",
        "command": ("python", "-m", "pytest", "-q", "tests/test_calc.py"),
        "reproduction": "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 4\n",
        "iterations": 2,
        "candidates": 10,
        "distinct": 7,
        "passing": 3,
        "decided_by": "most tests passing, then the smallest patch",
        "model": "embedded",
        "seed": 0,
        "tokens": 12_345,
        "wall_s": 98.7,
    }
    return Evidence.model_validate({**values, **changed})


def make_patched(**changed: object) -> Patched:
    values: dict[str, object] = {
        "patch": PATCH,
        "explanation": "`add` used the wrong operator.",
        "evidence": make_evidence(),
    }
    return Patched.model_validate({**values, **changed})


def make_stored(**changed: object) -> StoredJob:
    job = changed.pop("job", None) or make_job()
    values: dict[str, object] = {
        "job": job,
        "state": JobState.QUEUED,
        "request": None,
        "outcome": None,
        "progress": None,
        "attempts": 0,
        "stop_requested": False,
        "stopped_by": None,
        "times": SearchTimes(),
        "url": None,
        "branch": None,
        "created_at": 1_800_000_000.0,
        "updated_at": 1_800_000_000.0,
    }
    return StoredJob(**{**values, **changed})


def make_delivery(body: bytes = b"{}", event: str = "issues", **changed: object) -> Delivery:
    values: dict[str, object] = {"delivery_id": str(uuid.uuid4()), "event": event, "body": body}
    return Delivery(**{**values, **changed})
