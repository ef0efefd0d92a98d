"""Words that name test files are told from a JavaScript runner's options, or nothing is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.impact import runs_files_alone
from sandbox.recipes import run_reported
from sandbox.recipes.javascript import JavaScriptRecipe
from sandbox.recipes.npm_files import told_apart
from tests.sandbox.conftest import WriteRepository


@pytest.mark.parametrize(
    ("line", "options", "files"),
    [
        ("mocha test/**/*.js", [], ["test/**/*.js"]),
        ("mocha -r ts-node/register a.js --exit b.js", ["-r", "ts-node/register", "--exit"],
         ["a.js", "b.js"]),
        ("mocha --timeout=9 --no-opts test", ["--timeout=9", "--no-opts"], ["test"]),
        ("jest src --config own.js --forceExit", ["--config", "own.js", "--forceExit"], ["src"]),
        ("vitest --dir src --globals unit", ["--dir", "src", "--globals"], ["unit"]),
        ("jest", [], []),
    ],
)  # fmt: skip
def test_options_keep_their_values(
    tmp_path: Path, line: str, options: list[str], files: list[str]
) -> None:
    runner, *words = line.split()
    assert told_apart(runner, words, tmp_path) == (options, files)


@pytest.mark.parametrize(
    "line",
    ["mocha --unheard of.js", "mocha --spec=a.js", "jest --testPathPattern a", "jest --projects a b",
     "mocha --config own.json test", "vitest --unheard", "jest -- src"],
)  # fmt: skip
def test_what_cannot_be_told_is_not_guessed(tmp_path: Path, line: str) -> None:
    runner, *words = line.split()
    assert told_apart(runner, words, tmp_path) is None


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (".mocharc.json", '{"spec": ["test/**/*.js"]}', False),
        (".mocharc.yml", "extends: ./base.yml\n", False),
        (".mocharc.cjs", "module.exports = { spec }\n", False),
        ("package.json", '{"mocha": {"spec": "test"}}', False),
        ("test/mocha.opts", "--require own\ntest/unit\n", False),
        ("test/mocha.opts", "--require own\n", True),
        (".mocharc.json", '{"reporter": "spec", "timeout": 9}', True),
        (".mocharc.yml", "reporter: spec\n", True),
    ],
)
def test_files_that_mochas_configuration_names_cannot_be_taken_away(
    write_repository: WriteRepository, path: str, text: str, told: bool
) -> None:
    root = write_repository({path: text})
    assert (told_apart("mocha", [], root) is not None) is told
    assert told_apart("jest", [], root) is not None


@pytest.mark.parametrize(
    ("script", "whole", "chosen"),
    [
        ("mocha -t 9 'test/**/*.js' --exit", "-t 9 --exit test/**/*.js", "-t 9 --exit test/a.js"),
        ("mocha --unheard x", "--unheard x", "--unheard x test/a.js"),
    ],
)
def test_chosen_files_stand_in_the_place_of_those_that_the_script_names(
    write_repository: WriteRepository, tmp_path: Path, script: str, whole: str, chosen: str
) -> None:
    manifest = json.dumps({"scripts": {"test": script}})
    (command,) = JavaScriptRecipe().commands(write_repository({"package.json": manifest}), None)
    assert runs_files_alone(command) is ("--unheard" not in script)
    order = json.loads(command.argv[-2])
    told = "import sys; print(*sys.argv[1:])"
    order |= {
        "argv": [sys.executable, "-c", told, *order["argv"]],
        "report": str(tmp_path / "report.txt"),
        "output": "both",
        "scratch": [],
    }
    for ids, wanted in (([], whole), (["test/a.js > x", "test/a.js > y"], chosen)):
        argv = [sys.executable, run_reported.__file__, json.dumps(order), *ids]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        (tmp_path / "report.txt").unlink()
        assert said.rstrip().endswith(wanted)
        assert (whole in said) is (not ids or "--unheard" in script)
