import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.recipes import RECIPES, choose
from sandbox.recipes.npm_manifest import read_manifest
from sandbox.recipes.pyproject_file import poetry_range
from sandbox.recipes.python import PythonRecipe, asked_for, kept_options, missing_always
from sandbox.recipes.python_project import READERS, read_project
from sandbox.recipes.requirement_files import askable, names_of
from tests.sandbox.conftest import WriteRepository


def test_standard_metadata_is_read(write_repository: WriteRepository) -> None:
    text = """
[project]
name = "Shown.Name"
version = "1.2rc1"
dependencies = ["six>=1", "other @ https://example.org/x.whl", "win; sys_platform == 'win32'", "shown_name[extra]"]
[project.optional-dependencies]
test = ["pytest>=7", "hypothesis"]
docs = ["sphinx"]
[project.scripts]
shown = "shown:main"
[dependency-groups]
dev = ["ruff", {include-group = "x"}]
[tool.pytest.ini_options]
addopts = ["-ra", "--timeout=5"]
asyncio_mode = "auto"
[tool.setuptools.packages.find]
where = ["python"]
"""
    root = write_repository({"pyproject.toml": text, "python/shown/__init__.py": ""})
    project = read_project(root)
    assert (project.name, project.version) == ("Shown.Name", "1.2rc1")
    assert project.requirements == (
        "hypothesis",
        "pytest-asyncio",
        "pytest-timeout",
        "pytest>=7",
        "six>=1",
    )
    assert project.paths == ("python", ".")
    assert project.entry_points == {"console_scripts": {"shown": "shown:main"}}
    assert project.uses_pytest
    assert project.addopts == "-ra --timeout=5"


def test_setup_files_are_read_without_running_them(write_repository: WriteRepository) -> None:
    setup = (
        "from setuptools import setup\nraise SystemExit\nVERSION = '3.1'\nDEPS = ['a', 'b>2']\n"
        "setup(name='old', version=VERSION, install_requires=DEPS, package_dir={'': 'lib'},\n"
        "      extras_require={'tests': ['c'], 'docs': ['d']}, tests_require='e', long_description=open('x').read(),\n"
        "      entry_points={'console_scripts': ['old = old.cli:main']})\n"
    )
    project = read_project(write_repository({"setup.py": setup, "lib/old.py": ""}))
    assert (project.name, project.version) == ("old", "3.1")
    assert project.requirements == ("a", "b>2", "c", "e")
    assert project.paths == ("lib", ".")
    assert project.entry_points["console_scripts"] == {"old": "old.cli:main"}


def test_setup_cfg_and_ini_files_are_read(write_repository: WriteRepository) -> None:
    files = {
        "setup.cfg": "[metadata]\nname = cfg\nversion = attr: cfg.__version__\n[options]\ninstall_requires =\n    a\n    b\n"
        "package_dir =\n    = src\n[options.extras_require]\ntest = c\n[options.entry_points]\nconsole_scripts =\n    x = cfg:main\n"
        "[tool:pytest]\naddopts = -q\n",
        "src/cfg/__init__.py": '__version__ = "4.5"\n',
        "tox.ini": "[testenv]\ndeps =\n    d\n    py39: e\n    -r more.txt\n    {[x]deps}\n",
        "pytest.ini": "[pytest]\nasyncio_mode = strict\n",
    }
    project = read_project(write_repository(files))
    assert (project.name, project.version) == ("cfg", "4.5")
    assert project.requirements == ("a", "b", "c", "d", "pytest-asyncio")
    assert project.paths == ("src", ".")
    assert project.addopts == "-q"


def test_poetry_is_read(write_repository: WriteRepository) -> None:
    text = """
[tool.poetry]
name = "p"
version = "0.1"
packages = [{include = "p", from = "lib"}]
[tool.poetry.dependencies]
python = "^3.11"
a = "^1.2"
b = {version = "~2.0", extras = ["x"]}
c = "*"
[tool.poetry.group.test.dependencies]
d = ">=1"
[tool.poetry.scripts]
p = "p:main"
"""
    project = read_project(write_repository({"pyproject.toml": text, "lib/p.py": ""}))
    assert project.requirements == ("a<2,>=1.2", "b==2.0.*", "c", "d>=1")
    assert project.paths == ("lib", ".")


@pytest.mark.parametrize(
    ("wanted", "specifier"),
    [("^1.2.3", ">=1.2.3,<2"), ("^0.2", ">=0.2,<0.3"), ("^0.0.3", ">=0.0.3,<0.0.4"), ("~1", "==1.*"), ("~1.2.3", "~=1.2.3"),
     ("1.5", "==1.5"), (">=2,<3", ">=2,<3"), ("*", ""), ("~1.2 || ^3", ""), ({"git": "x"}, "")],
)  # fmt: skip
def test_poetry_ranges(wanted: object, specifier: str) -> None:
    assert poetry_range(wanted) == specifier


def test_requirement_files_include_each_other_but_do_not_leave(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("secret\n")
    files = {
        "requirements.txt": "-r requirements/base.txt\n-r ../outside.txt\n--index-url x\na==1 --hash=x # why\n",
        "requirements/base.txt": "-r ../requirements.txt\nb \\\n>=2\n",
        "requirements-dev.txt": "-e .\ngit+https://example.org/x\nc\n",
    }
    assert read_project(write_repository(files)).requirements == ("a==1", "b>=2", "c")


def test_links_and_odd_declarations_are_ignored(write_repository: WriteRepository) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "../evil"\nversion = "not a version"\n'
        '[tool.setuptools.packages.find]\nwhere = ["../out", "/etc", "missing"]\n'
        '[tool.setuptools_scm]\nwrite_to = "../../x.py"\n'
    }
    root = write_repository(files)
    (root / "setup.cfg").symlink_to("/etc/passwd")
    project = read_project(root)
    assert (project.name, project.version, project.paths) == ("repository", "0.0.0", (".",))
    assert project.made_up_files == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(
        ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "requirements.txt"]
    ),
    text=st.text(max_size=200),
)
def test_no_file_makes_a_reader_raise(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    for reader in READERS:
        reader(tmp_path)
    (tmp_path / name).unlink()


ODD = st.recursive(st.one_of(st.booleans(), st.integers(0, 9), st.text("ab=.", max_size=4)),
                   lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(
                       ["name", "version", "dependencies", "scripts", "dynamic", "attr", "from", "file", "packages",
                        "find", "where", "test", "group", "ini_options", "addopts", "write_to"]), inner, max_size=3)),
                   max_leaves=8)  # fmt: skip


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else repr(value)
        if isinstance(value, int)
        else f'"{value}"'
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(section=st.sampled_from(["project", "tool.poetry", "tool.setuptools", "tool.pytest", "tool.setuptools_scm"]),
       table=st.dictionaries(st.sampled_from(["name", "version", "dependencies", "optional-dependencies", "scripts", "dynamic",
                                        "entry-points", "packages", "package-dir", "ini_options", "write_to", "group"]), ODD))  # fmt: skip
def test_no_shape_of_metadata_makes_it_raise(
    section: str, table: dict[str, object], tmp_path: Path
) -> None:
    lines = "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
    (tmp_path / "pyproject.toml").write_text(f"[{section}]\n{lines}\n")
    read_project(tmp_path)


def test_addresses_and_itself_are_not_asked_of_an_index() -> None:
    wanted = [
        "x @ file:///etc",
        "own",
        "OWN[test]",
        "a ; python_version < '3'",
        "not valid !",
        f"deep ; {3000 * '('}os_name == 'x'{3000 * ')'}",
        "b[c]>=1",
        "odd ; os_name ~= 'posix'",
    ]
    assert askable(wanted, own="Own") == ("b[c]>=1", "odd"), "what cannot be compared holds"
    assert names_of(wanted[2:]) == ("OWN", "a", "b", "odd")


@pytest.mark.parametrize(
    ("addopts", "kept"),
    [
        ("-n auto -ra", ["-ra"]), ("-nauto -n4 -n 4", []), ("--cov --cov-report=xml --cov=x --strict-markers", ["--strict-markers"]),
        ("--maxfail=1 -x --import-mode=importlib", ["--import-mode=importlib"]), ("--color yes -v tests", ["tests"]),
        ("'unbalanced", []), ("-p no:warnings --doctest-modules", ["-p", "no:warnings", "--doctest-modules"]),
    ],
)  # fmt: skip
def test_options_that_disturb_are_dropped(addopts: str, kept: list[str]) -> None:
    assert kept_options(addopts) == kept


def test_pytest_is_always_there() -> None:
    assert missing_always(["six"]) == ("pytest",)
    assert missing_always(["Pytest>=7"]) == ()


def test_the_owners_command_keeps_its_words() -> None:
    assert asked_for(["python", "-m", "pytest", "-k", "x"]).argv[:3] == ("python", "-m", "pytest")
    assert asked_for(["python", "-m", "pytest", "-k", "x"]).argv[-3:] == ("-k", "x", "{tests}")
    assert asked_for(["make", "test"]).runner == "command"
    assert asked_for(["python", "-m", "unittest"]).runner == "unittest"


def test_what_has_no_manifest_and_no_python_has_no_recipe(
    write_repository: WriteRepository,
) -> None:
    assert choose(write_repository({"x.js": ""})) is None
    assert isinstance(choose(write_repository({"x.py": ""})), PythonRecipe)


def test_a_manifest_counts_more_than_a_stray_file(write_repository: WriteRepository) -> None:
    both = {"Cargo.toml": "[package]\n", "pyproject.toml": "[project]\n"}
    assert choose(write_repository(both)) is RECIPES["python"]
    (write_repository(both) / "pyproject.toml").unlink()
    assert choose(write_repository({"Cargo.toml": "[package]\n", "x.py": ""})) is RECIPES["rust"]


def test_the_same_declarations_make_the_same_environment(write_repository: WriteRepository) -> None:
    recipe = PythonRecipe()
    root = write_repository({"requirements.txt": "six\n", "a.py": ""})
    before = recipe.dependencies(root).key
    (root / "a.py").write_text("changed")
    assert recipe.dependencies(root).key == before
    (root / "requirements.txt").write_text("six>1\n")
    assert recipe.dependencies(root).key != before


def test_checks_of_types_and_tools_of_a_release_are_left_out(
    write_repository: WriteRepository,
) -> None:
    root = write_repository(
        {
            "pyproject.toml": '[project]\nname = "x"\n[project.optional-dependencies]\n'
            'dev = ["pytest-mypy-testing", "sphinx", "mypy", "twine", "attrs"]\n',
            "tests/test_x.py": "import mypy.api\n",
        }
    )
    project = read_project(root)
    assert project.requirements == ("attrs", "mypy")
    assert project.left_out == ("-m", "not mypy_testing")


def scm(file: str) -> str:
    return f'[tool.setuptools_scm]\nwrite_to = "{file}"\n'


def test_a_version_file_is_not_written_through_a_link_out_of_the_repository(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    (tmp_path / "host").mkdir()
    root = write_repository({"pyproject.toml": scm("out/x.py")})
    (root / "out").symlink_to(tmp_path / "host")
    source = PythonRecipe().source(root)
    target = tmp_path / "target"
    shutil.copytree(root, target / "opt/repo", symlinks=True)
    source.lay(target)
    assert list((tmp_path / "host").iterdir()) == []


def test_a_version_file_that_is_a_link_to_nothing_stays_one(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    root = write_repository({"pyproject.toml": scm("_version.py")})
    (root / "_version.py").symlink_to("nowhere/at.all")
    target = tmp_path / "target"
    shutil.copytree(root, target / "opt/repo", symlinks=True)
    PythonRecipe().source(root).lay(target)
    assert (target / "opt/repo/_version.py").is_symlink()


@pytest.mark.parametrize("name", ["a\\u0000.py", "a" * 300 + ".py", "a/" * 2000 + "b.py"])
def test_a_version_file_that_no_disk_can_hold_is_not_made_up(
    write_repository: WriteRepository, name: str
) -> None:
    root = write_repository({"pyproject.toml": scm(name)})
    assert read_project(root).made_up_files == {}


@pytest.mark.parametrize("value", ["!!bool foo", "!!int ''", "!!timestamp foo", "!!float ''"])
def test_a_tag_that_does_not_fit_its_value_makes_a_file_none(
    write_repository: WriteRepository, value: str
) -> None:
    files = {
        "environment.yml": f"dependencies: [{value}]\n",
        "package.json": '{"name": "x", "dependencies": {"a": "^1"}}',
        "pnpm-lock.yaml": f"dependencies: {{a: {value}}}\n",
    }
    root = write_repository(files)
    assert read_project(root).requirements == ()
    assert read_manifest(root).pinned_by == ""
