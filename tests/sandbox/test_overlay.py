"""What root mounts before a box of bubblewrap or runc starts; each test needs root."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import Limits, Sandbox
from sandbox.directories import HOST_UID
from sandbox.overlay import SYSTEM_PATH, Mounts, Space
from sandbox.session import Spaces, spaces
from tests.sandbox.conftest import opened, settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
FILES = {"a.py": "A = 1\n", "package/b.py": "B = 1\n", "tests/test_a.py": "def test_a(): pass\n"}
MAKE_FILES = """
import errno
for number in range(10_000):
    try:
        open(f"/repo/{number}", "w").close()
    except OSError as error:
        print(number, errno.errorcode[error.errno])
        break
"""
OPEN = """
import sys
from pathlib import Path
from sandbox.backends import BACKENDS
from sandbox.contract import Limits
from sandbox.settings import SandboxSettings
sandbox = BACKENDS[sys.argv[1]](SandboxSettings(cache_dir=Path(sys.argv[2])))
with sandbox.open(sys.argv[3], Limits()) as box:
    print(*sandbox.watched, box.exec(["cat", "a.py"]).output.decode().strip(), flush=True)
    box.exec(["sleep", sys.argv[4]])
"""
ON_OVERLAY = """
mount -t tmpfs evoscale "$1" && mkdir "$1/upper" "$1/work" "$1/cache" && cache=$2 && cd "$1" &&
mount -t overlay -o "lowerdir=$cache,upperdir=upper,workdir=work" evoscale cache && shift 2 && exec "$@"
"""


@pytest.fixture(scope="module", params=["bubblewrap", "runc"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def overlaid(kind: str) -> Sandbox:
    found = opened(kind)
    if found.watched:
        pytest.skip(str(found.watched))
    return found


@pytest.fixture(scope="module")
def image(overlaid: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("repository")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return images.prepare(overlaid, root, test_command=["true"], settings=settings()).image


@pytest.fixture
def few_files(kind: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit on files that is soon reached."""

    def small(limits: Limits, disk_bytes: int) -> Spaces:
        return replace(spaces(limits, disk_bytes), repo_files=1000)

    monkeypatch.setattr(f"sandbox.{kind}.spaces", small)
    return 1000


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    """Mounts over a directory whose name has all that mount's options are written with."""
    lower, scratch = tmp_path / "a:b,c=d e\\f", tmp_path / "scratch"
    lower.mkdir()
    scratch.mkdir()
    (lower / "file").write_text("text")
    return Mounts(scratch, lower, HOST_UID, Space(2**20, 100), {"tmp": Space(2**16, 50)})


def said_by(mounts: Mounts, program: str) -> str:
    argv = mounts.before(["sh", "-c", program])
    done = subprocess.run(
        argv, env={"PATH": SYSTEM_PATH}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_box_writes_into_its_repository_ends_with_it(overlaid: Sandbox, image: str) -> None:
    change = "cat a.py && echo 2 > a.py && rm tests/test_a.py && ls && stat -c '%u %a' . a.py"
    for _ in range(2):
        with overlaid.open(image, Limits()) as box:
            said = box.exec(["sh", "-c", change]).output.decode().splitlines()
    assert said == ["A = 1", "a.py", "package", "tests", "10001 755", "10001 644"]


def test_a_directory_of_the_repository_can_be_renamed(overlaid: Sandbox, image: str) -> None:
    program = "import os; os.rename('package', 'other'); print(open('other/b.py').read())"
    with overlaid.open(image, Limits()) as box:
        assert box.exec(["python3", "-c", program]).output.strip() == b"B = 1"


def test_the_kernel_counts_the_files_in_a_repository(
    overlaid: Sandbox, image: str, few_files: int
) -> None:
    for _ in range(2):
        with overlaid.open(image, Limits()) as box:
            made, error = box.exec(["python3", "-c", MAKE_FILES]).output.decode().split()
            assert error == "ENOSPC"
            assert few_files - 50 < int(made) < few_files
            assert box.exec(["cat", "a.py"]).output == b"A = 1\n"


def processes() -> Iterator[Path]:
    return (place for place in Path("/proc").iterdir() if place.name.isdigit())


def namespace(process: Path) -> str:
    """A process's mount namespace; empty where it is gone."""
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:
        return ""


def sleeps(process: Path, word: str) -> bool:
    try:
        return (process / "cmdline").read_bytes() == f"sleep\0{word}\0".encode()
    except OSError:
        return False


def namespaces(word: str, parent: int) -> set[str]:
    """Those of the box in which that sleeps, and of what its parent has started."""
    inside = {namespace(process) for process in processes() if sleeps(process, word)}
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return inside | {namespace(Path("/proc", child)) for child in children}


def mounted() -> list[str]:
    """What of ours is mounted where everybody sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if " evoscale " in line]


def until(happened: Callable[[], bool]) -> bool:
    for _ in range(600):
        if happened():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def program(kind: str, image: str) -> list[str]:
    """A process that opens a box and waits in it."""
    word = f"{os.getpid()}.25"
    return [sys.executable, "-c", OPEN, kind, str(settings().cache_dir), image, word]


def test_no_mount_is_seen_outside_and_none_outlives_a_process_that_was_killed(
    program: list[str], overlaid: Sandbox
) -> None:
    own = namespace(Path("/proc/self"))
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"A = 1\n"
        assert until(lambda: any(sleeps(each, program[-1]) for each in processes()))
        found = namespaces(program[-1], process.pid) - {own, ""}
        assert found
        assert mounted() == []
        process.send_signal(signal.SIGKILL)
    assert until(lambda: not found & {namespace(process) for process in processes()})
    assert mounted() == []
    overlaid.reap()


def test_images_may_lie_on_an_overlay(program: list[str]) -> None:
    """As in most containers."""
    cache = str(settings().cache_dir)
    lay = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ON_OVERLAY, "sh"]
    with tempfile.TemporaryDirectory() as place:  # one that the box's user can reach
        Path(place).chmod(0o755)
        program[4], program[-1] = f"{place}/cache", "0"
        done = subprocess.run(
            [*lay, place, cache, *program], capture_output=True, text=True, check=False
        )
    assert done.stdout == "A = 1\n", done.stderr


def test_root_that_may_not_mount_copies_and_watches(kind: str, program: list[str]) -> None:
    if kind != "bubblewrap":
        pytest.skip("runc needs to mount")
    program[-1] = "0"
    limited = ["setpriv", "--bounding-set=-sys_admin", *program]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.stdout == "files A = 1\n", done.stderr
    assert "copies each repository into memory: root may not mount" in done.stderr


def test_the_name_of_a_directory_is_not_an_option_of_mount(mounts: Mounts) -> None:
    assert said_by(mounts, f"cat {mounts.repository}/file") == "text"


def test_what_is_mounted_belongs_to_its_owner_whatever_the_umask(mounts: Mounts) -> None:
    before = os.umask(0o077)
    try:
        places = f"{mounts.repository} {mounts.other('tmp')}"
        assert said_by(mounts, f"stat -c '%u %a' {places}").split() == [
            str(HOST_UID), "755", str(HOST_UID), "1777",
        ]  # fmt: skip
    finally:
        os.umask(before)
    assert list(mounts.scratch.iterdir()) == []


def test_without_a_repository_there_is_an_empty_place_to_write(mounts: Mounts) -> None:
    empty = replace(mounts, lower=None)
    program = f"ls -A {empty.repository}; stat -f -c '%T %c' {empty.repository}"
    assert said_by(empty, program) == "tmpfs 100\n"


def test_nothing_is_started_where_something_cannot_be_mounted(mounts: Mounts) -> None:
    absent = replace(mounts, lower=mounts.scratch / "absent")
    argv = absent.before(["echo", "started"])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "mount" in done.stderr
