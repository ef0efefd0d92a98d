import os
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Sandbox, TestSpec, TestStatus
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.recipes import wheels
from sandbox.recipes.layers import Layer
from sandbox.recipes.steps import Steps
from sandbox.runner import run_tests
from sandbox.toolchain import which
from tests.sandbox.conftest import CALC, LIMITS, WriteRepository, settings


def prepared(sandbox: Sandbox, root: Path, command: list[str] | None = None) -> TestSpec:
    environment = images.prepare(sandbox, root, test_command=command, settings=settings())
    return TestSpec(environment.image, environment.command)


def test_an_image_is_built_once_for_one_content(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(CALC)
    first = images.prepare(sandbox, root, test_command=None, settings=settings())
    (root / ".git").mkdir()
    (root / ".git/config").write_text("not part of the content")
    second = images.prepare(sandbox, root, test_command=None, settings=settings())
    assert not second.built
    assert (first.image, first.command) == (second.image, second.command)


def test_another_content_makes_another_image(write_repository: WriteRepository) -> None:
    root = write_repository(CALC)
    before = images.tree_hash(root)
    (root / "calc/__init__.py").chmod(0o755)
    executable = images.tree_hash(root)
    (root / "link").symlink_to("calc")
    linked = images.tree_hash(root)
    assert len({before, executable, linked}) == 3


def test_special_files_and_links_out_do_no_harm(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(CALC)
    os.mkfifo(root / "fifo")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    assert run_tests(sandbox, prepared(sandbox, root), None, LIMITS).ran


def test_a_repository_without_python_is_told_so(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository({"main.go": "package main\n"})
    with pytest.raises(ImageBuildError, match="no manifest of a known language"):
        images.prepare(sandbox, root, test_command=None, settings=settings())


def test_a_repository_without_tests_has_none(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    spec = prepared(sandbox, write_repository({"a.py": "x = 1\n"}))
    report = run_tests(sandbox, spec, None, LIMITS)
    assert report.statuses == {}
    assert report.applied


def test_a_src_layout_is_importable_with_its_metadata_and_commands(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    test = (
        "import importlib.metadata, subprocess\nimport shown\n\n\n"
        "def test_metadata():\n    assert importlib.metadata.version('shown-name') == '1.5'\n\n\n"
        "def test_command():\n    assert subprocess.check_output(['shown']) == b'hello\\n'\n\n\n"
        "def test_plugin_points():\n    assert importlib.metadata.entry_points(group='shown.plugins')['a'].load()\n\n\n"
        "def test_place():\n    assert shown.__file__ == '/repo/src/shown/__init__.py'\n"
    )
    pyproject = (
        '[project]\nname = "shown-name"\nversion = "1.5"\n[project.scripts]\nshown = "shown:main"\n'
        '[project.entry-points."shown.plugins"]\na = "shown:main"\n'
    )
    files = {
        "pyproject.toml": pyproject,
        "src/shown/__init__.py": "def main():\n    print('hello')\n",
        "tests/test_shown.py": test,
    }
    report = run_tests(sandbox, prepared(sandbox, write_repository(files)), None, LIMITS)
    assert len(report.statuses) == 4
    assert set(report.statuses.values()) == {TestStatus.PASSED}, report.log_tail


def test_a_version_file_that_a_build_would_write_is_there(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "x"\ndynamic = ["version"]\n[tool.setuptools_scm]\nwrite_to = "x/_version.py"\n',
        "x/__init__.py": "from x._version import version\n",
        "test_x.py": "import x\n\n\ndef test_it():\n    assert x.version\n",
    }
    report = run_tests(sandbox, prepared(sandbox, write_repository(files)), None, LIMITS)
    assert report.statuses == {"test_x.py::test_it": TestStatus.PASSED}


def test_options_for_plugins_that_are_not_there_are_left_out(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    for addopts in ("-n auto --cov=calc --strict-markers -x", "--no-such-option"):
        spec = prepared(
            sandbox, write_repository({**CALC, "pytest.ini": f"[pytest]\naddopts = {addopts}\n"})
        )
        assert run_tests(sandbox, spec, None, LIMITS).ran


def test_a_conftest_that_cannot_be_imported_is_no_verdict(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    spec = prepared(sandbox, write_repository({**CALC, "conftest.py": "import not_there\n"}))
    report = run_tests(sandbox, spec, None, LIMITS)
    assert spec.command.runner == "pytest"
    assert not report.ran
    assert "not_there" in report.log_tail


@pytest.mark.parametrize(
    "command",
    [["pytest", "tests"], ["python", "-m", "pytest", "-v"], ["python3", "-m", "pytest", "tests"]],
)
def test_a_command_with_pytest_reports_test_by_test(
    sandbox: Sandbox, write_repository: WriteRepository, command: list[str]
) -> None:
    spec = prepared(sandbox, write_repository(CALC), command)
    report = run_tests(sandbox, spec, None, LIMITS, tests=["tests/test_calc.py::test_zero"])
    assert report.statuses["tests/test_calc.py::test_zero"] is TestStatus.PASSED


@pytest.mark.parametrize(
    "command", [["python", "-m", "unittest"], ["python", "-m", "unittest", "discover", "-v"]]
)
def test_unittest_reports_test_by_test(
    sandbox: Sandbox, write_repository: WriteRepository, command: list[str]
) -> None:
    test = (
        "import unittest\nimport calc\n\n\nclass T(unittest.TestCase):\n"
        "    def test_adds(self):\n        self.assertEqual(calc.add(1, 2), 3)\n\n"
        "    def test_zero(self):\n        self.assertEqual(calc.add(1, 0), 1)\n\n"
        "    @unittest.skip('later')\n    def test_skip(self):\n        pass\n\n"
        "    @unittest.expectedFailure\n    def test_expected(self):\n        self.fail()\n\n"
        "    @unittest.expectedFailure\n    def test_unexpected(self):\n        pass\n\n"
        "    def test_parts(self):\n        for i in range(2):\n            with self.subTest(i=i):\n                self.assertEqual(i, 0)\n"
    )
    broken = "import not_there\n"
    files = {
        "calc.py": "def add(a, b):\n    return a - b\n",
        "tests/test_c.py": test,
        "tests/test_broken.py": broken,
    }
    report = run_tests(sandbox, prepared(sandbox, write_repository(files), command), None, LIMITS)
    assert report.ran, report.log_tail
    short = {name.removeprefix("test_c."): status.value for name, status in report.statuses.items()}
    assert short.pop("unittest.loader._FailedTest.test_broken") == "ERROR"
    assert short == {
        "T.test_adds": "FAILED", "T.test_zero": "PASSED", "T.test_skip": "SKIPPED",
        "T.test_expected": "XFAIL", "T.test_unexpected": "FAILED", "T.test_parts": "FAILED",
    }  # fmt: skip
    named = run_tests(
        sandbox, prepared(sandbox, write_repository({**files, "tests/__init__.py": ""}), command), None, LIMITS,
        tests=["tests.test_c.T.test_zero"],
    )  # fmt: skip
    assert named.statuses == {"tests.test_c.T.test_zero": TestStatus.PASSED}


def test_a_build_that_fails_carries_the_end_of_its_log(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "opt/repo").mkdir(parents=True)
    with pytest.raises(ImageBuildError, match="exit code 9: the reason") as caught:
        sandbox.build("broken-build", None, tmp_path, ["sh", "-c", "echo the reason; exit 9"])
    assert caught.value.log_tail == "the reason"
    assert not sandbox.has_image("broken-build")


def test_repository_code_does_not_run_on_this_machine(
    sandbox: Sandbox, write_repository: WriteRepository, tmp_path: Path
) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n"
    files = {
        **CALC,
        "setup.py": trap,
        "conftest.py": trap,
        "calc/__init__.py": trap + CALC["calc/__init__.py"],
    }
    run_tests(sandbox, prepared(sandbox, write_repository(files)), None, LIMITS)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.network
def test_declared_wheels_are_installed_without_a_network_in_the_box(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    files = {
        "requirements.txt": "six\nno-such-distribution-anywhere-at-all\n",
        "test_six.py": "import six\n\n\ndef test_it():\n    assert six.PY3\n",
    }
    report = run_tests(sandbox, prepared(sandbox, write_repository(files)), None, LIMITS)
    if "No module named 'six'" in report.log_tail:
        pytest.skip("no package index answers here")
    assert report.statuses == {"test_six.py::test_it": TestStatus.PASSED}
    again = images.prepare(sandbox, write_repository(files), test_command=None, settings=settings())
    assert "no usable wheels for no-such-distribution-anywhere-at-all" in again.recipe


def test_without_an_index_the_tests_still_run_and_it_is_said(
    sandbox: Sandbox, write_repository: WriteRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    root = write_repository({**CALC, "requirements.txt": "never-had-by-anybody==1\n"})
    environment = images.prepare(sandbox, root, test_command=None, settings=settings())
    assert "no package index answers" in environment.recipe
    spec = TestSpec(environment.image, environment.command)
    report = run_tests(sandbox, spec, None, LIMITS)
    assert report.statuses["tests/test_calc.py::test_zero"] is TestStatus.PASSED


def test_without_an_index_the_toolchains_that_the_owners_ask_for_stay(
    sandbox: Sandbox, write_repository: WriteRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    if which("node") is None:
        pytest.skip("this machine has no node")

    def unanswered(*_: object) -> None:
        raise ImageBuildError(wheels.STEP, "no package index answers")

    monkeypatch.setattr(wheels, "download", unanswered)
    test = (
        "import subprocess\n\n\ndef test_it():\n    subprocess.check_call(['node', '--version'])\n"
    )
    root = write_repository({"requirements.txt": "never-had==1\n", "test_node.py": test})
    steps = Steps(toolchains=("javascript",))
    found = images.prepare(sandbox, root, test_command=None, settings=settings(), steps=steps)
    assert "no package index answers" in found.recipe
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert report.statuses == {"test_node.py::test_it": TestStatus.PASSED}, report.log_tail


def test_a_machine_without_room_is_not_the_repositorys_failure(
    sandbox: Sandbox,
    write_repository: WriteRepository,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    root = write_repository({**CALC, "extra.py": "room = None\n"})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not-there"))
    monkeypatch.setattr(type(sandbox), "has_image", lambda *_: False)
    with pytest.raises(SandboxUnavailableError, match="make room"):
        images.prepare(sandbox, root, test_command=None, settings=settings())


def test_a_file_in_the_way_of_a_layer_is_not_this_machines_failure(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(CALC)

    def lay(target: Path) -> None:
        (target / "opt/repo/calc").mkdir()

    with pytest.raises(ImageBuildError, match="'calc' of the repository is in the way"):
        images._ensure(sandbox, "repo-in-the-way", None, Layer("", lay, ("true",)), root)
