import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import images
from sandbox.contract import Sandbox, TestSpec, TestStatus
from sandbox.errors import ImageBuildError
from sandbox.recipes import choose, npm_packages
from sandbox.recipes.javascript import JavaScriptRecipe
from sandbox.recipes.npm_manifest import read_manifest
from sandbox.recipes.npm_scripts import Script, choose_script
from sandbox.runner import run_tests
from tests.sandbox.conftest import LIMITS, WriteRepository
from tests.sandbox.conftest import settings as sandbox_settings


def manifest(**changes: object) -> dict[str, str]:
    return {"package.json": json.dumps({"name": "x", **changes})}


def chosen(write: WriteRepository, scripts: dict[str, str], **more: object) -> Script | None:
    root = write(manifest(scripts=scripts, **more))
    return choose_script(read_manifest(root), root)


@pytest.mark.parametrize(
    ("script", "runner", "arguments"),
    [
        ("vitest run --coverage", "vitest", ("run",)),
        ("jest --ci --coverageReporters text src", "jest", ("src",)),
        ("nyc --reporter=lcov mocha -R dot 'spec/**/*.js'", "mocha", ("spec/**/*.js",)),
        ("cross-env A=b c8 node --test test/*.js", "node", ("--test", "test/*.js")),
        ("tape test/*.js | tap-dot", "tap", ("test/*.js",)),
        ("npm run lint && npm run unit -- test/a.js", "tap", ("one.js", "test/a.js")),
        ("node ./node_modules/mocha/bin/mocha.js test", "mocha", ("test",)),
        ("node check.js", "command", ("check.js",)),
    ],
)
def test_the_script_leads_to_a_runner(
    write_repository: WriteRepository, script: str, runner: str, arguments: tuple[str, ...]
) -> None:
    scripts = {"test": script, "lint": "eslint .", "unit": "tape one.js"}
    found = chosen(write_repository, scripts)
    assert found is not None
    assert (found.runner, found.arguments) == (runner, arguments)


def test_a_build_that_the_tests_need_comes_first(write_repository: WriteRepository) -> None:
    scripts = {"test": "tsc -p . && eslint . && mocha out", "build": "rollup -c"}
    found = chosen(write_repository, scripts, main="dist/index.js")
    assert found is not None
    assert found.builds == (("rollup", "-c"), ("tsc", "-p", "."))


@pytest.mark.parametrize(
    ("wanted", "runner", "argv"),
    [
        (["npx", "mocha", "spec"], "mocha", ["mocha", "spec"]),
        (["npm", "test"], "jest", ["jest", "src"]),
        (["npm", "run", "unit", "{tests}"], "tap", ["tape", "unit.js"]),
        (["sh", "-c", "make check"], "command", ["sh", "-c", "make check"]),
        (["npm", "run", "nothing"], "command", ["npm", "run", "nothing"]),
    ],
)
def test_an_owners_command_is_read_and_nothing_takes_its_place(
    wanted: list[str], runner: str, argv: list[str], write_repository: WriteRepository
) -> None:
    scripts = {"test": "jest src", "unit": "tape unit.js"}
    root = write_repository(manifest(scripts=scripts, devDependencies={"vitest": "^3.0.0"}))
    (found,) = JavaScriptRecipe().commands(root, wanted)
    assert found.runner == runner
    assert found.reason == "the repository's owner set this command"
    said = " ".join(found.argv)
    assert all(word in said for word in argv)
    assert "vitest" not in said


def test_programs_that_run_before_the_tests_are_not_the_tests(
    write_repository: WriteRepository,
) -> None:
    scripts = {"test": "npm run unit", "preunit": "node make.js", "unit": "tape test/*.js"}
    found = chosen(write_repository, scripts)
    assert found is not None
    assert (found.program, found.builds) == ("tape", (("node", "make.js"),))


def test_what_a_script_does_in_another_folder_is_left_out(
    write_repository: WriteRepository,
) -> None:
    scripts = {"pretest": "cd test/links && node one && mocha", "test": "tape test/*.js"}
    found = chosen(write_repository, scripts)
    assert found is not None
    assert (found.program, found.builds) == ("tape", ())


def test_mocha_is_asked_for_its_report_in_words_that_every_version_knows(
    write_repository: WriteRepository,
) -> None:
    (command,) = JavaScriptRecipe().commands(
        write_repository(manifest(scripts={"test": "mocha --reporter-option x=y test"})), None
    )
    words = json.loads(command.argv[-2])["argv"]
    asked = words[words.index("--reporter-options") + 1]
    assert asked.startswith("output=")
    assert "--reporter-option" not in words  # mocha 5 ends with an error there


@pytest.mark.parametrize(
    ("script", "argv"),
    [
        ("ava test", ["ava", "--tap", "--timeout=1h"]),
        ("ava --timeout=2m test", ["ava", "--tap"]),
        ("ava -T 2m test", ["ava", "--tap"]),
    ],
)
def test_ava_does_not_give_up_before_the_box_unless_it_is_told_to(
    write_repository: WriteRepository, script: str, argv: list[str]
) -> None:
    root = write_repository(manifest(scripts={"test": script}))
    (command,) = JavaScriptRecipe().commands(root, None)
    order = json.loads(command.argv[-2])
    assert order["argv"] == argv
    assert order["all"] == script.split()[1:]


def test_scripts_that_call_each_other_for_ever_lead_nowhere(
    write_repository: WriteRepository,
) -> None:
    assert chosen(write_repository, {"test": "npm run a", "a": "npm test"}) is None


@pytest.mark.parametrize("turns", ["itself", "the next", "each other"])
def test_scripts_that_call_each_other_many_times_are_read_to_an_end(
    write_repository: WriteRepository, turns: str
) -> None:
    many = 40
    calls = {
        "itself": {"test": " && ".join(["npm test"] * many)},
        "the next": {f"s{n}": " && ".join([f"npm run s{n + 1}"] * many) for n in range(6)},
        "each other": {
            f"s{n}": " && ".join(f"npm run s{m}" for m in range(many)) for n in range(many)
        },
    }[turns]
    scripts = {"test": "npm run s0", "s6": "lint", **calls}
    assert chosen(write_repository, scripts) is None


def test_a_script_that_is_called_twice_stands_in_both_places(
    write_repository: WriteRepository,
) -> None:
    scripts = {"test": "npm run make && npm run make -- b && mocha", "make": "tsc"}
    found = chosen(write_repository, scripts)
    assert found is not None
    assert found.builds == (("tsc",), ("tsc", "b"))


def test_without_a_script_a_dependency_or_a_folder_decides(
    write_repository: WriteRepository,
) -> None:
    found = chosen(write_repository, {}, devDependencies={"jest": "29"})
    assert found is not None
    assert found.runner == "jest"


def test_an_unknown_runner_is_told(write_repository: WriteRepository) -> None:
    root = write_repository(manifest(scripts={"test": "asynct test"}))
    with pytest.raises(ImageBuildError, match="asynct"):
        JavaScriptRecipe().commands(root, None)


STYLE = (
    "eslint-x",
    "@eslint/js",
    "typescript-eslint",
    "@typescript-eslint/parser",
    "@biomejs/biome",
)


def test_only_packages_of_the_registry_are_asked_for(write_repository: WriteRepository) -> None:
    asked = {
        "good": "^1.2.3 || 2.x",
        "alias": "npm:@scope/other@^1",
        "git": "git+ssh://git@example.org/x.git",
        "short": "owner/repository",
        "path": "file:../../etc",
        "address": "http://169.254.169.254/x.tgz",
        "../up": "1",
    }
    root = write_repository(manifest(dependencies=asked, devDependencies=dict.fromkeys(STYLE, "1")))
    assert set(read_manifest(root).wanted) == {"good", "alias"}


def test_locks_of_three_kinds_pin(write_repository: WriteRepository) -> None:
    wanted = manifest(dependencies={"a": "^1.0.0", "@b/c": "~2"})
    yarn = 'a@^1.0.0:\n  version "1.4.2"\n\n"@b/c@~2", "@b/c@2":\n  version "2.0.1"\n'
    pnpm = "importers:\n  .:\n    dependencies:\n      a:\n        specifier: ^1.0.0\n"
    pnpm += "        version: 1.3.0(x@1)\n"
    assert read_manifest(write_repository({**wanted, "yarn.lock": yarn})).wanted == {
        "a": "1.4.2",
        "@b/c": "2.0.1",
    }
    (write_repository(wanted) / "yarn.lock").unlink()
    found = read_manifest(write_repository({**wanted, "pnpm-lock.yaml": pnpm}))
    assert (found.wanted["a"], found.pinned_by) == ("1.3.0", "pnpm-lock.yaml")


YARN_CLASSIC = """# yarn lockfile v1

a@^1.0.0:
  version "1.4.2"
"@b/c@^2.0.0", "@b/c@>= 2 < 4":
  version "2.0.1"
"@b/c@^2.10.0":
  version "2.10.0"
other@^1:
  version "1.0.0"
"short@npm:long@^1":
  version "1.0.0"
"address@https://example.org/x.tgz":
  version "1.0.0"
huge@*:
  version "{huge}.0.0"
"""
YARN_BERRY = """__metadata:
  version: 8

"a@npm:^1.0.0":
  version: 1.4.2
"@b/c@npm:^2.0.0, @b/c@npm:2":
  version: 2.0.1
"@b/c@npm:^2.10.0":
  version: 2.10.0
"other@npm:^1":
  version: 1.0.0
"own@workspace:.":
  version: 0.0.0-use.local
"other@patch:other@npm%3A^1#x.patch":
  version: 1.0.0
"""
PNPM_9 = """lockfileVersion: '9.0'
importers: {.: {dependencies: {a: {specifier: ^1.0.0, version: 1.4.2(x@1.0.0)}}}}
packages:
  a@1.4.2: {}
  '@b/c@2.0.1': {}
  '@b/c@2.10.0': {}
  other@1.0.0: {}
  x@https://example.org/x.tgz: {version: 1.0.0}
"""
PNPM_6 = """lockfileVersion: '6.0'
dependencies: {a: {specifier: ^1.0.0, version: 1.4.2(x@1.0.0)}}
packages:
  /a@1.4.2(x@1.0.0): {}
  /@b/c@2.0.1: {}
  /@b/c@2.10.0: {}
  /other@1.0.0(a@1.4.2): {}
  github.com/x/y/0123: {name: y, version: 1.0.0}
"""
PNPM_5 = """lockfileVersion: 5.4
dependencies: {a: 1.4.2_x@1.0.0}
packages: {/a/1.4.2_x@1.0.0: {}, /@b/c/2.0.1: {}, /@b/c/2.10.0: {}, /other/1.0.0: {}}
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("yarn.lock", YARN_CLASSIC.replace("{huge}", "9" * 5000)),
        ("yarn.lock", YARN_BERRY),
        ("pnpm-lock.yaml", PNPM_9),
        ("pnpm-lock.yaml", PNPM_6),
        ("pnpm-lock.yaml", PNPM_5),
    ],
    ids=["yarn 1", "yarn 4", "pnpm 9", "pnpm 8", "pnpm 7"],
)
def test_a_lock_pins_what_the_dependencies_need_too(
    write_repository: WriteRepository, file: str, text: str
) -> None:
    found = read_manifest(
        write_repository({**manifest(dependencies={"a": "^1.0.0", "x": "*"}), file: text})
    )
    assert found.wanted == {"a": "1.4.2", "x": "*"}
    assert list(found.overrides.items()) == [
        ("@b/c@^2.10.0", "2.10.0"),  # the highest first: npm takes the first that fits
        ("@b/c@^2.0.1", "2.0.1"),
        ("a", "1.4.2"),
        ("other", "1.0.0"),
    ]


def test_npms_own_lock_loses_its_addresses(write_repository: WriteRepository) -> None:
    packages = {
        "": {"name": "x"},
        "node_modules/a": {"version": "1.0.0", "resolved": "https://evil.example/a.tgz"},
        "node_modules/b": {"version": "1.0.0", "resolved": "git+ssh://evil.example/b"},
        "node_modules/c": {"link": True, "resolved": "../c"},
    }
    lock = json.dumps({"lockfileVersion": 3, "packages": packages})
    found = read_manifest(write_repository({**manifest(), "package-lock.json": lock}))
    assert json.loads(found.lock)["packages"] == {"node_modules/a": {"version": "1.0.0"}}
    assert "evil" not in found.lock


@pytest.mark.parametrize("filler", ["\n", " ", "  a\n", "a@1, "])
def test_a_long_lock_of_nothing_is_read_to_its_end(
    write_repository: WriteRepository, filler: str
) -> None:
    """Where the work grows with the square of the text this takes days, not a moment."""
    text = f"a@1:\n{filler * (1024 * 1024 // len(filler))}"
    root = write_repository({**manifest(dependencies={"a": "1"}), "yarn.lock": text})
    assert read_manifest(root).wanted == {"a": "1"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=300))
def test_no_manifest_breaks_the_reading(write_repository: WriteRepository, text: str) -> None:
    root = write_repository({"package.json": text, "yarn.lock": text, "pnpm-lock.yaml": text})
    read_manifest(root)
    scripts = chosen(write_repository, {"test": text})
    assert scripts is None or scripts.runner


def test_the_manifest_decides_the_language(write_repository: WriteRepository) -> None:
    assert isinstance(choose(write_repository(manifest())), JavaScriptRecipe)


def test_a_replaced_version_is_named(
    sandbox: Sandbox, write_repository: WriteRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = manifest(scripts={"test": "node --test"}, dependencies={"never-had": "9.9.9"})
    monkeypatch.setattr(npm_packages, "download", laid_without)
    found = prepared(sandbox, write_repository(files))
    assert "npm does not have never-had 9.9.9" in found.recipe


def prepared(sandbox: Sandbox, root: Path) -> images.Environment:
    """The environment of a repository; without a node here it is a skip."""
    try:
        return images.prepare(sandbox, root, test_command=None, settings=sandbox_settings())
    except ImageBuildError as error:
        if error.step != "toolchain":
            raise
        pytest.skip(str(error))


CONFIGURED = {
    "vitest.config.ts": (
        "import { defineConfig } from 'vitest/config'\nimport { globals } from './own.js'\n"
        "export default defineConfig({ test: { globals, include: ['checks/*.ts'] } })\n"
    ),
    "own.ts": "export const globals: boolean = true\n",
    "checks/sum.ts": "test('adds', () => { const sum: number = 1 + 2; expect(sum).toBe(3) })\n",
}


@pytest.mark.parametrize("version", ["1.6.1", "4.1.12"])  # of vite 5 and 8: beside it, elsewhere
def test_vitest_compiles_its_config_in_a_box(
    sandbox: Sandbox, write_repository: WriteRepository, version: str
) -> None:
    manifested = manifest(scripts={"test": "vitest"}, devDependencies={"vitest": version})
    found = prepared(sandbox, write_repository({**manifested, **CONFIGURED}))
    report = run_tests(sandbox, TestSpec(found.image, found.command), None, LIMITS)
    assert [*report.statuses.values()] == [TestStatus.PASSED], report.log_tail


def laid_without(
    wanted: Mapping[str, str], lock: str, place: Path, overrides: Mapping[str, str]
) -> tuple[str, ...]:
    assert not overrides
    place.mkdir(parents=True)
    return tuple(f"{name} {asked}" for name, asked in wanted.items() if not lock)


def test_a_link_to_nothing_in_the_place_of_the_packages_stays(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    root = write_repository(manifest())
    (root / "node_modules").symlink_to("nowhere")
    target = tmp_path / "target"
    shutil.copytree(root, target / "opt/repo", symlinks=True)
    JavaScriptRecipe().source(root).lay(target)
    assert (target / "opt/repo/node_modules").readlink() == Path("nowhere")


def test_no_link_to_packages_is_laid_out_of_the_repository(
    write_repository: WriteRepository, tmp_path: Path
) -> None:
    root = write_repository({"real/package.json": "{}"})
    (root / "web").symlink_to(root / "real")  # by its absolute path: a copy leads to the original
    target = tmp_path / "target"
    shutil.copytree(root, target / "opt/repo", symlinks=True)
    with pytest.raises(ImageBuildError, match="'web' leads out"):
        JavaScriptRecipe().source(root / "web", "web").lay(target)
    assert not (root / "real/node_modules").is_symlink()
