"""Programs of this machine as the lowest image of a language: a compiler, a runtime.

A program is copied with its files and with the shared libraries that the base image lacks; those
lie beside it and are named to it alone, by a launcher.
"""

import hashlib
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import ImageBuildError
from sandbox.recipes.layers import Layer
from sandbox.toolchain import LIBRARIES, is_elf, needed_libraries, which

logger = logging.getLogger(__name__)

STEP = "toolchain"
VERSION = "2"  # raise it when what goes in changes
HOME = "opt/env"
LIBRARIES_PLACE = "machine-lib"
"""Where launchers have programs look for libraries first, below `HOME`."""
BASE_LIBRARIES = frozenset(
    {*LIBRARIES, "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What a language needs. `trees` and `files` lead from paths below /opt/env to the machine's.

    `launchers` are the commands by name: where their program lies below /opt/env. `settings` are
    environment variables that every launcher sets; `proof` is a command that must work.
    """

    language: str
    launchers: Mapping[str, str]
    proof: tuple[str, ...]
    trees: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def program(name: str, advice: str) -> Path:
    """A program of this machine, behind all links.

    Raises:
        ImageBuildError: it is not there; says what to install.
    """
    found = which(name)
    if found is None:
        reason = f"this machine has no {name!r}; {advice}, or set `test_command` and a base image"
        raise ImageBuildError(STEP, reason)
    return found.resolve()


def layer(toolchain: Toolchain) -> Layer:
    """The image of a toolchain; another file, size or time of change in it makes another one."""

    def lay(target: Path) -> None:
        home = target / HOME
        (home / "bin").mkdir(parents=True, exist_ok=True)
        for place, source in toolchain.trees.items():
            # Links are followed: Debian keeps parts of one program in many places.
            shutil.copytree(source, home / place, ignore=_ignored(toolchain.left_out))
        for place, source in toolchain.files.items():
            (home / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, home / place)
        libraries = _lay_libraries(home)
        for name, place in toolchain.launchers.items():
            _launch(home, name, place, toolchain.settings, libraries=libraries)

    return Layer(_fingerprint(toolchain), lay, toolchain.proof)


def _ignored(left_out: Sequence[str]) -> Callable[[str, list[str]], set[str]]:
    """The names that stay behind: those of the patterns, links to nothing, special files."""
    matched = shutil.ignore_patterns(*left_out)

    def ignore(directory: str, names: list[str]) -> set[str]:
        odd = {
            n for n in names if not (Path(directory, n).is_file() or Path(directory, n).is_dir())
        }
        return matched(directory, names) | odd

    return ignore


def _fingerprint(toolchain: Toolchain) -> str:
    parts = [VERSION, toolchain.language, repr(sorted(toolchain.settings.items()))]
    for place, tree in sorted(toolchain.trees.items()):
        parts += [f"{place} {_seen(path)}" for path in _files(tree, toolchain.left_out)]
    parts += [f"{place} {_seen(path)}" for place, path in sorted(toolchain.files.items())]
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def _seen(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _files(tree: Path, left_out: Sequence[str]) -> Iterator[Path]:
    """The files of a tree that go in, through links as they are copied."""
    ignore = _ignored(left_out)
    for parent, folders, names in os.walk(tree, followlinks=True):
        ignored = ignore(parent, [*folders, *names])
        folders[:] = sorted(set(folders) - ignored)
        yield from (Path(parent, name) for name in sorted(set(names) - ignored))


def _lay_libraries(home: Path) -> bool:
    """Copy the libraries that the programs need and neither they nor the base image have."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    own = {path.name for path in files}
    wanted = [p for p in _needed(files) if p.name not in own | BASE_LIBRARIES]
    for path in wanted:
        place = home / LIBRARIES_PLACE / path.name
        place.parent.mkdir(exist_ok=True)
        shutil.copy2(path.resolve(), place)
    return bool(wanted)


def _needed(files: Iterable[Path]) -> list[Path]:
    elves = [path for path in files if is_elf(path)]
    programs = [p for p in elves if p.stat().st_mode & 0o111 or ".so" in p.name]
    return needed_libraries(programs) if programs else []


def _launch(
    home: Path, name: str, place: str, settings: Mapping[str, str], *, libraries: bool
) -> None:
    lines = ["#!/bin/sh"]
    lines += [f"export {key}={shlex.quote(value)}" for key, value in settings.items()]
    if libraries:
        lines.append(f"export LD_LIBRARY_PATH=/{HOME}/{LIBRARIES_PLACE}")
    lines.append(f'exec /{HOME}/{place} "$@"')
    launcher = home / "bin" / name
    launcher.write_text("\n".join(lines) + "\n", encoding="utf-8")
    launcher.chmod(0o755)
