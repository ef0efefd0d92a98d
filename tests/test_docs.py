import re
from pathlib import Path

from typer.testing import CliRunner

from bot.cli import app
from tests import generate_docs

ROOT = Path(__file__).parent.parent


def test_the_configuration_page_is_generated_from_the_settings():
    assert generate_docs.TARGET.read_text(encoding="utf-8") == generate_docs.render(), (
        "run `make docs`"
    )


def test_every_command_that_the_readme_names_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`evoscale ([a-z]+)", readme))
    assert named
    for name in named:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0, name


def test_every_make_target_that_the_readme_names_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", readme)):
        assert f"\n{target}:" in makefile, target


def test_every_file_of_the_readmes_tree_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"```text\n(bot/.*?)```", readme, re.S)
    assert tree is not None
    for line in tree[1].splitlines():
        name = line.split()[0]
        assert (ROOT / name).exists(), name
