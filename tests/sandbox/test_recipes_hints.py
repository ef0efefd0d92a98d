"""Lock files, conda's files, tox and nox, and tests in odd places: what the Python recipe reads."""

import json

import pytest

from sandbox.recipes import RECIPES
from sandbox.recipes.conda_file import read_conda
from sandbox.recipes.hints import read_hints
from sandbox.recipes.python_locks import read_pins
from sandbox.recipes.python_project import read_project
from tests.sandbox.conftest import WriteRepository

PYTHON = RECIPES["python"]
POETRY = """
[[package]]
name = "Six"
version = "1.16.0"
[[package]]
name = "twice"
version = "1.0"
[[package]]
name = "twice"
version = "2.0"
[[package]]
name = "mine"
version = "3.0"
[package.source]
type = "git"
url = "https://example.org/x.git"
"""
UV = """
version = 1
[[package]]
name = "six"
version = "1.16.0"
source = { registry = "https://example.org/simple" }
[[package]]
name = "own"
version = "0.1.0"
source = { editable = "." }
"""
PDM = '[[package]]\nname = "six"\nversion = "1.16.0"\n[[package]]\nname = "x"\nversion = "1"\npath = "./x"\n'
PYLOCK = """
lock-version = "1.0"
[[packages]]
name = "six"
version = "1.16.0"
[[packages]]
name = "other"
version = "2.0"
[packages.vcs]
type = "git"
"""
PIPFILE = json.dumps(
    {
        "default": {
            "six": {"version": "==1.16.0"},
            "here": {"path": "."},
            "any": {"version": "*"},
        }
    }
)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("poetry.lock", POETRY),
        ("uv.lock", UV),
        ("pdm.lock", PDM),
        ("pylock.toml", PYLOCK),
        ("Pipfile.lock", PIPFILE),
    ],
)
def test_a_lock_file_pins_what_an_index_has_in_one_version(
    write_repository: WriteRepository, file: str, text: str
) -> None:
    pins = read_pins(write_repository({file: text, "requirements.txt": "six\n"}))
    assert (pins.file, pins.lines) == (file, ("six==1.16.0",))


@pytest.mark.parametrize("text", ["", "[", "[[package]]\nname = 3\n", '{"default": []}'])
def test_a_lock_file_that_is_none_pins_nothing(
    write_repository: WriteRepository, text: str
) -> None:
    names = ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")
    assert read_pins(write_repository(dict.fromkeys(names, text))).lines == ()


@pytest.mark.parametrize(
    ("python", "expected"), [("3.8", "six==1.15.0"), ("3.12", "six==1.16.0"), ("3.9", None)]
)
def test_of_several_versions_the_one_for_this_python_is_pinned(
    write_repository: WriteRepository, python: str, expected: str | None
) -> None:
    older, newer = "python_full_version < '3.9'", "python_full_version >= '3.10'"
    entry = '[[package]]\nname = "six"\nversion = "{}"\n{}\n'
    uv = [("1.15.0", f'resolution-markers = ["{older}"]')]
    uv.append(("1.16.0", f'resolution-markers = ["{newer}", "os_name == \'none\'"]'))
    poetry = [("1.15.0", f'markers = "{older}"'), ("1.16.0", f'markers = {{main = "{newer}"}}')]
    pdm = [("1.15.0", f'marker = "{older}"'), ("1.16.0", f'marker = "{newer}"')]
    for file, entries in (("uv.lock", uv), ("poetry.lock", poetry), ("pdm.lock", pdm)):
        text = "".join(entry.format(*each) for each in entries)
        root = write_repository({file: text})
        here = {"python_full_version": f"{python}.1", "python_version": python}
        assert read_pins(root, here).lines == ((expected,) if expected else ()), file
        (root / file).unlink()


@pytest.mark.parametrize("odd", ["os_name ~= 'posix'", "nothing", f"{3000 * '('}os_name == 'x'"])
def test_a_marker_that_cannot_be_read_or_compared_takes_its_version(
    write_repository: WriteRepository, odd: str
) -> None:
    entry = '[[package]]\nname = "six"\nversion = "{}"\nmarkers = "{}"\n'
    text = entry.format("1.15.0", odd) + entry.format("1.16.0", "os_name == 'none'")
    assert read_pins(write_repository({"poetry.lock": text})).lines == ("six==1.15.0",)


def test_a_version_from_an_index_of_the_owners_choice_is_pinned(
    write_repository: WriteRepository,
) -> None:
    entry = '[[package]]\nname = "six"\nversion = "1.16.0"\n[package.source]\ntype = "legacy"\n'
    text = entry + 'url = "https://example.org/simple"\nreference = "ours"\n'
    assert read_pins(write_repository({"poetry.lock": text})).lines == ("six==1.16.0",)


def test_what_lockers_call_development_is_asked_for(write_repository: WriteRepository) -> None:
    text = '[tool.uv]\ndev-dependencies = ["six>=1"]\n[tool.pdm.dev-dependencies]\n'
    text += 'test = ["attrs"]\nlint = ["ruff"]\n'
    project = read_project(write_repository({"pyproject.toml": text}))
    assert project.requirements == ("attrs", "six>=1")


def test_another_lock_file_makes_another_environment_and_the_same_code_does_not(
    write_repository: WriteRepository,
) -> None:
    files = {"requirements.txt": "six\n", "poetry.lock": POETRY, "x.py": ""}
    first = PYTHON.dependencies(write_repository(files)).key
    assert PYTHON.dependencies(write_repository({**files, "x.py": "1\n"})).key == first
    changed = {**files, "poetry.lock": POETRY.replace("1.16.0", "1.15.0")}
    assert PYTHON.dependencies(write_repository(changed)).key != first


def test_conda_files_are_hints_for_what_nothing_else_names(
    write_repository: WriteRepository,
) -> None:
    text = """
name: x
channels: [conda-forge]
dependencies:
  - python=3.11
  - conda-forge::pytorch>=2
  - numpy=1.26=py311_0
  - pandas==2.1.0
  - libgdal
  - six
  - scipy=1.*|2.*
  - pip
  - pip:
    - attrs>=22
    - -e .
"""
    root = write_repository({"environment.yml": text, "requirements.txt": "six<2\n"})
    found = read_conda(root, ["Six"]).requirements
    assert found == ("torch>=2", "numpy==1.26.*", "pandas==2.1.0", "scipy", "attrs>=22")
    assert "six<2" in read_project(root).requirements


@pytest.mark.parametrize("text", ["dependencies: 3", "[", "- a", "dependencies: [{pip: 3}, 4]"])
def test_a_conda_file_that_is_none_hints_at_nothing(
    write_repository: WriteRepository, text: str
) -> None:
    assert read_conda(write_repository({"environment.yml": text}), ()).requirements == ()


def test_tox_and_nox_hint_at_the_runner_and_at_what_it_needs(
    write_repository: WriteRepository,
) -> None:
    nox = (
        "import nox\n@nox.session\ndef tests(session):\n"
        "    session.install('-r', 'requirements-test.txt', 'hypothesis', '.')\n"
        "    session.run('python', '-m', 'unittest')\n"
        "@nox.session\ndef docs(session):\n    session.install('sphinx')\n"
    )
    hints = read_hints(write_repository({"noxfile.py": nox}))
    assert (hints.requirements, hints.runner, hints.file) == (
        ("hypothesis",),
        "unittest",
        "noxfile.py",
    )
    tox = "[tox]\nenvlist = py\n[testenv]\ncommands =\n    {envpython} -m pytest {posargs}\n"
    hints = read_hints(write_repository({"tox.ini": tox, "noxfile.py": nox}))
    assert (hints.runner, hints.file) == ("pytest", "tox.ini")
    toml = '[env_run_base]\ndeps = ["mock"]\ncommands = [["python", "manage.py", "test"]]\n'
    hints = read_hints(write_repository({"tox.ini": "", "noxfile.py": "(", "tox.toml": toml}))
    assert (hints.requirements, hints.runner) == (("mock",), "django")


def test_tests_in_files_that_pytest_does_not_look_into_are_found(
    write_repository: WriteRepository,
) -> None:
    root = write_repository({"x.py": "", "test.py": "", "setup.py": "from setuptools import setup"})
    assert any("test*.py" in word for word in PYTHON.commands(root, None)[0].argv)
    (root / "test_more.py").write_text("")
    assert not any("test*.py" in word for word in PYTHON.commands(root, None)[0].argv)


def test_django_is_chosen_where_nothing_says_pytest(write_repository: WriteRepository) -> None:
    files = {"manage.py": "import django\n", "requirements.txt": "Django>=4\n"}
    (command,) = PYTHON.commands(write_repository(files), None)
    assert command.runner == "unittest"
    assert "manage.py" in command.reason
    files["requirements.txt"] += "pytest-django\n"
    assert PYTHON.commands(write_repository(files), None)[0].runner == "pytest"
