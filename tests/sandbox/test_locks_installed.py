"""Lock files that the real tools wrote, in real environments: what is installed is what they say.

`tests/fixtures/locks` holds each tool's own file, older than the newest versions, with the address
of its registry replaced by one that does not exist and with the wheels of platforms left out.
"""

import json
import shutil
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Sandbox
from sandbox.errors import ImageBuildError
from tests.sandbox.conftest import LIMITS, opened, settings

LOCKS = Path(__file__).parents[1] / "fixtures" / "locks"
pytestmark = pytest.mark.network

PYTHON = (
    "import importlib.metadata as m, json\n"
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))\n"
)
NODE = (
    "const fs = require('fs'), path = require('path'), found = {};\n"
    "const walk = (place, shown) => { for (const name of fs.readdirSync(place)) {\n"
    "  const inner = path.join(place, name);\n"
    "  if (name.startsWith('.')) continue;\n"
    "  if (name.startsWith('@')) { walk(inner, shown + name + '/'); continue }\n"
    "  found[shown + name] = JSON.parse(fs.readFileSync(inner + '/package.json')).version;\n"
    "  if (fs.existsSync(inner + '/node_modules')) walk(inner + '/node_modules', shown + name + ' > ')\n"
    "} };\n"
    "walk('node_modules', ''); console.log(JSON.stringify(found))\n"
)
COMMON = {"iniconfig": "2.1.0"}
PYTHONS = {
    "uv": {
        "pytest": "8.3.5", "pluggy": "1.6.0", "packaging": "25.0",
        "python-dateutil": "2.9.0.post0", "six": "1.17.0",
    },
    "poetry": {
        "pytest": "8.0.2", "pluggy": "1.6.0", "packaging": "26.3",
        "python-dateutil": "2.8.1", "six": "1.15.0",
    },
    "pdm": {
        "pytest": "7.4.4", "pluggy": "1.5.0", "packaging": "26.2",
        "python-dateutil": "2.8.2", "six": "1.14.0",
    },
}  # fmt: skip
"""By tool, for a Python from 3.11 on: the first two locks hold other versions for 3.8."""
NODES = {
    "chalk": "4.1.0",
    "ansi-styles": "4.2.1",
    "@types/color-name": "1.1.5",
    "color-convert": "2.0.1",
    "color-name": "1.1.4",
    "supports-color": "7.1.0",
    "has-flag": "3.0.0",
    "supports-color > has-flag": "4.0.0",
}


@pytest.fixture(scope="module")
def bubblewrap() -> Sandbox:
    """One back end: which packages an image has does not depend on it."""
    return opened("bubblewrap")


def installed(sandbox: Sandbox, root: Path, *program: str) -> tuple[dict[str, str], str]:
    """Names and versions in the environment of a repository, and what is said of its recipe."""
    try:
        found = images.prepare(sandbox, root, test_command=None, settings=settings())
    except ImageBuildError as error:
        if error.step != "toolchain" and "registry answers" not in error.reason:
            raise
        pytest.skip(str(error))
    if "no package index answers" in found.recipe:
        pytest.skip("no package index answers here")
    with sandbox.open(found.image, LIMITS) as box:
        said = box.exec(program)
    assert said.exit_code == 0, said.output
    return json.loads(said.output), found.recipe


@pytest.mark.parametrize("tool", PYTHONS)
def test_a_python_environment_is_what_its_lock_says(
    bubblewrap: Sandbox, tmp_path: Path, tool: str
) -> None:
    root = shutil.copytree(LOCKS / tool, tmp_path / "repository")
    (root / "reader.py").write_text("import dateutil\n")
    (root / "test_reader.py").write_text("def test_reads():\n    import reader\n")
    had, recipe = installed(bubblewrap, root, "python", "-c", PYTHON)
    had.pop("reader")
    assert had == {**COMMON, **PYTHONS[tool]}, recipe
    assert f"versions of {tool}.lock" in recipe


@pytest.mark.parametrize("tool", ["yarn-classic", "yarn-berry", "pnpm"])
def test_a_node_environment_is_what_its_lock_says(
    bubblewrap: Sandbox, tmp_path: Path, tool: str
) -> None:
    root = shutil.copytree(LOCKS / tool, tmp_path / "repository")
    (root / "painter.test.js").write_text("require('node:test')('paints', () => {})\n")
    had, recipe = installed(bubblewrap, root, "node", "-e", NODE)
    assert had == NODES, recipe
