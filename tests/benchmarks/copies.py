"""What a box's copy of its repository costs, by size: in memory (Docker, bubblewrap), laid (runc)."""

import tempfile
import time
from pathlib import Path
from statistics import median

from sandbox import images
from sandbox.backends import BACKENDS
from sandbox.contract import Sandbox
from sandbox.errors import SandboxError
from sandbox.settings import SandboxSettings

ROUNDS = 10
SIZES = ((10, 1_000), (200, 5_000), (2_000, 9_000))
"""Files and bytes in each: the smallest projects, click, and SymPy's order of magnitude."""


def measure() -> dict[str, float | int | str]:
    """Medians of opening a fresh box, by back end and size of its repository."""
    figures: dict[str, float | int | str] = {"rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as made:
        for files, size in SIZES:
            checkout = _checkout(Path(made) / str(files), files, size)
            for kind in BACKENDS:
                settings = SandboxSettings(kind=kind, base_image="toolchain")
                try:
                    sandbox = BACKENDS[kind](settings)
                    found = images.prepare(
                        sandbox, checkout, test_command=["true"], settings=settings
                    )
                    figures[f"{kind}_{files}_files_ms"] = _opened_ms(sandbox, found.image)
                except SandboxError as error:
                    figures[f"{kind}_{files}_files_ms"] = f"not here: {error}"
    return figures


def _checkout(folder: Path, files: int, size: int) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "copies"\nversion = "1"\n')
    for number in range(files):
        place = folder / f"package_{number // 50}" / f"module_{number}.py"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"# {number}\n" + "x = 1\n" * (size // 6))
    return folder


def _opened_ms(sandbox: Sandbox, image: str) -> float:
    spent: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with sandbox.open(image, SandboxSettings().limits()) as box:
            spent.append(time.perf_counter() - began)
            box.exec(["true"])
    return round(1000 * median(spent), 1)
