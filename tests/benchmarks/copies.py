"""What a box's copy of its repository costs beside an overlay, by size.

Each back end's own box is opened: Docker's copies into a tmpfs, those of runc and, for root, of
bubblewrap lie over an overlay. Then each way with nothing else of a box: `docker run` with a tmpfs
and a copy, ours or cp's, beside the container's own layer, and bubblewrap in the same ways beside
an overlay mounted before it.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from sandbox import images, warden_files
from sandbox.backends import BACKENDS
from sandbox.contract import Sandbox
from sandbox.directories import HOST_UID
from sandbox.docker.engine import Engine
from sandbox.errors import SandboxError
from sandbox.overlay import SYSTEM_PATH, Mounts, Space
from sandbox.settings import SandboxSettings

ROUNDS = 5
SIZES = ((500, 4_000), (20_000, 2_000))
"""Files and bytes in each: a small project, and more files than SymPy or Django has."""
NOT_MEASURED = (SandboxError, OSError, subprocess.SubprocessError)
IN_TMPFS = ["--user", "root", "--read-only", "--tmpfs", "/repo:size=1g"]
BUBBLEWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc"]
SOURCE = Path(warden_files.__file__).read_text(encoding="utf-8")
PROGRAM = SOURCE + "\nimport sys\nos.umask(0)\ncopy_tree(*sys.argv[1:])\n"
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
    in_image = ("/opt/repo", "/repo")
    here = (str(checkout), "/mnt")
    return {
        "docker run, tmpfs, cp": _docker(checkout, IN_TMPFS, _by_cp(*in_image)),
        "docker run, tmpfs, our copy": _docker(checkout, IN_TMPFS, _by_us("python3", *in_image)),
        "docker run, its own layer": _docker(checkout, [], ["true"]),
        "bubblewrap, tmpfs, cp": _bubblewrap("--tmpfs", "/mnt", *_by_cp(*here)),
        "bubblewrap, tmpfs, our copy": _bubblewrap(
            "--tmpfs", "/mnt", *_by_us(sys.executable, *here)
        ),
        "bubblewrap, overlay": lambda: _median_ms(lambda: _over(checkout)),
    }


def _by_cp(source: str, target: str) -> list[str]:
    return ["cp", "-a", f"{source}/.", target]


def _by_us(python: str, source: str, target: str) -> list[str]:
    return [python, "-I", "-S", "-c", PROGRAM, source, target]


def _bubblewrap(*words: str) -> Callable[[], float]:
    return lambda: _median_ms(lambda: _run(*BUBBLEWRAP, *words))


def _docker(checkout: Path, options: Sequence[str], argv: Sequence[str]) -> Callable[[], float]:
    def measured() -> float:
        _, image = _prepared("docker", checkout)
        tags = [found.name for found in Engine("runc").images()]
        tag = next(name for name in tags if name.startswith(f"evoscale/{image}"))
        command = ["docker", "run", "--rm", "--network", "none", *options, tag, *argv]
        return _median_ms(lambda: _run(*command))

    return measured


def _over(checkout: Path) -> None:
    """As root's boxes are started, without what else is in one."""
    with tempfile.TemporaryDirectory() as made:
        mounts = Mounts(Path(made), checkout, HOST_UID, Space(2**30, 200_000))
        shown = ["--bind", str(mounts.repository), "/mnt", "true"]
        _run("env", f"PATH={SYSTEM_PATH}", *mounts.before([*BUBBLEWRAP, *shown]))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=120)


def _median_ms(work: Callable[[], None]) -> float:
    spent: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent)
