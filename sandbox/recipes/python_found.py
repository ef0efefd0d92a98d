"""The Pythons that are installed on this machine besides the one that runs this program."""

import json
import logging
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sandbox.recipes import machine
from sandbox.recipes.layers import Layer
from sandbox.recipes.machine import Toolchain
from sandbox.settings import fetch_environment, search_path

logger = logging.getLogger(__name__)

ASK_S = 20.0
MOST_TRIED = 20
HOMES = (
    ".pyenv/versions/{version}*/bin", ".local/share/uv/python/cpython-{version}*/bin",
    ".local/share/mise/installs/python/{version}*/bin", ".asdf/installs/python/{version}*/bin",
)  # fmt: skip
"""Below a home, where other programs than the system's lay Pythons."""
SHIMS = "shims"
"""Version managers' folder of programs, each of which starts the version that is switched on."""
RELEASE = re.compile(r"\d+(?:\.\d+)*")
LEFT_OUT = (
    "site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "turtledemo",
    "tkinter", "_tkinter.*", "__phello__", "EXTERNALLY-MANAGED", "config-*", "*.a", "*.opt-?.pyc",
)  # fmt: skip
RELATIVE = f"$ORIGIN/../{machine.LIBRARIES_PLACE}"
"""The same place as seen from the program."""
ASKING = """
import json, os, platform, site, sys, sysconfig
own = getattr(sys, "_base_executable", None) or sys.executable
base = dict.fromkeys(("base", "installed_base"), sys.base_prefix)
library = sysconfig.get_path("stdlib", vars=base)
print(json.dumps({
    "version": platform.python_version(),
    "cpython": sys.implementation.name == "cpython",
    "executable": os.path.realpath(own),
    "library": os.path.realpath(library),
    "plain": any(os.path.basename(p) == "site-packages" for p in site.getsitepackages()),
}))
"""


class Installed(BaseModel):
    """What an interpreter says of itself; `plain` is one that looks into `site-packages`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: str
    cpython: bool
    executable: str
    library: str
    plain: bool


def installed(version: str, homes: Sequence[Path] | None = None) -> Installed | None:
    """An interpreter of this version (`3.9`) that can be laid into an image, or None."""
    name = f"python{version}"
    for folder in list(_folders(version, homes))[:MOST_TRIED]:
        found = _asked(folder / name) if (folder / name).is_file() else None
        if found and found.cpython and found.plain and found.version.startswith(f"{version}."):
            return found
    return None


def _folders(version: str, homes: Sequence[Path] | None) -> Iterator[Path]:
    """The system's places, those on the operator's PATH, and those of version managers."""
    yield from (Path("/usr/local/bin"), Path("/usr/bin"), *search_path())
    for home in (Path.home(),) if homes is None else homes:
        for pattern in HOMES:
            yield from sorted(
                home.glob(pattern.format(version=version)), key=_release, reverse=True
            )


def _release(folder: Path) -> tuple[list[int], str]:
    """What sorts a version manager's folders by release: 3.9.18 after 3.9.2."""
    name = folder.parent.name
    numbers = RELEASE.search(name)
    return [int(part) for part in numbers[0].split(".")] if numbers else [], name


def _asked(program: Path) -> Installed | None:
    """What a program says of itself; asked anew where another one is started by the same file."""
    ask = _say if program.parent.name == SHIMS else _said
    try:
        return ask(program, program.stat().st_mtime_ns)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # A shim of a version manager ends so where its version is not switched on.
        logger.debug("%s is no interpreter to be used: %s", program, error)
        return None


def _say(program: Path, changed_ns: int) -> Installed:
    """What an interpreter says of itself.

    Raises:
        OSError: it cannot be started.
        ValueError: it says something else.
        SubprocessError: it fails, or takes too long.
    """
    del changed_ns  # a part of what its words are remembered by
    argv = [str(program), "-I", "-c", ASKING]
    done = subprocess.run(
        argv, capture_output=True, timeout=ASK_S, check=True, cwd="/",
        env=fetch_environment("PYENV_"),
    )  # fmt: skip
    return Installed.model_validate(json.loads(done.stdout))


_said = lru_cache(maxsize=MOST_TRIED * 10)(_say)
"""The same, remembered until the file changes; a failure is not."""


def layer(python: Installed) -> Layer:
    """The interpreter and its library at the place of the environment, which it then is itself."""
    name = f"python{python.version.rpartition('.')[0]}"
    place = f"libexec/{name}"
    proof = f"import ctypes, sqlite3, sys, zlib; assert sys.prefix == '/{machine.HOME}', sys.prefix"
    made = machine.layer(
        Toolchain(
            language="python",
            launchers=dict.fromkeys((name, "python3", "python"), place),
            proof=("python3", "-I", "-c", proof),
            trees={f"lib/{name}": Path(python.library)},
            files={place: Path(python.executable)},
            left_out=LEFT_OUT,
        )
    )

    def lay(target: Path) -> None:
        made.lay(target)
        relink(target / machine.HOME / place, str(Path(python.library).parent))

    return replace(made, lay=lay)


def relink(program: Path, old: str) -> None:
    """Have a program look for its own library where that was laid, and not where it was built.

    The launcher says so too, but tests start `sys.executable` in environments of their own. The
    name is overwritten in place, so one that is shorter than ours stays.
    """
    there, here = (f"\0{place}\0".encode() for place in (old, RELATIVE))
    if len(here) <= len(there):
        data = program.read_bytes()
        program.write_bytes(data.replace(there, here.ljust(len(there), b"\0"), 1))
