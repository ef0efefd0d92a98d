"""`make docs`: writes docs/configure.md from the settings classes; a test compares the two."""

from pathlib import Path

from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from bot.settings import BotSettings
from engine.repo_config import PATH, RepoConfig
from engine.settings import EngineSettings
from sandbox.settings import SandboxSettings

TARGET = Path(__file__).parent.parent / "docs" / "configure.md"
HEAD = """\
# Configuration

Generated from the settings classes by `make docs`; edit those.

Everything is an environment variable. The bot's processes read `EVOSCALE_BOT_*`, the engine's `EVOSCALE_ENGINE_*` and
`EVOSCALE_SANDBOX_*`. Give the engine none of the bot's: it needs no GitHub credential, and code that strangers wrote runs
under its care. `evoscale doctor` checks what you set.
"""


def section(title: str, prefix: str, settings: type[BaseSettings]) -> str:
    rows = ["| variable | default | what it does |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        shown = default(field.default, name)
        rows.append(f"| `{prefix}{name.upper()}` | {shown} | {text(field.description)} |")
    return f"\n## {title}\n\n" + "\n".join(rows) + "\n"


def default(value: object, name: str) -> str:
    if value is PydanticUndefined:
        return "by the user's home" if name == "cache_dir" else "**needed**"
    return "" if value in (None, "") else f"`{value}`"


def text(description: str | None) -> str:
    return (description or "").replace("|", "\\|")


EXAMPLE = """\
What is not set, the recipe finds. An environment that cannot be built is answered with the recipe that was tried, in the words
of this file: paste it, and change the step that is wrong. Install commands and tests are argvs, no shell reads them (write
`sh -c '...'` for one), and neither has a network. A repository cannot name the image that boxes start from: that is the
operator's choice. In a language that no recipe is for, `test_command` with `report_files` is enough: its boxes have Python, git and
the everyday programs. For a repository of several projects:

```yaml
minutes: 30
projects:
  services/api:
    language: python
    packages: ["django>=5,<6", "pytest-django"]
    toolchains: [javascript]
    install: ["python manage.py collectstatic --noinput"]
    test_command: pytest -m "not slow"
  tools/checker:
    language: python
    test_command: make check
    report: junit
    report_files: ["out/*.xml"]
```

One search works on one project: the one of which the issue names most files, then the one whose folder it names most often, else
the one that holds the Python code which the issue seems to be about, else the first. The pull request names it. A patch that touches
files of other projects is offered only if each test of theirs that passes without it passes with it; one whose tests cannot be run
speaks against it, and so does a sixth project. Files outside of all projects count for none, and a test that fails in another project is never what is aimed at.
"""


def repository_section() -> str:
    rows = ["| key | what it does |", "|---|---|"]
    rows += [f"| `{name}` | {text(f.description)} |" for name, f in RepoConfig.model_fields.items()]
    head = (
        f"\n## A repository's own file, `{PATH}`\n\nRead from the default branch, never above what the job was "
        "given. All keys are optional; an unknown one is refused by name.\n\n"
    )
    return head + "\n".join(rows) + "\n\n" + EXAMPLE


def render() -> str:
    return (
        HEAD
        + section("Bot", "EVOSCALE_BOT_", BotSettings)
        + section("Engine", "EVOSCALE_ENGINE_", EngineSettings)
        + section("Sandbox", "EVOSCALE_SANDBOX_", SandboxSettings)
        + repository_section()
    )


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
