"""The description is fetched once, and only the pinned one is believed."""

import subprocess
from pathlib import Path

import pytest

from tests.openapi import description


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"api.github.com-{description.VERSION}.json").write_text("{}")
    with pytest.raises(description.DescriptionUnavailableError, match="not the pinned file"):
        description.load(tmp_path)


def test_without_npm_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(description.DescriptionUnavailableError, match="npm is not installed"):
        description.load(tmp_path / "cache")


def test_a_registry_that_refuses_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such registry >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert subprocess.run(["npm"], check=False, capture_output=True).returncode == 1
    with pytest.raises(description.DescriptionUnavailableError, match="no such registry"):
        description.load(tmp_path / "cache")
