import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import Budget
from engine.errors import BadInputError
from engine.repo_config import RepoConfig, capped, parse, read
from sandbox.recipes.steps import Steps


def written(folder, text):
    path = folder / ".github" / "evoscale.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return folder


def test_a_repository_without_the_file_has_the_defaults(tmp_path):
    assert read(tmp_path) == RepoConfig()
    assert read(written(tmp_path, "# nothing\n")) == RepoConfig()


def test_the_test_command_becomes_argv(tmp_path):
    config = read(written(tmp_path, "test_command: pytest -q 'tests/a b'\n"))
    assert config.steps().test_argv == ("pytest", "-q", "tests/a b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: pytest", "tests"),
        ("iterations: many", "iterations"),
        ("iterations: 99", "iterations"),
        ('test_command: "pytest \'a"', "No closing quotation"),
        ("[1, 2", "cannot be read"),
        ("a: !!python/object/apply:os.system ['true']", "cannot be read"),
        ("x" * 20_000, "larger than"),
        ("- a\n- b\n", "evoscale.yml"),
        (
            "tests: pytest",
            "the keys are language, toolchains, python, packages, install, test_command",
        ),
        ("language: cobol", "language"),
        ("packages: six", "packages"),
        ("install: ['a \"b']", "install"),
        ("install: ['']", "install.0"),
        ("test_command: ''", "test_command"),
        ("report: html", "report"),
        ("report_files: [../x.xml]", "leaves the project's folder"),
        ("report_files: [/etc/x.xml]", "leaves the project's folder"),
        ("projects: {../x: {}}", "no folder below"),
        ("projects: {/x: {}}", "no folder below"),
        ("projects: {a/../b: {}}", "no folder below"),
        ("projects: {.git: {}}", "no folder below"),
        ("projects: {a: {iterations: 3}}", "projects.a.iterations"),
        ("projects: {a: {projects: {}}}", "projects.a.projects"),
        ("iterations: !!bool foo", "cannot be read"),
        ("iterations: !!int ''", "cannot be read"),
        ("iterations: !!timestamp foo", "cannot be read"),
        ('projects: {"a\\0": {}}', "no folder below"),
        ('projects: {"a\\n": {}}', "no folder below"),
        ('test_command: "pytest \\0"', "control character"),
        ('install: ["true", "a\\x1b"]', "control character"),
        ('packages: ["six\\0"]', "control character"),
        ('"\\ud800": 1', "evoscale.yml"),
        ('test_command: "\\ud800"', "evoscale.yml"),
        ('projects: {"\\ud800": {}}', "evoscale.yml"),
        ("packages: [" + "a, " * 501 + "a]", "packages"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_key_that_is_wrong(tmp_path, text, said):
    with pytest.raises(BadInputError, match=r"evoscale\.yml") as refused:
        read(written(tmp_path, text))
    assert said in str(refused.value)


PROJECTS = """
projects:
  services/api:
    language: python
    packages: [six>=1]
  web:
    test_command: npm test
"""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("services/api/x.py fails; the web is fine, web", "services/api"),
        ("The Web page is empty", "web"),
        ("something else, webs", "services/api"),
    ],
)
def test_of_several_projects_the_one_that_the_issue_names_is_taken(text, path):
    steps = parse(PROJECTS).steps_for(text)
    assert steps.path == path


def test_what_is_set_becomes_the_steps_of_the_environment():
    steps = parse(PROJECTS).steps_for("")
    assert (steps.path, steps.language, steps.packages) == ("services/api", "python", ("six>=1",))
    assert parse("packages: []").steps().packages == ()
    assert parse("").steps() == Steps()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "secret").write_text("iterations: 2")
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "evoscale.yml").symlink_to(tmp_path / "secret")
    assert read(tmp_path) == RepoConfig()


@given(
    st.integers(1, 20),
    st.integers(1, 64),
    st.floats(0.1, 1440),
    st.floats(1, 5000),
)
def test_a_repository_never_gets_more_than_the_job_was_given(
    iterations, candidates, minutes, limit
):
    job = Budget(iterations=4, candidates_per_iteration=5, wall_clock_s=600)
    config = RepoConfig(iterations=iterations, candidates=candidates, minutes=minutes)
    budget = capped(job, config, limit)
    assert budget.iterations <= 4
    assert budget.candidates_per_iteration <= 5
    assert budget.wall_clock_s <= min(600, limit)


def test_a_folded_command_keeps_its_words():
    assert parse("test_command: |\n  pytest\n  tests\n").steps().test_argv == ("pytest", "tests")


def test_owners_may_name_a_python_and_nothing_but_a_version() -> None:
    config = parse('projects: {api: {python: "3.10"}}')
    assert config.projects["api"].steps("api").python == "3.10"
    for odd in ("3.10", '"2.7"', '"3.10-slim@sha256:0"', '"../3.9"'):
        with pytest.raises(BadInputError, match="python"):
            parse(f"python: {odd}")
