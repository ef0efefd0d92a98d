"""The same box from Linux namespaces, for machines on which no container engine runs.

Walls as Docker's, as far as the kernel gives them to a plain user: docs/security.md says which limits
hold and which are only watched. A root caller gives its user away before anything else, because
bubblewrap started by root can be escaped through /proc/sys.
"""

import os
import platform
import select
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sandbox.archives import publish, special_files
from sandbox.cgroups import ControlGroup, control_group
from sandbox.cgroups import reap as reap_control_groups
from sandbox.contract import Box, Limits
from sandbox.errors import ImageBuildError, SandboxUnavailableError
from sandbox.locks import locked
from sandbox.seccomp import bpf_program
from sandbox.session import BOX_UID, Ending, Session, warden_argv
from sandbox.settings import MIB, SandboxSettings
from sandbox.toolchain import fingerprint, write_tar

HOST_UID = 2_000_000_001  # whom root's boxes run as on the machine: nobody's, and no one's subuid
TREES = ("opt/env", "opt/project", "opt/repo")
"""What an image may hold; a tree it lacks is its base's."""

TMP_BYTES = 256 * MIB
SHM_BYTES = 64 * MIB
INODES = 200_000
OPEN_FILES = 4096
FILE_BYTES = 2048 * MIB
BUILD_MEMORY_BYTES = 4096 * MIB
CLOSE_S = 10.0
PIDS_PER_NAMESPACE = (5, 14)  # the first Linux that counts RLIMIT_NPROC for each user namespace
NEEDED_OPTIONS = ("--size", "--perms", "--clearenv", "--as-pid-1", "--seccomp")
USER_NAMESPACES = (
    "; this machine does not let programs make user namespaces: on Ubuntu 23.10 and later run "
    "'sysctl kernel.apparmor_restrict_unprivileged_userns=0' or install an AppArmor profile for bwrap, "
    "elsewhere 'sysctl user.max_user_namespaces=15000', or install docker.io"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The machine's programs that a box is started with."""

    bwrap: str
    prlimit: str
    setpriv: str
    disable_userns: bool


class ProcessWalls:
    """A bwrap process and the pipes to the warden in it; see `sandbox.session.Walls`."""

    isolation = "bubblewrap"

    def __init__(
        self, process: subprocess.Popen[bytes], errors: IO[bytes], group: ControlGroup | None
    ) -> None:
        self._process = process
        self._errors = errors
        self._group = group
        self._stdin = cast("IO[bytes]", process.stdin)
        self._stdout = cast("IO[bytes]", process.stdout)
        os.set_blocking(self._stdin.fileno(), False)

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it; see `Walls.send`."""
        view = memoryview(data)
        while view:
            self._await(self._stdin, select.POLLOUT, deadline)
            with suppress(BlockingIOError):
                view = view[os.write(self._stdin.fileno(), view[:65536]) :]

    def receive(self, size: int, deadline: float) -> bytes:
        """Read some of the warden's output; see `Walls.receive`."""
        self._await(self._stdout, select.POLLIN, deadline)
        return os.read(self._stdout.fileno(), size)

    def ending(self, *, host_gave_up: bool) -> Ending:
        """Look at the process; see `Walls.ending`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return Ending(
            host_gave_up,
            out_of_memory=self._group is not None and self._group.out_of_memory(),
            engine_answers=True,
            box_exited=self._process.poll() is not None,
        )

    def complaint(self) -> str:
        """What bwrap or the warden said before it failed."""
        self._errors.seek(0)
        return self._errors.read(2000).decode(errors="replace").strip()

    def destroy(self) -> None:
        """Kill the process, which takes the box's whole process namespace along."""
        self._process.kill()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()
        self._process.wait(CLOSE_S)

    @staticmethod
    def _await(pipe: IO[bytes], event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe.fileno(), event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError("its time ran out")


class BubblewrapSandbox:
    """Boxes as bwrap processes over directories; see `sandbox.contract.Sandbox`."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Find the programs and try whether this machine lets them work.

        Raises:
            SandboxUnavailableError: one is missing, or namespaces are not to be had.
        """
        self._settings = settings
        self._root = os.geteuid() == 0
        self._programs = find_programs(needs_setpriv=self._root)
        self._prove_namespaces()
        if self._root:
            must_be_enterable(settings.cache_dir)

    @property
    def isolation(self) -> str:
        """`bubblewrap`."""
        return ProcessWalls.isolation

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        """Open a fresh box of an image; see `Sandbox.open`.

        Raises:
            SandboxUnavailableError: no box can be opened.
        """
        trees = {tree: ("--ro-bind", path) for tree, path in self._trees(image).items()}
        with self._start(trees, limits, {}) as session:
            yield session

    def has_image(self, image: str) -> bool:
        """Whether an image of this name can be opened; see `Sandbox.has_image`."""
        return (self._images() / image / "base").is_file()

    def build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        """Make an image out of another, a directory and a command; see `Sandbox.build`.

        Raises:
            ImageBuildError: the script failed.
            SandboxUnavailableError: the cache cannot be written, or no box can be opened.
        """
        with locked(self._settings.cache_dir, f"bubblewrap-{image}"):
            if self.has_image(image):
                return
            try:
                self._build(image, base, layer, script)
            except OSError as error:
                reason = f"{error} in {self._settings.cache_dir}"
                raise SandboxUnavailableError(self.isolation, reason) from error

    def reap(self) -> int:
        """Remove what killed processes left: unfinished images and empty control groups."""
        removed = reap_control_groups()
        for directory in self._images().glob(".unfinished-*"):
            process = directory.name.split("-")[1]
            if not Path("/proc", process).exists():
                shutil.rmtree(directory, ignore_errors=True)
                removed += 1
        return removed

    def _build(self, image: str, base: str | None, layer: Path, script: Sequence[str]) -> None:
        inherited = self._trees(base) if base is not None else {}
        images = self._images()
        images.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=images, prefix=f".unfinished-{os.getpid()}-") as made:
            own = Path(made, "image")
            shutil.copytree(layer, own, symlinks=True, ignore=special_files)
            publish(own, HOST_UID if self._root else None)
            Path(made).chmod(0o755)
            trees = {tree: ("--ro-bind", path) for tree, path in inherited.items()}
            trees |= {tree: ("--bind", own / tree) for tree in TREES if (own / tree).is_dir()}
            wall = self._settings.build_wall_clock_s
            limits = Limits(wall, BUILD_MEMORY_BYTES, max(self._settings.cpus, 2.0), 512)
            with self._start(trees, limits, {"reserve_bytes": 1024 * MIB}) as session:
                result = session.exec(script)
            if result.exit_code != 0:
                raise ImageBuildError.of_script(script[0], result.exit_code, result.output)
            (own / "base").write_text(base or "", encoding="utf-8")
            own.rename(images / image)

    @contextmanager
    def _start(
        self, trees: Mapping[str, tuple[str, Path]], limits: Limits, orders: Mapping[str, object]
    ) -> Iterator[Session]:
        rootfs = self._toolchain()
        with (
            control_group(limits) if self._root else no_control_group() as group,
            tempfile.TemporaryFile() as errors,
            seccomp_file() as filter_fd,
        ):
            argv = self._argv(rootfs, trees, limits, group, filter_fd)
            argv += warden_argv({**self._orders(limits, group), **orders})
            walls = ProcessWalls(
                subprocess.Popen(
                    argv if group is None else group.entering(argv),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                    cwd="/", env={}, pass_fds=(filter_fd,),
                ),
                errors, group,
            )  # fmt: skip
            try:
                session = Session(walls, limits)
                self._greet(session, walls)
                yield session
            finally:
                walls.destroy()

    def _greet(self, session: Session, walls: ProcessWalls) -> None:
        try:
            session.greet()
        except SandboxUnavailableError as error:
            complaint = walls.complaint() or error.reason
            raise SandboxUnavailableError(self.isolation, complaint[-1500:]) from error

    def _orders(self, limits: Limits, group: ControlGroup | None) -> dict[str, object]:
        """What the warden has to enforce because the kernel does not."""
        orders: dict[str, object] = {"inodes": INODES}
        if kernel_version() >= PIDS_PER_NAMESPACE:
            orders["pids"] = limits.pids
        if group is None:
            orders["memory_bytes"] = limits.memory_bytes
        return orders

    def _argv(
        self,
        rootfs: Path,
        trees: Mapping[str, tuple[str, Path]],
        limits: Limits,
        group: ControlGroup | None,
        filter_fd: int,
    ) -> list[str]:
        programs, argv = self._programs, []
        if self._root:
            identity = [f"--reuid={HOST_UID}", f"--regid={HOST_UID}", "--clear-groups"]
            argv += [programs.setpriv, *identity, "--no-new-privs", "--"]
        argv += [programs.prlimit, "--core=0", f"--nofile={OPEN_FILES}", f"--fsize={FILE_BYTES}"]
        if group is None:  # a process alone must not outrun the warden, which looks ten times a second
            argv += [f"--as={2 * limits.memory_bytes + 1024 * MIB}"]
        argv += [programs.bwrap, *namespaces(programs), *self._mounts(rootfs, limits)]
        for tree, (how, path) in trees.items():
            argv += [how, str(path), f"/{tree}"]
        if group is not None:
            place = "/sys/fs/cgroup" + ("/memory" if len(group.directories) > 1 else "")
            argv += ["--tmpfs", "/sys", "--ro-bind", str(group.memory), place, "--remount-ro", "/sys"]
        return [*argv, "--seccomp", str(filter_fd), "--chdir", "/", "--"]

    def _mounts(self, rootfs: Path, limits: Limits) -> list[str]:
        repo_bytes = min(self._settings.disk_bytes, limits.memory_bytes)
        return [
            "--ro-bind", str(rootfs), "/",
            "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys",
            "--dev", "/dev", "--size", str(SHM_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm",
            "--remount-ro", "/dev",  # bwrap's own /dev is a tmpfs of any size
            "--size", str(min(TMP_BYTES, limits.memory_bytes)), "--perms", "1777", "--tmpfs", "/tmp",
            "--size", str(repo_bytes), "--tmpfs", "/repo",
            "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin",
        ]  # fmt: skip  # noqa: S108

    def _images(self) -> Path:
        return self._settings.cache_dir / "bubblewrap" / fingerprint()

    def _trees(self, image: str) -> dict[str, Path]:
        """Where each tree of an image lies: its own, else the nearest of its bases'.

        Raises:
            SandboxUnavailableError: there is no such image.
        """
        found: dict[str, Path] = {}
        name = image
        while name:
            directory = self._images() / name
            if not (directory / "base").is_file():
                raise SandboxUnavailableError(self.isolation, f"there is no image {name!r}; build it")
            for tree in TREES:
                if (directory / tree).is_dir():
                    found.setdefault(tree, directory / tree)
            name = (directory / "base").read_text(encoding="utf-8")
        return found

    def _toolchain(self) -> Path:
        """The root file system that every image starts from; made on first use."""
        directory = self._settings.cache_dir / "bubblewrap" / f"toolchain-{fingerprint()}"
        if directory.is_dir():
            return directory
        with locked(self._settings.cache_dir, "bubblewrap-toolchain"):
            if not directory.is_dir():
                self._lay_toolchain(directory)
        return directory

    def _lay_toolchain(self, directory: Path) -> None:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory.parent) as made, tempfile.TemporaryFile() as file:
                write_tar(file)
                file.seek(0)
                with tarfile.open(fileobj=file) as archive:
                    if hasattr(tarfile, "fully_trusted_filter"):
                        archive.extraction_filter = tarfile.fully_trusted_filter
                    archive.extractall(Path(made, "rootfs"))  # noqa: S202  # written by us, just now
                for place in (self._settings.cache_dir, directory.parent, Path(made, "rootfs")):
                    place.chmod(0o755)
                Path(made, "rootfs").rename(directory)
        except OSError as error:
            raise SandboxUnavailableError(self.isolation, f"{error}; set EVOSCALE_SANDBOX_CACHE_DIR") from error

    def _prove_namespaces(self) -> None:
        argv = [self._programs.bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
        if self._root:
            argv = [self._programs.setpriv, f"--reuid={HOST_UID}", f"--regid={HOST_UID}",
                    "--clear-groups", "--no-new-privs", "--", *argv]  # fmt: skip
        try:
            done = subprocess.run(argv, capture_output=True, timeout=CLOSE_S, check=False, cwd="/")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailableError(self.isolation, str(error)) from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-300:]
            raise SandboxUnavailableError(self.isolation, said + USER_NAMESPACES)


def find_programs(*, needs_setpriv: bool) -> Programs:
    """Find what boxes are started with.

    Raises:
        SandboxUnavailableError: something is missing or too old.
    """
    found: dict[str, str] = {}
    for name, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux"), ("setpriv", "util-linux")):
        path = shutil.which(name)
        if path is None and (needs_setpriv or name != "setpriv"):
            raise SandboxUnavailableError("bubblewrap", f"no {name!r} on PATH; apt-get install {package}")
        found[name] = path or ""
    try:
        said = subprocess.run(
            [found["bwrap"], "--help"], capture_output=True, text=True, timeout=CLOSE_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxUnavailableError("bubblewrap", str(error)) from error
    missing = [option for option in NEEDED_OPTIONS if option not in said]
    if missing:
        raise SandboxUnavailableError("bubblewrap", f"it is too old: no {missing[0]}; 0.6 or newer is needed")
    return Programs(found["bwrap"], found["prlimit"], found["setpriv"], "--disable-userns" in said)


def namespaces(programs: Programs) -> list[str]:
    """The options that give a box namespaces of its own and its process nothing else."""
    further = ["--disable-userns"] if programs.disable_userns else []
    return [
        "--unshare-all", "--unshare-user", *further, "--die-with-parent", "--new-session", "--as-pid-1",
        "--cap-drop", "ALL", "--uid", str(BOX_UID), "--gid", str(BOX_UID), "--hostname", "box",
    ]  # fmt: skip


def must_be_enterable(directory: Path) -> None:
    """Check that the user of root's boxes can reach the cache.

    Raises:
        SandboxUnavailableError: some directory above it is closed to others.
    """
    for place in (directory, *directory.absolute().parents):
        if place.exists() and not place.stat().st_mode & 0o001:
            raise SandboxUnavailableError(
                "bubblewrap",
                f"{place} is closed to other users and boxes never run as root; set "
                "EVOSCALE_SANDBOX_CACHE_DIR to a place that is open, such as /var/cache/evoscale",
            )


def kernel_version() -> tuple[int, int]:
    """This kernel's major and minor version."""
    major, minor, *_ = platform.release().split(".")
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


@contextmanager
def no_control_group() -> Iterator[None]:
    """What a plain user gets."""
    yield None


@contextmanager
def seccomp_file() -> Iterator[int]:
    """The filter program in a file that bwrap can read from its beginning."""
    descriptor = os.memfd_create("seccomp")
    try:
        os.write(descriptor, bpf_program())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
