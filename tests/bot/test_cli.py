"""The command line: what it prints, how it exits, what it says of bad input."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli
from engine.errors import BadInputError, EngineError
from tests.engine import projects

RUN = CliRunner()


@pytest.fixture
def issue(tmp_path) -> Path:
    path = tmp_path / "ISSUE.md"
    path.write_text(f"# {projects.ISSUE_TITLE}\n\n{projects.ISSUE_BODY}")
    return path


def script(tmp_path, *texts: str) -> str:
    path = tmp_path / "script.json"
    path.write_text(json.dumps([list(texts)]))
    return str(path)


def solve(tmp_path, issue, *texts: str, extra=()):
    repo = projects.receipts(tmp_path / "repo")
    arguments = ["solve", str(issue), "--repo", str(repo), "--model", script(tmp_path, *texts)]
    return RUN.invoke(
        cli.app,
        [*arguments, "--sandbox", "bubblewrap", "--iterations", "1", "--candidates", "2", *extra],
    )


def test_solve_prints_one_json_object_last_and_writes_the_patch(tmp_path, issue):
    out = tmp_path / "fix.patch"
    result = solve(tmp_path, issue, projects.FIX, extra=["--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["status"] == "resolved"
    assert set(told) >= {
        "patch",
        "iterations",
        "candidates",
        "distinct",
        "evidence",
        "model",
        "seed",
        "tokens",
        "wall_s",
    }
    assert told["evidence"]["tests"][0]["before"] == "FAILED"
    assert out.read_text() == told["patch"]


def test_solve_leaves_the_checkout_as_it_is(tmp_path, issue):
    solve(tmp_path, issue, projects.FIX)
    assert (tmp_path / "repo" / "receipts.py").read_text() == projects.DISCOUNT


def test_solve_tells_the_log_and_a_recipe_to_paste_where_nothing_can_be_built(tmp_path, issue):
    repo = tmp_path / "two"
    for name in ("api", "web"):
        (repo / name).mkdir(parents=True)
    (repo / "api" / "go.mod").write_text("module m\n")
    (repo / "web" / "package.json").write_text('{"name": "x"}')
    arguments = ["solve", str(issue), "--repo", str(repo), "--model", script(tmp_path, "x")]
    result = RUN.invoke(cli.app, [*arguments, "--sandbox", "bubblewrap"])
    assert result.exit_code == 3
    assert "name them under `projects`" in result.stdout
    assert (
        "projects:\n  api:\n    language: go\n  web:\n    language: javascript\n" in result.stdout
    )


def test_solve_exits_with_3_when_there_is_no_patch(tmp_path, issue):
    result = solve(tmp_path, issue, projects.HARMLESS, extra=["--json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout.splitlines()[-1])["status"] == "no_patch"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda issue: issue.write_text("  \n"), "is empty"),
        (lambda issue: issue.unlink(), "cannot be read"),
        (lambda issue: issue.write_bytes(b"x" * 1_000_001), "larger than"),
    ],
)
def test_an_issue_that_is_none_is_refused(tmp_path, issue, change, said):
    change(issue)
    result = solve(tmp_path, issue, projects.FIX)
    assert isinstance(result.exception, BadInputError)
    assert said in str(result.exception)


def test_a_folder_that_is_none_and_a_model_that_is_none_are_refused(tmp_path, issue):
    result = RUN.invoke(cli.app, ["solve", str(issue), "--repo", str(tmp_path / "none")])
    assert "name a checkout with --repo" in str(result.exception)
    result = RUN.invoke(cli.app, ["solve", str(issue), "--repo", str(tmp_path), "--model", "gpt"])
    assert "there is no model 'gpt'" in str(result.exception)
    assert isinstance(result.exception, EngineError)


def test_known_failures_end_with_one_sentence_and_exit_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "sys.argv", ["evoscale", "solve", str(tmp_path / "no.md"), "--repo", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "cannot be read" in capsys.readouterr().err


def test_receive_says_what_a_payload_would_do(tmp_path):
    path = tmp_path / "payload.json"
    path.write_text(json.dumps({"action": "edited"}))
    result = RUN.invoke(cli.app, ["receive", "issues", str(path)])
    assert result.exit_code == 0
    assert result.stdout.startswith("ignored:")


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"no json"])
def test_receive_refuses_a_file_that_is_no_payload(tmp_path, content):
    path = tmp_path / "payload.json"
    path.write_bytes(content)
    result = RUN.invoke(cli.app, ["receive", "issues", str(path)])
    assert "no JSON object" in str(result.exception)


@pytest.mark.parametrize(
    "name",
    ["demo", "solve", "serve", "worker", "beat", "receive", "replay", "doctor", "train", "bench"],
)
def test_every_command_explains_itself(name):
    result = RUN.invoke(cli.app, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout) > 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [("EVOSCALE_SANDBOX_REQUIRE", "netwrk"), ("EVOSCALE_ENGINE_SANDBOX_WORKERS", "netwrk")],
)
def test_a_bad_setting_is_one_line_with_its_name_and_never_its_value(
    variable, value, monkeypatch, capsys, tmp_path, issue
):
    monkeypatch.setenv(variable, value)
    arguments = ["evoscale", "solve", str(issue), "--repo", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.EXIT_BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert variable in line
    assert value not in line


def test_doctor_says_which_sandbox_setting_is_wrong_and_goes_on(monkeypatch):
    monkeypatch.setenv("EVOSCALE_SANDBOX_REQUIRE", "netwrk")
    result = RUN.invoke(cli.app, ["doctor", "--json"])
    checks = {check["what"]: check for check in json.loads(result.stdout.splitlines()[-1])}
    assert checks["sandbox"]["state"] == "bad"
    assert "EVOSCALE_SANDBOX_REQUIRE" in checks["sandbox"]["found"]
    assert "bot settings" in checks


def test_doctor_names_what_is_missing_and_how_to_mend_it():
    result = RUN.invoke(cli.app, ["doctor", "--json"])
    checks = {check["what"]: check for check in json.loads(result.stdout.splitlines()[-1])}
    assert checks["python"]["state"] == "good"
    assert checks["git"]["state"] == "good"
    assert checks["bot settings"]["state"] == "bad"
    assert "EVOSCALE_BOT_APP_ID" in checks["bot settings"]["found"]
    assert checks["bot settings"]["advice"]
    assert result.exit_code == 1
