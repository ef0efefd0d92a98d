"""What a repository's owners set in place of what a recipe finds, and how a recipe is told."""

import re
from pathlib import Path

import pytest

from engine.repo_config import parse
from sandbox import images
from sandbox.contract import Limits, Sandbox, TestSpec, TestStatus
from sandbox.errors import ImageBuildError
from sandbox.recipes import RECIPES, language_of
from sandbox.recipes.owned import in_folder, reporting_as_told
from sandbox.recipes.steps import Steps
from sandbox.recipes.telling import LINE_CHARS, MOST_LINES, telling
from sandbox.runner import run_tests
from sandbox.settings import MIB
from tests.sandbox.conftest import WriteRepository, opened, settings

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
LIMITS = Limits(wall_clock_s=120.0, memory_bytes=1024 * MIB)
PYTEST = "import unittest\nfrom thing import one\n\n\nclass TestOne(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(one(), 1)\n"
MANIFESTS = {
    "python": {
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["six>=1", "attrs"]\n'
        '[tool.pytest.ini_options]\naddopts = "-ra --cov=x -x --strict-markers"\n',
        "x.py": "",
    },
    "django": {"manage.py": "import django\n", "requirements.txt": "Django>=4\n"},
    "odd": {"setup.py": "from setuptools import setup\nsetup(name='x')\n", "test.py": ""},
    "mocha": {
        "package.json": '{"scripts": {"pretest": "tsc -p .", "test": "NODE_ENV=test mocha --exit \'test/*.js\'"},'
        ' "main": "dist/x.js", "devDependencies": {"mocha": "^10.0.0", "@types/node": "*"}}'
    },
    "tape": {
        "package.json": '{"scripts": {"test": "tape \'test/**/*.js\'"}, "devDependencies": {"tape": "^5"}}'
    },
    "program": {
        "package.json": '{"scripts": {"test": "node test.js"}, "devDependencies": {"tape": "^5"}}'
    },
    "borp": {
        "package.json": '{"scripts": {"test": "borp --coverage"}, "devDependencies": {"borp": "^0.1"}}'
    },
    "jest": {
        "package.json": '{"scripts": {"test": "jest --coverage src"}, "devDependencies": {"jest": "^29"}}'
    },
    "go": {"go.mod": "module m\n\nrequire example.org/x v1.2.3\n"},
    "rust": {"Cargo.toml": '[package]\nname = "x"\n'},
    "gradle": {"build.gradle": "apply plugin: 'java'\n"},
    "maven": {"pom.xml": "<project/>"},
}


@pytest.mark.parametrize("kind", sorted(MANIFESTS))
def test_the_recipe_that_was_tried_can_be_pasted_and_gives_the_same(
    write_repository: WriteRepository, kind: str
) -> None:
    root = write_repository(MANIFESTS[kind])
    text = images.tried(root, Steps())
    pasted = parse(text).steps_for("")
    language = language_of(root)
    assert pasted.language == language
    recipe = RECIPES[pasted.language]
    assert recipe.dependencies(root, pasted.packages).key == recipe.dependencies(root, None).key
    found, again = recipe.commands(root, None)[0], recipe.commands(root, pasted.test_argv)[0]
    assert (again.runner, again.argv) == (found.runner, found.argv)
    assert images.tried(root, pasted) == text


def test_a_build_that_fails_carries_the_recipe_with_what_the_owners_set(
    write_repository: WriteRepository,
) -> None:
    root = write_repository({"web/x.py": "", "web/requirements.txt": "six\n"})
    steps = parse(
        "projects:\n  web:\n    install: ['python -c \"raise SystemExit(3)\"']\n"
    ).steps_for("")
    with pytest.raises(ImageBuildError, match="install command 1 failed") as failed:
        images.prepare(
            opened("bubblewrap"), root, test_command=None, settings=settings(), steps=steps
        )
    pasted = parse(failed.value.tried).steps_for("")
    assert (pasted.path, pasted.install, pasted.packages) == ("web", steps.install, ("six",))


def test_a_repository_of_several_projects_is_told_to_name_them(
    write_repository: WriteRepository,
) -> None:
    root = write_repository({"api/go.mod": "module m\n", "libs/web/package.json": '{"name": "x"}'})
    with pytest.raises(ImageBuildError, match="api, libs/web: name them under `projects`") as said:
        images.prepare(opened("bubblewrap"), root, test_command=None, settings=settings())
    assert set(parse(said.value.tried).projects) == {"api", "libs/web"}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (Steps(path="gone"), "no folder 'gone'"),
        (Steps(path="out"), "no folder 'out'"),
        (Steps(language="cobol"), "no recipe for 'cobol'"),
        (Steps(toolchains=("cobol",)), "no recipe for 'cobol'"),
        (Steps(packages=("six @ https://example.org/six.whl",)), "no requirement"),
        (Steps(packages=("--index-url=https://example.org",)), "no requirement"),
        (Steps(language="javascript", packages=("six@git://example.org/x",)), "no package"),
        (Steps(language="go", packages=("example.org/x",)), "no module with a version"),
        (Steps(language="java", packages=("x",)), "means nothing for java"),
    ],
)
def test_steps_that_make_no_sense_are_refused_with_a_sentence(
    write_repository: WriteRepository, tmp_path: Path, steps: Steps, said: str
) -> None:
    root = write_repository({"x.py": "", "package.json": "{}", "setup.py": ""})
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(ImageBuildError, match=re.escape(said)) as refused:
        images.prepare(
            opened("bubblewrap"), root, test_command=None, settings=settings(), steps=steps
        )
    assert refused.value.tried


def test_a_project_in_a_folder_is_built_and_tested_there(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    root = write_repository(
        {
            "README.md": "",
            "back/requirements.txt": "",
            "back/src/thing.py": "def one():\n    return open('one.txt').read() == '1' and 1\n",
            "back/one.txt": "1",
            "back/tests/test_one.py": PYTEST,
            "front/test/test_other.py": "def test_other():\n    assert False\n",
        }
    )
    found = images.prepare(
        sandbox, root, test_command=None, settings=settings(), steps=Steps(path="back")
    )
    spec = TestSpec(found.image, found.command)
    wanted = "back/tests/test_one.py::TestOne::test_one"
    report = run_tests(sandbox, spec, None, LIMITS)
    assert dict(report.statuses) == {wanted: TestStatus.PASSED}, report.log_tail
    alone = run_tests(sandbox, spec, None, LIMITS, tests=(wanted,))
    assert dict(alone.statuses) == {wanted: TestStatus.PASSED}, alone.log_tail


def test_unittest_in_a_folder_runs_with_canaries_too(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    files = {"back/thing.py": "def one():\n    return 1\n", "back/tests/test_one.py": PYTEST}
    steps = Steps(path="back", language="python", test_command="python -m unittest")
    found = images.prepare(
        sandbox, write_repository(files), test_command=None, settings=settings(), steps=steps
    )
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert report.ran, report.log_tail
    assert dict(report.statuses) == {"test_one.TestOne.test_one": TestStatus.PASSED}


def test_install_commands_and_a_report_of_the_owners_are_used(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    program = (
        "import pathlib\nassert pathlib.Path('made.txt').read_text() == 'a b'\n"
        'pathlib.Path("out.xml").write_text(\'<testsuite name="s"><testcase name="t"/></testsuite>\')\n'
    )
    make = "import pathlib, sys\npathlib.Path('made.txt').write_text(sys.argv[1])\n"
    root = write_repository({"check.py": program, "make.py": make, "out.xml": "an old one"})
    text = (
        "language: python\ninstall: [\"python make.py 'a b'\"]\ntest_command: python check.py\n"
        "report: junit\nreport_files: ['*.xml']\n"
    )
    steps = parse(text).steps_for("")
    found = images.prepare(sandbox, root, test_command=None, settings=settings(), steps=steps)
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert report.ran, report.log_tail
    assert dict(report.statuses) == {"s > t": TestStatus.PASSED}


def test_another_language_can_be_had_beside_the_own_one(
    sandbox: Sandbox, write_repository: WriteRepository
) -> None:
    test = "import subprocess\n\n\ndef test_node():\n    subprocess.run(['node', '--version'], check=True)\n"
    try:
        found = images.prepare(
            sandbox,
            write_repository({"test_node.py": test}),
            test_command=None,
            settings=settings(),
            steps=Steps(toolchains=("javascript",)),
        )
    except ImageBuildError as error:
        if error.step != "toolchain":
            raise
        pytest.skip(str(error))
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert dict(report.statuses) == {"test_node.py::test_node": TestStatus.PASSED}, report.log_tail


def test_django_reports_test_by_test(sandbox: Sandbox, write_repository: WriteRepository) -> None:
    manage = (
        "import os, sys\nfrom django.core.management import execute_from_command_line\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')\n"
        "execute_from_command_line(sys.argv)\n"
    )
    test = (
        "from django.test import TestCase\nfrom django.contrib.auth.models import User\n\n\n"
        "class TestUsers(TestCase):\n"
        "    def test_there_are_none(self):\n        self.assertEqual(User.objects.count(), 0)\n\n"
        "    def test_wrong(self):\n        self.assertEqual(1, 2)\n"
    )
    settings_text = (
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes', 'shop']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    )
    root = write_repository(
        {
            "manage.py": manage,
            "site_settings.py": settings_text,
            "requirements.txt": "django>=4,<6\n",
            "shop/__init__.py": "",
            "shop/tests.py": test,
        }
    )
    found = images.prepare(sandbox, root, test_command=None, settings=settings())
    if "without its dependencies" in found.recipe:
        pytest.skip(found.recipe)
    spec = TestSpec(found.image, found.command)
    report = run_tests(sandbox, spec, None, LIMITS)
    assert report.ran, report.log_tail
    assert dict(report.statuses) == {
        "shop.tests.TestUsers.test_there_are_none": TestStatus.PASSED,
        "shop.tests.TestUsers.test_wrong": TestStatus.FAILED,
    }
    one = ("shop.tests.TestUsers.test_there_are_none",)
    alone = run_tests(sandbox, spec, None, LIMITS, tests=one)
    assert dict(alone.statuses) == {one[0]: TestStatus.PASSED}, alone.log_tail


def test_the_command_of_a_folder_is_the_same_but_for_where_it_runs() -> None:
    command = reporting_as_told(Steps(test_command="make check", report="tap"))
    assert command is not None
    (moved,) = in_folder([command], Steps(path="a/b"))
    assert moved.argv[-len(command.argv) :] == command.argv
    assert list(in_folder([command], Steps())) == [command]


def test_the_telling_lines_of_a_log_are_few_and_end_with_its_last() -> None:
    noise = [f"line {number}" for number in range(5000)]
    log = "\n".join([*noise, "x: error: no such thing " + "y" * 5000, *noise, "done"])
    lines = telling(log).splitlines()
    assert lines[0].startswith("x: error: no such thing")
    assert lines[-1] == "done"
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= LINE_CHARS
    assert telling("error\n" * 100) == "error"
    assert telling("") == ""
