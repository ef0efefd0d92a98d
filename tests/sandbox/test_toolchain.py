import io
import tarfile
from pathlib import Path

import pytest

from sandbox import locales, toolchain
from sandbox.contract import Sandbox
from sandbox.errors import SandboxUnavailableError
from tests.sandbox.conftest import LIMITS


@pytest.fixture(scope="module")
def files() -> dict[str, object]:
    return dict(toolchain.collect())


def test_a_toolchain_holds_python_and_a_shell_and_nothing_of_the_machine(
    files: dict[str, object],
) -> None:
    assert {"usr/bin/sh", "usr/bin/cp"} <= set(files)
    assert any(name.endswith("/json/__init__.py") for name in files)
    for name in files:
        assert "site-packages" not in name
        assert "dist-packages" not in name
        assert not name.startswith(("etc/", "home/", "root/", "/"))


def test_the_archive_can_be_read_and_every_hard_link_has_its_file() -> None:
    target = io.BytesIO()
    toolchain.write_tar(target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        members = archive.getmembers()
    names = {member.name for member in members}
    assert len(names) == len(members)
    assert all(member.linkname in names for member in members if member.islnk())
    assert {"usr/bin/python3", "etc/passwd", "repo", "tmp", "opt/env"} <= names


def test_the_fingerprint_stays_the_same() -> None:
    assert toolchain.fingerprint() == toolchain.fingerprint()
    assert len(toolchain.fingerprint()) == 16


def test_without_ldd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toolchain.which
    monkeypatch.setattr(toolchain, "which", lambda name: None if name == "ldd" else found(name))
    with pytest.raises(SandboxUnavailableError, match="libc-bin"):
        toolchain.collect()


needs_definitions = pytest.mark.skipif(
    toolchain.which("localedef") is None or not locales.SOURCE.is_file(),
    reason="needs localedef and the definitions of locales (Debian: 'locales')",
)


@needs_definitions
def test_a_box_has_the_locale_that_suites_expect_and_prints_its_environment(
    sandbox: Sandbox, bare: str
) -> None:
    asks = "import locale; print(locale.setlocale(locale.LC_ALL, 'en_US.UTF-8'))"
    with sandbox.open(bare, LIMITS) as box:
        asked = box.exec(["python3", "-c", asks])
        printed = box.exec(["env", "LANG=en_US.UTF-8", "printenv", "LANG"])
    assert (asked.exit_code, asked.output) == (0, b"en_US.UTF-8\n")
    assert (printed.exit_code, printed.output) == (0, b"en_US.UTF-8\n")


def test_without_definitions_there_is_no_locale_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locales, "SOURCE", tmp_path / "none")
    assert locales.compiled(tmp_path) == {}
