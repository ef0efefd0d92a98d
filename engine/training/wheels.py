"""The pinned wheels that the corpus is read from: fetched as data, checked, never installed."""

import hashlib
import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import BadInputError

FETCH_S = 1800.0
PLATFORMS = ("_2_34", "_2_28", "_2_27", "_2_24", "_2_17", "2014")
"""The manylinux tags that pinned wheels carry; asked for by name, so that any machine gets them."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One line of the manifest: a pinned wheel, its digest and the licence its METADATA states."""

    name: str
    version: str
    file: str
    sha256: str
    licence: str
    split: str


def load_manifest(path: Path) -> tuple[Wheel, ...]:
    """Read `wheels.toml`.

    Raises:
        BadInputError: the file is missing or is no manifest.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["wheel"]
        return tuple(Wheel(**row) for row in rows)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        msg = f"{path} is no manifest: {error}; it needs [[wheel]] tables with {Wheel.__slots__}"
        raise BadInputError(msg) from error


def write_counts(corpus: Path, wheels: Sequence[Wheel], counts: Mapping[str, int]) -> Path:
    """Write what a corpus was made of beside it, with each package's count; the manifest's path."""
    with corpus.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    library = {"name": "cpython", "version": platform.python_version(), "licence": "PSF-2.0"}
    sources = [library, *(asdict(wheel) for wheel in wheels)]
    packages = [{**source, "count": counts.get(source["name"], 0)} for source in sources]
    path = corpus.with_suffix(".manifest.json")
    told = {"corpus": corpus.name, "sha256": digest, "packages": packages}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path


def fetch_wheels(wheels: Sequence[Wheel], folder: Path) -> None:
    """Download what `folder` lacks, by digest, from the index that pip is configured for.

    A version has several files; the digests make pip take the pinned one on every machine.

    Raises:
        BadInputError: a wheel cannot be had; those that came stay.
    """
    missing = [wheel for wheel in wheels if not (folder / wheel.file).is_file()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as pins:
        pins.writelines(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in missing)
        pins.flush()
        argv = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-input", "--no-deps", "--only-binary=:all:", "--require-hashes",
            "--python-version=3.11", "--implementation=cp",
            *(f"--platform=manylinux{tag}_x86_64" for tag in PLATFORMS),
            f"--dest={folder}", f"--requirement={pins.name}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=FETCH_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            msg = f"the wheels did not come within {FETCH_S:.0f} s; run the command again"
            raise BadInputError(msg) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        msg = f"pip could not download {len(missing)} pinned wheels: {said[0]}; check its index"
        raise BadInputError(msg)


def check_digest(path: Path, wheel: Wheel) -> None:
    """Refuse a wheel that is not the pinned one.

    Raises:
        BadInputError: it is missing or has another digest.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        msg = f"{path} is missing; download {wheel.name}=={wheel.version} into its folder"
        raise BadInputError(msg) from error
    if digest != wheel.sha256:
        msg = f"{path} has sha256 {digest}, not {wheel.sha256}; remove it, then try again"
        raise BadInputError(msg)
