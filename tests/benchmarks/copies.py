"""What a box's copy of its repository costs beside an overlay, by size.

Each back end's own box is opened: Docker's and bubblewrap's copy into a tmpfs, runc's lays an
overlay. Then both ways in the same program, with nothing else of a box: `docker run` with a tmpfs
and a copy beside the container's own layer, and bubblewrap beside an overlay mounted before it.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import Sandbox
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings

ROUNDS = 5
SIZES = ((500, 4_000), (20_000, 2_000))
"""Files and bytes in each: a small project, and more files than SymPy or Django has."""
NOT_MEASURED = (SandboxError, OSError, subprocess.SubprocessError)
IN_TMPFS = ["--user", "root", "--read-only", "--tmpfs", "/repo:size=1g"]
BUBBLEWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc"]
COPY = ["cp", "-a", "/opt/repo/.", "/repo"]
Figures = dict[str, float | int | str]


def measure() -> Figures:
    """Medians by way and size of the repository."""
    figures: Figures = {"rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as made:
        for files, size in SIZES:
            checkout = _checkout(Path(made) / str(files), files, size)
            for kind in BACKENDS:
                _note(figures, f"{kind} box opened, {files} files", _box(kind, checkout))
            for name, way in _ways(checkout).items():
                _note(figures, f"{name}, {files} files", way)
    return figures


def _note(figures: Figures, name: str, measured: Callable[[], float]) -> None:
    try:
        figures[f"{name}, ms"] = measured()
    except NOT_MEASURED as error:
        figures[f"{name}, ms"] = f"not here: {error}"


def _checkout(folder: Path, files: int, size: int) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "copies"\nversion = "1"\n')
    for number in range(files):
        place = folder / f"package_{number // 50}" / f"module_{number}.py"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"# {number}\n" + "x = 1\n" * (size // 6))
    return folder


def _box(kind: str, checkout: Path) -> Callable[[], float]:
    def measured() -> float:
        sandbox, image = _prepared(kind, checkout)
        return median(_opened_ms(sandbox, image) for _ in range(ROUNDS))

    return measured


def _prepared(kind: str, checkout: Path) -> tuple[Sandbox, str]:
    settings = SandboxSettings(kind=kind, base_image="toolchain")
    sandbox = BACKENDS[kind](settings)
    found = images.prepare(sandbox, checkout, test_command=["true"], settings=settings)
    return sandbox, found.image


def _opened_ms(sandbox: Sandbox, image: str) -> float:
    began = time.perf_counter()
    with sandbox.open(image, SandboxSettings().limits()) as box:
        spent = 1000 * (time.perf_counter() - began)
        box.exec(["true"])
    return spent


def _ways(checkout: Path) -> dict[str, Callable[[], float]]:
    copied = ["--tmpfs", "/mnt", "cp", "-a", f"{checkout}/.", "/mnt"]
    return {
        "docker run, tmpfs": _docker(checkout, IN_TMPFS, COPY),
        "docker run, its own layer": _docker(checkout, [], ["true"]),
        "bubblewrap, tmpfs": lambda: _median_ms(lambda: _run(*BUBBLEWRAP, *copied)),
        "bubblewrap, overlay": lambda: _median_ms(lambda: _over(checkout)),
    }


def _docker(checkout: Path, options: Sequence[str], argv: Sequence[str]) -> Callable[[], float]:
    def measured() -> float:
        _, image = _prepared("docker", checkout)
        tags = [found.name for found in Engine("runc").images()]
        tag = next(name for name in tags if name.startswith(f"evoscale/{image}"))
        command = ["docker", "run", "--rm", "--network", "none", *options, tag, *argv]
        return _median_ms(lambda: _run(*command))

    return measured


def _over(checkout: Path) -> None:
    """What root can do before bubblewrap starts: an overlay with an upper layer of limited size."""
    with tempfile.TemporaryDirectory() as made, ExitStack() as mounts:
        upper, work, merged = (Path(made, "top", name) for name in ("upper", "work", "merged"))
        top = upper.parent
        top.mkdir()
        mounts.enter_context(_mounted("-t", "tmpfs", "-o", "size=1g", "tmpfs", str(top)))
        for directory in (upper, work, merged):
            directory.mkdir()
        layers = f"lowerdir={checkout},upperdir={upper},workdir={work}"
        mounts.enter_context(_mounted("-t", "overlay", "-o", layers, "overlay", str(merged)))
        _run(*BUBBLEWRAP, "--bind", str(merged), "/mnt", "true")


@contextmanager
def _mounted(*words: str) -> Iterator[None]:
    _run("mount", *words)
    try:
        yield
    finally:
        _run("umount", words[-1])


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=120)


def _median_ms(work: Callable[[], None]) -> float:
    spent: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent)
