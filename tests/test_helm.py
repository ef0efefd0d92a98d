"""The chart lints, templates, and what it makes is valid Kubernetes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
GIVEN = [
    "--set",
    "github.appId=1",
    "--set",
    "github.privateKey=k",
    "--set",
    "github.webhookSecret=s",
    "--set",
    "database.url=postgresql://x",
    "--set",
    "broker.url=redis://x",
    "--set",
    "sandboxWorker.dockerGroup=994",
]
ALL_ON = [
    "--set",
    "ingress.enabled=true",
    "--set",
    "ingress.host=e.example.com",
    "--set",
    "sandboxWorker.autoscaling.enabled=true",
]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "helm", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def documents() -> list[dict]:
    made = helm("template", "demo", "helm", *GIVEN, *ALL_ON)
    assert made.returncode == 0, made.stderr
    return [d for d in yaml.safe_load_all(made.stdout) if d]


def test_the_chart_lints():
    assert helm("lint", "helm", *GIVEN).returncode == 0


def test_everything_it_makes_is_valid(tmp_path, documents):
    path = tmp_path / "chart.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    checked = subprocess.run(
        [BIN / "kubernetes-validate", "--strict", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_without_a_secret_it_says_which_value_is_missing():
    made = helm("template", "demo", "helm", *GIVEN[:2], *GIVEN[6:])
    assert made.returncode != 0
    assert "github.privateKey or github.existingSecret" in made.stderr


def containers(documents: list[dict], component: str) -> list[dict]:
    for document in documents:
        labels = document["metadata"].get("labels", {})
        if document["kind"] == "Deployment" and document["metadata"]["name"] == f"demo-{component}":
            assert labels["app.kubernetes.io/name"] == "evoscale"
            return document["spec"]["template"]["spec"]["containers"]
    raise AssertionError(component)


def test_the_workers_that_test_join_the_group_of_the_socket_and_no_other_does(documents):
    groups = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"]["securityContext"]
        for d in documents
        if d["kind"] == "Deployment" and "vllm" not in d["metadata"]["name"]
    }
    joined = {name: each.get("supplementalGroups") for name, each in groups.items()}
    assert [(name, each) for name, each in joined.items() if each] == [("demo-sandbox", [994])]


def test_without_the_group_of_the_socket_it_says_how_to_find_it():
    made = helm("template", "demo", "helm", *GIVEN[:-2])
    assert made.returncode != 0
    assert "stat -c %g" in made.stderr


@pytest.mark.parametrize("component", ["engine", "sandbox"])
def test_the_engine_gets_no_github_credential(documents, component):
    (container,) = containers(documents, component)
    assert not [e for e in container["env"] if e["name"].startswith("EVOSCALE_BOT")]
    assert not [m for m in container["volumeMounts"] if m["name"] == "secrets"]


def test_only_the_workers_that_test_get_the_engines_socket_and_they_get_no_model(documents):
    holders = [
        d["metadata"]["name"]
        for d in documents
        if d["kind"] == "Deployment" and "docker.sock" in yaml.safe_dump(d)
    ]
    assert holders == ["demo-sandbox"]
    (container,) = containers(documents, "sandbox")
    assert not [e for e in container["env"] if "MODEL" in e["name"]]


def test_only_the_engine_reaches_the_model_server(documents):
    ports = {
        d["metadata"]["name"]: [p["port"] for rule in d["spec"]["egress"] for p in rule["ports"]]
        for d in documents
        if d["kind"] == "NetworkPolicy"
    }
    assert [name for name, reached in ports.items() if 8000 in reached] == ["demo-engine"]
    assert 443 not in ports["demo-engine"]


def test_in_the_compose_file_only_the_workers_that_test_get_the_engines_socket():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    holders = [name for name, s in services.items() if "docker.sock" in yaml.safe_dump(s)]
    assert holders == ["sandbox"]
    assert services["sandbox"]["command"][:2] == ["worker", "sandbox"]
    assert services["engine"]["command"][:2] == ["worker", "gpu"]
    assert not [name for name in services["sandbox"]["environment"] if "MODEL" in name]
    assert "secrets" not in services["sandbox"]


def test_only_the_bots_worker_and_scheduler_hold_the_private_key(documents):
    holders = [
        d["metadata"]["name"]
        for d in documents
        if d["kind"] == "Deployment" and "PRIVATE_KEY" in yaml.safe_dump(d)
    ]
    assert sorted(holders) == ["demo-beat", "demo-bot-worker"]


@pytest.mark.parametrize("component", ["web", "bot-worker", "beat", "engine", "sandbox"])
def test_our_containers_run_with_few_rights(documents, component):
    (container,) = containers(documents, component)
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
