"""The image that the sandbox workers run has every program that recipes take from their machine."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sandbox.recipes import machine
from sandbox.toolchain import which
from tests import conftest
from tests.test_helm import GIVEN, containers, helm

ROOT = Path(__file__).parent.parent
ADVICE = re.compile(r"\(Debian: '([^'.]+)'\)")
JAVA_TOOLS = ("maven", "gradle")
"""What `{tool}` of Java's advice stands for."""


def advised() -> set[str]:
    """The packages that recipes name where a program is missing."""
    texts = [path.read_text() for path in (ROOT / "sandbox" / "recipes").glob("*.py")]
    named = {word for text in texts for found in ADVICE.findall(text) for word in found.split()}
    assert {"nodejs", "golang-go", "cargo", "default-jdk-headless", "{tool}"} <= named
    return named - {"{tool}"} | set(JAVA_TOOLS)


def stages() -> dict[str, str]:
    """The text of each stage of the Dockerfile by its name, which is empty for the last."""
    text = (ROOT / "Dockerfile").read_text()
    parts = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    heads = [part.partition("\n")[0].partition(" AS ") for part in parts]
    return {name: part for (_, _, name), part in zip(heads, parts, strict=True)}


def installed(stage: str) -> set[str]:
    """The packages of a stage's one `apt-get install`."""
    (found,) = re.findall(r"apt-get install ([^&]+)&&", stage)
    return {word for word in found.replace("\\\n", " ").split() if not word.startswith("-")}


def test_the_workers_image_has_what_every_recipe_asks_for_and_the_others_have_none_of_it():
    found = stages()
    assert advised() <= installed(found["sandbox"])
    assert found["sandbox"].startswith("app AS sandbox\n")
    assert not installed(found["app"]) & advised()


def test_continuous_integration_installs_what_every_recipe_asks_for_and_skips_none():
    script = (ROOT / ".ci" / "run").read_text()
    missing = {
        word for words in re.findall(r"missing\+=\(([^)]+)\)", script) for word in words.split()
    }
    assert advised() <= missing
    java = {name for name in missing if name.endswith("-java") or name.startswith("junit")}
    assert java <= installed(stages()["sandbox"])
    tests = [line for line in script.splitlines() if line.strip().startswith("make test")]
    assert tests
    assert all("--every-toolchain" in line for line in tests)


def test_a_missing_language_ends_such_a_run_before_it_begins(monkeypatch):
    monkeypatch.setattr(machine, "which", lambda name: None if name == "go" else which(name))
    asked = SimpleNamespace(getoption=lambda name: name == "--every-toolchain")
    with pytest.raises(pytest.UsageError, match="this machine has no 'go'; install Go"):
        conftest.pytest_configure(asked)
    conftest.pytest_configure(SimpleNamespace(getoption=lambda _: False))


def test_without_a_target_the_image_is_the_small_one():
    assert list(stages()) == ["app", "sandbox", ""]
    assert stages()[""].strip() == "app"


def test_the_compose_file_gives_the_sandbox_worker_its_image_and_no_other():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    targets = {name: s["build"]["target"] for name, s in services.items() if "build" in s}
    assert {name for name, target in targets.items() if target == "sandbox"} == {"sandbox"}
    assert set(targets.values()) == {"app", "sandbox"}


def test_the_chart_gives_the_sandbox_workers_their_image_and_no_other():
    for options, wanted in (
        ((), "evoscale:0.1.0-sandbox"),
        (("--set", "image.tag=2"), "evoscale:2-sandbox"),
        (("--set", "sandboxWorker.image=own/worker:3"), "own/worker:3"),
    ):
        made = helm("template", "demo", "helm", *GIVEN, *options)
        assert made.returncode == 0, made.stderr
        documents = [each for each in yaml.safe_load_all(made.stdout) if each]
        (worker,) = containers(documents, "sandbox")
        assert worker["image"] == wanted
        for component in ("web", "bot-worker", "beat", "engine"):
            (other,) = containers(documents, component)
            assert other["image"] in {"evoscale:0.1.0", "evoscale:2"}
