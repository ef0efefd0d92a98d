"""Go repositories: `go test -json`, with vendored modules or those that the module proxy has."""

import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox import stops
from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import machine
from sandbox.recipes.declared import text_of
from sandbox.recipes.layers import Layer, nothing, reported, script
from sandbox.recipes.room import MOST_BYTES, Room
from sandbox.recipes.steps import HERE, Steps
from sandbox.recipes.telling import without_places
from sandbox.settings import fetch_environment

logger = logging.getLogger(__name__)

VERSION = "1"  # raise it when what goes into an image changes
STEP = "modules"
DOWNLOAD_S = 300.0
TAIL = 4000
VENDOR = "vendor those that are needed ('go mod vendor')"
REQUIRED = re.compile(r"^\s*(?:require\s+)?([\w.~-]+\.[\w./~-]+)\s+(v[\w.+-]+)", re.MULTILINE)
MODULES = "/opt/project/modules"
CACHE = "/opt/project/cache"
LEFT_OUT = ("cmd", "test", "api", "misc", "testdata", "*_test.go", "*_race", "doc")
SETTINGS = {
    "GOROOT": "/opt/env/go", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GONOSUMDB": "*",
    "GONOSUMCHECK": "1", "GOFLAGS": "", "GOMODCACHE": MODULES, "GOPATH": "/tmp/go",  # noqa: S108  # the box's own
    "GOCACHE": "/tmp/cache", "CGO_ENABLED": "0", "GOTELEMETRY": "off",  # noqa: S108  # the box's own
}  # fmt: skip
FETCHING = {"GOVCS": "*:off", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
START = (
    "mkdir -p /tmp/cache && { cp -rs /opt/project/cache/. /tmp/cache/ 2>/dev/null || true; } && "
    'exec "$@"'
)
"""What was compiled for the image is used again: linked to, because it is not to be written."""


class GoRecipe:
    """See `sandbox.recipes.layers.Recipe`."""

    def applies(self, checkout: Path) -> bool:
        """Whether the repository is a module."""
        return bool(text_of(checkout / "go.mod"))

    def toolchain(self, checkout: Path) -> Layer:
        """This machine's Go, without a C compiler.

        Raises:
            ImageBuildError: there is none.
        """
        del checkout
        go = machine.program("go", "install Go (Debian: 'golang-go')")
        root = go.parent.parent
        return machine.layer(
            machine.Toolchain(
                "go",
                launchers={"go": "go/bin/go"},
                trees={"go": root},
                settings=SETTINGS,
                proof=("/opt/env/bin/go", "version"),
                left_out=LEFT_OUT,
            )
        )

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """The modules that are not vendored, and the compiled standard library.

        Raises:
            ImageBuildError: a package is no module with a version.
        """
        wanted = _modules(checkout) if packages is None else tuple(packages)
        for entry in wanted:
            if not REQUIRED.fullmatch(entry):
                reason = f"{entry!r} is no module with a version; write 'example.org/name v1.2.3'"
                raise ImageBuildError("packages", reason)
        sums = text_of(checkout / "go.sum")

        def lay(target: Path) -> None:
            place = target / MODULES.lstrip("/")
            place.mkdir(parents=True)
            if wanted:
                download(wanted, sums, place)

        build = ("env", f"GOCACHE={CACHE}", "go", "build", "std")
        return Layer("\n".join([VERSION, *wanted, sums if wanted else ""]), lay, warm(build))

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository."""
        del checkout, path
        return Layer(VERSION, nothing, script("build_repo.py"))

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """`go test -json` over all packages."""
        del checkout
        go = ["sh", "-c", START, "sh", "go", "test", "-json", "-count=1", "-vet=off"]
        order: dict[str, object] = {
            "argv": go, "select": "go", "all": ["./..."], "output": "text",
        }  # fmt: skip
        if not wanted:
            return (reported("go", order, "go.mod names a module"),)
        words = [word for word in wanted if word != "{tests}"]
        reason = "the repository's owner set this command"
        if words[:2] == ["go", "test"]:
            return (
                reported("go", {**order, "all": [w for w in words[2:] if w != "-json"]}, reason),
            )
        return (TestCommand("command", tuple(words), reason),)

    def found(self, checkout: Path) -> Steps:
        """The modules that go.mod requires, and the command."""
        return Steps(packages=_modules(checkout), test_command="go test ./...")


def _modules(checkout: Path) -> tuple[str, ...]:
    vendored = (checkout / "vendor").is_dir()
    return () if vendored else required(text_of(checkout / "go.mod"))


def warm(build: Sequence[str]) -> tuple[str, ...]:
    """A build step whose failure costs time later and nothing else."""
    return ("sh", "-c", '"$@" || true', "sh", *build)


def required(text: str) -> tuple[str, ...]:
    """The modules that go.mod requires, as `path version`."""
    lines = [line.split("//")[0] for line in text.splitlines() if "=>" not in line]
    return tuple(
        sorted({f"{name} {version}" for name, version in REQUIRED.findall("\n".join(lines))})
    )


def download(wanted: Sequence[str], sums: str, place: Path) -> None:
    """Fetch modules as data: Go runs nothing of a module that it downloads.

    Version control programs are off, so only the module proxy that Go is configured for is asked.

    Raises:
        ImageBuildError: it does not answer, does not have one, or they are too large.
        OSError: this machine's disk is full.
    """
    go = machine.program("go", "install Go (Debian: 'golang-go')")
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = "".join(f"\t{entry}\n" for entry in wanted)
        module = f"module environment\n\nrequire (\n{lines})\n"
        (folder / "go.mod").write_text(module, encoding="utf-8")
        (folder / "go.sum").write_text(sums, encoding="utf-8")
        env = {**fetch_environment("GO"), **FETCHING, "GOMODCACHE": str(place)}
        room = Room(STEP, (place, folder), VENDOR, MOST_BYTES)
        argv = [str(go), "mod", "download"]
        try:
            done = stops.run(argv, cwd=folder, env=env, timeout_s=DOWNLOAD_S, watch=room.check)
        except subprocess.TimeoutExpired as error:
            reason = f"they could not be had within {DOWNLOAD_S:.0f} seconds"
            raise ImageBuildError(STEP, reason) from error
    if done.returncode:
        shutil.rmtree(place, ignore_errors=True)
        logger.info("go: %s", done.stderr.strip()[-500:])
        public = without_places(done.stderr)
        last = (public.strip().splitlines() or ["go said nothing"])[-1][:200]
        advice = "vendor them ('go mod vendor') or set GOPROXY to one that answers"
        raise ImageBuildError(STEP, f"{last}; {advice}", public[-TAIL:])
