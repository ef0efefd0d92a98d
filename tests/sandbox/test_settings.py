from pathlib import Path

import pytest
from pydantic import ValidationError

from sandbox.settings import SandboxSettings, default_cache_dir


def test_every_field_is_described() -> None:
    assert all(field.description for field in SandboxSettings.model_fields.values())


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOSCALE_SANDBOX_KIND", "bubblewrap")
    monkeypatch.setenv("EVOSCALE_SANDBOX_PIDS", "99")
    settings = SandboxSettings()
    assert settings.kind == "bubblewrap"
    assert settings.limits().pids == 99


def test_settings_are_checked_and_frozen() -> None:
    with pytest.raises(ValidationError):
        SandboxSettings(memory_bytes=1)
    with pytest.raises(ValidationError):
        SandboxSettings().pids = 3  # type: ignore[misc]  # frozen, which is what is tested


def test_the_cache_of_a_plain_user_is_theirs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "evoscale"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache/evoscale"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_cache_dir() == Path("/var/cache/evoscale")
