"""The machine's Python toolchain as a root file system: what images start from without a registry.

It holds the interpreter that runs this program, its standard library, the shared libraries both
need and those that manylinux wheels may expect, a shell, the everyday programs, git, and a locale
where this machine can make it (`sandbox.locales`). Nothing else of the machine is in it: no
site-packages, no /etc, no home. The interpreter may live anywhere (Debian's, pyenv's, uv's,
conda's); one outside /usr is laid at /opt/python.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.errors import SandboxUnavailableError
from sandbox.locales import SOURCE, compiled

VERSION = "2"  # raise it when what goes in changes
LDD_S = 60.0
PREFIX = "opt/python"
PROGRAMS = """
    sh bash cat cp ls mkdir mv rm rmdir ln chmod env echo true false sleep head tail sort tr
    wc cut dirname basename pwd uname date touch test expr id mktemp readlink realpath seq tee
    stat timeout kill nproc uniq printf sha256sum md5sum du df which whoami hostname tty grep
    sed find xargs awk mawk gawk tar gzip diff cmp patch git ps file less more printenv paste join
    split fold nl od tac comm shuf expand unexpand truncate mkfifo unlink link install factor
    base64 base32 cksum sha1sum sha512sum b2sum sum dd sync groups logname nohup nice tsort stty
    yes arch
"""
LIBRARIES = (
    "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libexpat.so.1", "libnsl.so.1", "libutil.so.1",
    "libdl.so.2", "librt.so.1", "libpthread.so.0", "libresolv.so.2", "libm.so.6", "libgomp.so.1",
    "libnss_files.so.2",
)  # fmt: skip
SKIPPED = (
    "site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "turtledemo",
    "tkinter", "__phello__", "EXTERNALLY-MANAGED",
)  # fmt: skip
GIT_PARTS = ("git-sh-setup", "git-sh-i18n")
ZONES = "/usr/share/zoneinfo"
ETC = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\nbox:x:10001:10001:box:/tmp/home:/bin/sh\n",
    "etc/group": "root:x:0:\nbox:x:10001:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/gitconfig": "[safe]\n\tdirectory = *\n[user]\n\tname = box\n\temail = box@localhost\n",
}
MOUNT_POINTS = (
    "proc", "dev", "sys", "tmp", "repo", "run", "var/tmp", "opt/env", "opt/project", "opt/repo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs this program, without its virtual environment."""

    executable: Path
    prefix: Path
    stdlib: Path

    @property
    def relocated(self) -> bool:
        """Whether it lies outside /usr and so moves to /opt/python."""
        return not self.prefix.is_relative_to("/usr") or self.prefix.is_relative_to("/usr/local")


def interpreter() -> Interpreter:
    """Find the interpreter behind `sys.executable`."""
    base = Path(str(getattr(sys, "_base_executable", None) or sys.executable)).resolve()
    stdlib = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    return Interpreter(base, Path(sys.base_prefix).resolve(), stdlib.resolve())


def fingerprint() -> str:
    """A short name for this machine's toolchain: changes when Python, libc, the shell or git do."""
    python = interpreter()
    parts = [VERSION, sys.version, str(python.executable)]
    programs = (which(name) for name in ("sh", "git", "cp", "ldd", "localedef"))
    for path in (python.executable, *programs, SOURCE):
        if path is not None and path.exists():
            status = path.stat()
            parts.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def write_tar(target: io.BufferedIOBase) -> None:
    """Write the toolchain as a tar archive.

    Raises:
        SandboxUnavailableError: the machine lacks what a toolchain needs (ldd, a shell, cp).
    """
    with TemporaryDirectory() as scratch, tarfile.open(fileobj=target, mode="w") as archive:
        files = {**collect(), **compiled(Path(scratch))}
        for name in sorted({*MOUNT_POINTS, *_parents(files), *_parents(ETC)}):
            _add_directory(archive, name)
        for top in ("bin", "sbin", "lib", "lib64", "lib32"):
            _add_link(archive, top, f"usr/{top}")
        for name, text in ETC.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
        laid: dict[Path, str] = {}
        for name, source in sorted(files.items()):
            _add_file(archive, name, source, laid)
        for name, where in _links(files).items():
            _add_link(archive, name, where)


def collect() -> dict[str, Path]:
    """Every file of the toolchain: path in the archive to path on this machine.

    Raises:
        SandboxUnavailableError: the machine lacks what a toolchain needs.
    """
    python = interpreter()
    files = dict(_python_files(python))
    for program in PROGRAMS.split():
        path = which(program)
        if path is not None:
            files[f"usr/bin/{program}"] = path.resolve()
    for needed in ("sh", "cp"):
        if f"usr/bin/{needed}" not in files:
            raise SandboxUnavailableError("toolchain", f"no {needed!r} on PATH; install coreutils")
    files.update(_git_files())
    elves = [path for path in files.values() if is_elf(path)]
    libraries = needed_libraries(elves)
    home = _libc_directory(libraries)
    libraries += [home / name for name in LIBRARIES if (home / name).exists()]
    libraries += needed_libraries([path for path in libraries if is_elf(path)])
    for path in dict.fromkeys(libraries):
        files.setdefault(_library_place(path, home), path.resolve())
    files.update(_zone_files())
    return files


def which(program: str) -> Path | None:
    """A program of the machine's usual places, whatever this process's PATH."""
    found = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    return Path(found) if found else None


def _python_files(python: Interpreter) -> Iterator[tuple[str, Path]]:
    root = python.prefix if python.relocated else Path("/")
    place = PREFIX if python.relocated else ""
    major_minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"{place}/bin/{major_minor}" if place else f"usr/bin/{major_minor}"
    yield name, python.executable
    for path in _walk(python.stdlib):
        relative = path.relative_to(root) if path.is_relative_to(root) else path.relative_to("/")
        yield str(Path(place) / relative), path.resolve()
    if python.relocated:
        for path in sorted((python.prefix / "lib").glob("*.so*")):
            if path.exists():
                yield f"{PREFIX}/lib/{path.name}", path.resolve()


def _walk(directory: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(directory):
        directories[:] = [
            d for d in directories if d not in SKIPPED and not d.startswith("config-")
        ]
        for name in names:
            path = Path(parent) / name
            unwanted = name in SKIPPED or name.endswith((".a", ".opt-1.pyc", ".opt-2.pyc"))
            if not unwanted and path.is_file():
                yield path


def _git_files() -> Iterator[tuple[str, Path]]:
    """The helpers that git's own commands need; its main program is one of PROGRAMS."""
    for core in (Path("/usr/lib/git-core"), Path("/usr/libexec/git-core")):
        for name in GIT_PARTS:
            path = core / name
            if path.is_file():
                yield str(path.relative_to("/")), path.resolve()
    for path in _walk(Path("/usr/share/git-core/templates")):
        if path.name in {"description", "exclude"}:
            yield str(path.relative_to("/")), path


def _zone_files() -> Iterator[tuple[str, Path]]:
    for path in _walk(Path(ZONES)):
        if not path.is_relative_to(f"{ZONES}/right") and not path.is_relative_to(f"{ZONES}/posix"):
            yield str(path.relative_to("/")), path.resolve()


def is_elf(path: Path) -> bool:
    """Whether a file is a program or a library of Linux."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def needed_libraries(elves: Iterable[Path]) -> list[Path]:
    """The shared libraries, and the loader, that programs and libraries of this machine load.

    Raises:
        SandboxUnavailableError: ldd is missing or does not answer.
    """
    ldd = which("ldd")
    if ldd is None:
        raise SandboxUnavailableError("toolchain", "no 'ldd' on PATH; install libc-bin")
    try:
        done = subprocess.run(
            [str(ldd), *map(str, elves)],
            capture_output=True, text=True, timeout=LDD_S, check=False, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError("toolchain", f"ldd failed: {error}") from error
    found: dict[Path, None] = {}
    for line in done.stdout.splitlines():
        left, _, right = line.strip().partition(" => ")
        name = (right or left).split(" (")[0].strip()
        if name.startswith("/") and not name.endswith(":"):
            found[Path(name)] = None
    return [path for path in found if path.is_file()]


def _libc_directory(libraries: Iterable[Path]) -> Path:
    for path in libraries:
        if path.name.startswith("libc.so") or path.name.startswith("libc-"):
            return path.parent
    raise SandboxUnavailableError(
        "toolchain", "this machine's Python does not use glibc; set EVOSCALE_SANDBOX_BASE_IMAGE"
    )


def _library_place(path: Path, home: Path) -> str:
    """Where a library goes: its own place below /usr or /lib, else beside libc."""
    directory = path.parent
    if not directory.is_relative_to("/usr") and not str(directory).startswith("/lib"):
        directory = home
    if directory.is_relative_to("/usr/local"):
        directory = home
    below = str(directory).lstrip("/")
    return f"{below}/{path.name}" if below.startswith("usr/") else f"usr/{below}/{path.name}"


def _links(files: dict[str, Path]) -> dict[str, str]:
    python = interpreter()
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    where = f"/{PREFIX}/bin/{name}" if python.relocated else name
    links = {"usr/bin/python3": where, "usr/bin/python": where}
    if python.relocated:
        links |= {f"usr/bin/{name}": where, f"{PREFIX}/bin/python3": name}
    if "usr/bin/awk" not in files and "usr/bin/mawk" in files:
        links["usr/bin/awk"] = "mawk"
    return {link: target for link, target in links.items() if link not in files}


def _parents(names: Iterable[str]) -> set[str]:
    """All directories above these names, and the ones the top-level links lead to."""
    above = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
    return above | {"usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/lib32"}


def _add_directory(archive: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name in {"tmp", "var/tmp"} else 0o755
    archive.addfile(info)


def _add_link(archive: tarfile.TarFile, name: str, where: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, where
    archive.addfile(info)


def _add_file(archive: tarfile.TarFile, name: str, source: Path, laid: dict[Path, str]) -> None:
    """Add a file, or a hard link where it has been added under another name."""
    info = tarfile.TarInfo(name)
    if source in laid:
        info.type, info.linkname = tarfile.LNKTYPE, laid[source]
        archive.addfile(info)
        return
    laid[source] = name
    status = source.stat()
    info.size, info.mtime = status.st_size, int(status.st_mtime)
    info.mode = 0o755 if status.st_mode & 0o111 else 0o644
    with source.open("rb") as file:
        archive.addfile(info, file)
