"""What is sent into boxes runs from Python 3.7 on: it is compiled for it, and run by what is here."""

import ast
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from docker.api.client import APIClient

from sandbox.contract import Patch, Sandbox, TestSpec, TestStatus
from sandbox.docker import DockerSandbox
from sandbox.docker.base import base_image
from sandbox.docker.engine import Engine
from sandbox.images import prepare
from sandbox.recipes import python_found
from sandbox.recipes.python import unittest_command
from sandbox.runner import run_tests
from sandbox.session import warden_argv
from tests.sandbox.conftest import LIMITS, WriteRepository, opened, settings
from tests.sandbox.python_registry import push_python, registry

SANDBOX = Path(__file__).parents[2] / "sandbox"
OLDEST = (3, 7)
SENT = (
    "lay.py", "planted/canary_plugin.py", "planted/canary_go.py", "planted/canary_cargo.py",
    "planted/canary_tests.py", "planted/seal.py", "planted/files_holding.py", "planted/impact_plugin.py", "recipes/build_env.py", "recipes/build_repo.py",
    "recipes/in_folder.py", "recipes/run_reported.py", "recipes/run_unittest.py",
)  # fmt: skip


@pytest.mark.parametrize("name", ["warden", *SENT])
def test_a_program_for_boxes_has_the_grammar_of_the_oldest_python(name: str) -> None:
    text = warden_argv({})[4]
    text = text if name == "warden" else (SANDBOX / name).read_text()
    tree = ast.parse(text, feature_version=OLDEST)
    annotated = any(isinstance(node, ast.arg) and node.annotation for node in ast.walk(tree))
    lazy = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    assert lazy or not annotated, "annotations would be evaluated, and be errors there"


OLD = {
    "setup.py": (
        "from setuptools import setup\n"
        'setup(name="old", python_requires=">=3.7,<3.{end}", install_requires=["six"])\n'
    ),
    "old.py": "def half(number):\n    return number / 2\n",
    "test_old.py": (
        "import ctypes, sqlite3, ssl, subprocess, sys, unittest\n\nimport six\n\nfrom old import half\n\n\n"
        "def test_half():\n    assert half(3) == 1.5\n\n\n"
        "def test_python():\n    assert sys.version_info[:2] == (3, {end} - 1)\n\n\n"
        "class TestChild(unittest.TestCase):\n    def test_child(self):\n"
        '        said = subprocess.check_output([sys.executable, "-c", "print(1)"], env={{}})\n'
        '        self.assertEqual(said, b"1\\n")\n'
    ),
}
TESTS = ("test_old.py::test_half", "test_old.py::test_python", "test_old.py::TestChild::test_child")
CHANGE = Patch(
    "--- a/old.py\n+++ b/old.py\n@@ -1,2 +1,2 @@\n def half(number):\n"
    "-    return number / 2\n+    return number // 2\n"
)
OLD_MINORS = (7, 8, 9)


def old_repository(write_repository: WriteRepository, minor: int) -> Path:
    return write_repository({n: text.format(end=minor + 1) for n, text in OLD.items()})


def installed(minor: int) -> None:
    if python_found.installed(f"3.{minor}") is None:
        pytest.skip(f"no Python 3.{minor} is installed on this machine")


def remove_above(client: APIClient, name: str) -> None:
    """Remove an image and what was built on it: the next run's has another id."""
    found = client.images()
    above = {each["Id"] for each in found for tag in each["RepoTags"] or () if name in tag}
    for _ in range(3):
        above |= {each["Id"] for each in found if each["ParentId"] in above}
    for each in sorted((i for i in found if i["Id"] in above), key=lambda i: -i["Created"]):
        for tag in each["RepoTags"]:
            client.remove_image(tag)


@pytest.mark.network
@pytest.mark.parametrize("minor", OLD_MINORS)
def test_an_old_repository_is_tested_by_an_old_python_of_this_machine(
    sandbox: Sandbox, write_repository: WriteRepository, minor: int
) -> None:
    installed(minor)
    checkout = old_repository(write_repository, minor)
    made = prepare(sandbox, checkout, test_command=None, settings=settings(python_image=""))
    assert f"of this machine: setup.py asks for Python <3.{minor + 1},>=3.7" in made.recipe
    spec = TestSpec(made.image, made.command)
    report = run_tests(sandbox, spec, None, LIMITS)
    assert dict(report.statuses) == dict.fromkeys(TESTS, TestStatus.PASSED), report.log_tail
    broken = run_tests(sandbox, spec, CHANGE, LIMITS)
    assert broken.statuses[TESTS[0]] is TestStatus.FAILED
    by_unittest = replace(spec, command=unittest_command("old"))
    assert run_tests(sandbox, by_unittest, None, LIMITS).ran


def test_where_no_wheels_can_be_had_for_it_the_machines_own_python_is_taken(
    sandbox: Sandbox, write_repository: WriteRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(8)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    checkout = old_repository(write_repository, 8)
    (checkout / "index").write_text("none")
    (checkout / "setup.py").write_text((checkout / "setup.py").read_text().replace("six", "six<99"))
    tests = checkout / "test_old.py"
    tests.write_text(tests.read_text().replace("import six\n", ""))
    made = prepare(sandbox, checkout, test_command=None, settings=settings(python_image=""))
    assert "it cannot be used (no package index answers" in made.recipe
    report = run_tests(sandbox, TestSpec(made.image, made.command), None, LIMITS)
    assert dict(report.statuses) == {
        **dict.fromkeys(TESTS, TestStatus.PASSED),
        "test_old.py::test_python": TestStatus.FAILED,  # it is not 3.8 that runs
    }, report.log_tail


@pytest.mark.docker
@pytest.mark.network
def test_an_old_repository_is_tested_in_an_image_of_a_registry(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    opened("docker")
    base = base_image(Engine("runc"), "toolchain", settings().cache_dir)
    with registry(tmp_path) as address, closing(APIClient()) as client:
        own = settings(python_image=f"{address}/python:{{version}}-slim")
        image = own.python_image.format(version="3.8")
        push_python(client, base, "3.8", image)
        sandbox = DockerSandbox(own)
        assert sandbox.python("3.7") is None, "the registry has none"
        asked = (tmp_path / "log").read_text().count("/manifests/3.7-slim")
        assert asked, "it was asked"
        assert sandbox.python("3.7") is None
        assert (tmp_path / "log").read_text().count("/manifests/3.7-slim") == asked, "and once"
        checkout = old_repository(write_repository, 8)
        made = prepare(sandbox, checkout, test_command=None, settings=own)
        digest = client.inspect_image(image)["Id"].removeprefix("sha256:")[:16]
        client.remove_image(image)
        said = f"Python 3.8 of the image python-3.8-{digest}: setup.py asks for Python <3.9,>=3.7"
        assert said in made.recipe, made.recipe
        report = run_tests(sandbox, TestSpec(made.image, made.command), None, LIMITS)
        assert dict(report.statuses) == dict.fromkeys(TESTS, TestStatus.PASSED), report.log_tail
        remove_above(client, f"python-3.8-{digest}")
    assert DockerSandbox(own).python("3.8") is None, "the registry has ended"


@pytest.mark.docker
def test_an_image_whose_python_is_another_than_its_name_says_is_not_used(
    write_repository: WriteRepository,
) -> None:
    opened("docker")
    own = settings(python_image="evoscale-test/python:{version}-slim")
    with closing(APIClient()) as client:
        base = base_image(Engine("runc"), "toolchain", own.cache_dir)
        client.tag(base, "evoscale-test/python", "3.8-slim")
        try:
            checkout = old_repository(write_repository, 8)
            made = prepare(DockerSandbox(own), checkout, test_command=None, settings=own)
        finally:
            client.remove_image("evoscale-test/python:3.8-slim")
            for tag in client.inspect_image(base)["RepoTags"]:
                if "/python-3.8-" in tag:
                    client.remove_image(tag)
    assert "it cannot be used" in made.recipe
    assert "it holds Python 3." in made.recipe
