"""What npm, pip and Go are started with, and that no git program is among it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import ImageBuildError
from sandbox.recipes import go, npm_packages, wheels
from sandbox.recipes.npm_manifest import read_manifest
from sandbox.recipes.telling import without_places
from sandbox.toolchain import which
from tests.sandbox.conftest import WriteRepository

GIT = "git+https://127.0.0.1:1/x/y.git"
SECRETS = ("EVOSCALE_DATABASE_URL", "EVOSCALE_MODEL_API_KEY", "DATABASE_PASSWORD")


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for programs before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}{os.pathsep}/usr/local/bin")
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    return folder


def packages(**entry: object) -> str:
    return json.dumps({"lockfileVersion": 3, "packages": {"node_modules/a": entry}})


@pytest.mark.parametrize("refused", [True, False], ids=["npm that refuses", "older npm"])
def test_npm_starts_no_git(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    if which("npm") is None:
        pytest.skip("this machine has no npm")
    monkeypatch.setenv("NPM_CONFIG_OFFLINE", "true")
    program(programs / "git", f"echo started >> {tmp_path / 'started'}; exit 1")
    if not refused:
        older = tuple(word for word in npm_packages.OPTIONS if not word.startswith("--allow-"))
        monkeypatch.setattr(npm_packages, "OPTIONS", (*older, "--no-such-option=none"))
    lock = packages(version=GIT)
    for asked, locked in (({"a": GIT}, ""), ({"a": "1.0.0"}, lock)):
        with pytest.raises(ImageBuildError):
            npm_packages.download(asked, locked, tmp_path / "place")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("version", [GIT, "owner/name", "file:..", "", "1.0.0 git+x:y", ".."])
def test_a_lock_names_versions_of_the_registry_only(
    write_repository: WriteRepository, version: str
) -> None:
    files = {"package.json": '{"name": "x"}', "package-lock.json": packages(version=version)}
    assert read_manifest(write_repository(files)).lock == ""


def test_what_a_locked_package_needs_is_of_the_registry(write_repository: WriteRepository) -> None:
    needed = {"b": "^1", "c": GIT, "d": "owner/name", "e": "..", "f": "f.tgz", "g": {"x": 1}}
    groups = {"dependencies": needed, "optionalDependencies": needed, "peerDependencies": needed}
    text = packages(version="1.0.0-rc.1", gitHead="x", **groups)
    files = {"package.json": '{"name": "x"}', "package-lock.json": text}
    kept = json.loads(read_manifest(write_repository(files)).lock)["packages"]["node_modules/a"]
    assert kept == {"version": "1.0.0-rc.1", **{group: {"b": "^1"} for group in groups}}


def test_downloads_are_not_told_our_secrets(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr(npm_packages, "which", lambda name: programs / name)
    monkeypatch.setattr(go.machine, "which", lambda name: programs / name)
    for name in ("npm", "go"):
        program(programs / name, f"env > {tmp_path / name}.env; exit 1")
    program(programs / "python", f"env > {tmp_path}/pip.env; exit 1")
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    with pytest.raises(ImageBuildError):
        npm_packages.download({"a": "1"}, "", tmp_path / "npm-place")
    with pytest.raises(ImageBuildError):
        go.download(("example.org/x v1.0.0",), "", tmp_path / "go-place")
    with pytest.raises(ImageBuildError):
        wheels.download(("six",), tmp_path / "pip-place")
    for name in ("npm", "go", "pip"):
        told = (tmp_path / f"{name}.env").read_text()
        assert "HTTPS_PROXY=" in told
        assert "secret" not in told
    assert f"HOME={Path.home()}\n" not in (tmp_path / "npm.env").read_text()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("npm error notarget No matching version found for below@1.0.9.", "below as it is locked"),
        ("npm error code EOVERRIDE", "what is below as it is locked"),
    ],
)
def test_a_locked_version_that_cannot_be_had_is_told_and_another_taken(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    program(
        programs / "npm",
        f"if grep -q 1.0.9 package.json; then echo '{said}' >&2; exit 1; fi\nmkdir node_modules",
    )
    monkeypatch.setattr(npm_packages, "which", lambda name: programs / name)
    place = tmp_path / "place"
    dropped = npm_packages.download({"a": "1.0.0"}, "", place, {"below": "1.0.9"})
    assert dropped == (told,)
    assert (place / "node_modules").is_dir()


NPM_SAID = """npm error code E404
npm error 404 Not Found - GET https://user:word@mirror.internal:4873/@a%2fb - Not found
npm error request failed, reason: getaddrinfo mirror.internal mirror.internal:4873 10.1.2.3:4873
npm error path {home}/.npm/_cacache
npm error A complete log of this run can be found in: {home}/.npm/_logs/1.log"""
GO_SAID = """go: example.org/x@v1.0.0: reading http://mirror.internal/example.org/x/@v/v1.0.0.mod: 404 Not Found
go: /tmp/folder/go.mod:4: unknown
go: Get "http://mirror.internal/x": dial tcp: lookup mirror.internal on 10.1.2.3:53: no such host"""


@pytest.mark.parametrize("name", ["npm", "go"])
def test_what_a_program_of_this_machine_says_is_told_without_its_paths_and_hosts(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    said = {"npm": NPM_SAID, "go": GO_SAID}[name].format(home="/srv/evoscale")
    program(programs / name, f"cat >&2 <<'END'\n{said}\nEND\nexit 1")
    monkeypatch.setattr(npm_packages, "which", lambda name: programs / name)
    monkeypatch.setattr(go.machine, "which", lambda name: programs / name)
    fetch: Callable[[Path], object] = {
        "npm": lambda place: npm_packages.download({"a": "1"}, "", place),
        "go": lambda place: go.download(("example.org/x v1.0.0",), "", place),
    }[name]
    with pytest.raises(ImageBuildError) as failed:
        fetch(tmp_path / "place")
    told = f"{failed.value}\n{failed.value.log_tail}"
    for hidden in ("mirror", "internal", "word", "10.1.2.3", "/srv", "/tmp", "_logs"):
        assert hidden not in told
    assert {"npm": "404 Not Found", "go": "example.org/x@v1.0.0: reading"}[name] in told


@pytest.mark.parametrize("line", ["a/b/c is wrong", "1.2.3", "and/or: x", "v1.2.3 +incompatible"])
def test_words_with_slashes_and_versions_are_told_as_they_are(line: str) -> None:
    assert without_places(line) == line
