"""Real sandboxes and small real repositories; images are cached by content, so a second run is quick."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.conformance.hostile import REPOSITORY
from sandbox.contract import Limits, Patch, Sandbox, TestSpec
from sandbox.errors import SandboxUnavailableError
from sandbox.settings import MIB, SandboxSettings, default_cache_dir

KINDS = (pytest.param("docker", marks=pytest.mark.docker), "runc", "bubblewrap")
RUNSC = pytest.param("docker-runsc", marks=pytest.mark.docker)
"""Docker with gVisor, where the engine has it: what a module names always, the rest on demand."""
OWN_RUNSC = "runc-runsc"
"""gVisor without an engine, likewise."""
LIMITS = Limits(wall_clock_s=60.0, memory_bytes=512 * MIB, output_bytes=256 * 1024)

CALC = REPOSITORY

WriteRepository = Callable[[Mapping[str, str]], Path]


def settings(**changes: object) -> SandboxSettings:
    """Settings that do not depend on who runs the tests."""
    given: dict[str, object] = {
        "cache_dir": default_cache_dir(),
        "base_image": "toolchain",
        **changes,
    }
    return SandboxSettings(**given)  # type: ignore[arg-type]  # by name, from anything


def opened(kind: str) -> Sandbox:
    """A sandbox of this kind, or a skip that says why not."""
    back_end, _, runtime = kind.partition("-")
    try:
        return BACKENDS[back_end](settings(runtime=runtime or "runc"))
    except SandboxUnavailableError as error:
        pytest.skip(str(error))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that wants a sandbox gets each."""
    if "sandbox" in metafunc.fixturenames:
        metafunc.parametrize("sandbox", _kinds(metafunc), indirect=True, scope="session")


def _kinds(metafunc: pytest.Metafunc) -> tuple[object, ...]:
    if metafunc.config.getoption("--every-back-end"):
        return (*KINDS, RUNSC, OWN_RUNSC)
    module, name = metafunc.module, metafunc.function.__name__
    in_docker = module.__name__.endswith("test_conformance") or (
        name in getattr(module, "ALWAYS_IN_GVISOR", ())
    )
    alone = name in getattr(module, "ALWAYS_IN_OWN_GVISOR", ())
    return (*KINDS, *([RUNSC] if in_docker else []), *([OWN_RUNSC] if alone else []))


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each of the sandboxes that work here."""
    return opened(request.param)


@pytest.fixture(scope="session")
def bare(sandbox: Sandbox) -> str:
    """An image with Python and pytest."""
    return images.bare(sandbox)


@pytest.fixture
def write_repository(tmp_path: Path) -> WriteRepository:
    """Writes files as a repository."""

    def write(files: Mapping[str, str]) -> Path:
        root = tmp_path / "repository"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


@pytest.fixture(scope="session")
def calc(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> TestSpec:
    """The repository with one bug, prepared."""
    root = tmp_path_factory.mktemp("calc")
    for name, text in CALC.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    environment = images.prepare(sandbox, root, test_command=None, settings=settings())
    return TestSpec(
        environment.image,
        environment.command,
        fail_to_pass=("tests/test_calc.py::test_adds",),
        pass_to_pass=(
            "tests/test_calc.py::test_zero",
            "tests/test_calc.py::TestMore::test_in_a_class",
        ),
    )


def body(*lines: str) -> Patch:
    """A patch that replaces the buggy line of CALC by these."""
    return Patch(
        "diff --git a/calc/__init__.py b/calc/__init__.py\n"
        "--- a/calc/__init__.py\n+++ b/calc/__init__.py\n"
        f"@@ -1,2 +1,{len(lines) + 1} @@\n def add(a, b):\n-    return a - b\n"
        + "".join(f"+    {line}\n" for line in lines)
    )
