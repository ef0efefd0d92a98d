import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import images
from sandbox.conformance import OPTIONAL, Bench, checks, run_check
from sandbox.contract import Limits, Sandbox
from sandbox.directories import HOST_UID
from sandbox.errors import SandboxUnavailableError
from sandbox.owners import owner
from sandbox.runc import RuncSandbox
from sandbox.runc.bundle import HOST_ROOT, Plan, configuration
from sandbox.runc.jail import BUNDLE, Container, reap
from sandbox.runc.runtime import STATE, Runtime, find_runtime
from sandbox.session import Spaces
from tests.sandbox.conftest import opened, settings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can use runc without an engine")
HOLD = """
import sys
from pathlib import Path
from sandbox.runc import RuncSandbox
from sandbox.contract import Limits
from sandbox.settings import SandboxSettings
sandbox = RuncSandbox(SandboxSettings(cache_dir=Path(sys.argv[1])))
with sandbox.open(sys.argv[2], Limits()) as box:
    box.exec(["true"])
    print("open", flush=True)
    box.exec(["sleep", "100"])
"""
AUTO = """
import sys
from pathlib import Path
from sandbox.backends import open_sandbox
from sandbox.settings import SandboxSettings
print(open_sandbox("auto", SandboxSettings(cache_dir=Path(sys.argv[1]))).isolation)
"""
GVISOR_CHECKS = (
    "the network is closed",
    "the root file system is read-only",
    "dangerous system calls are refused",
    "the machine is hidden",
    "memory is limited",
    "processes are limited",
    "boxes are fresh",
)


@pytest.fixture(scope="module")
def runc() -> Sandbox:
    return opened("runc")


@pytest.fixture(scope="module")
def image(runc: Sandbox) -> str:
    return images.bare(runc)


def left() -> list[str]:
    """Whatever boxes of this process could have left on the machine."""
    mark = f"{BUNDLE}{os.getpid()}-"
    bundles = [str(p) for p in Path("/tmp").glob(f"{mark}*")]
    containers = [str(p) for p in STATE.glob(f"runc/evoscale-{os.getpid()}-*")]
    groups = [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/evoscale-{os.getpid()}-*")]
    mounts = [
        line
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
        if mark in line
    ]
    return [*bundles, *containers, *groups, *mounts]


def plan(**changes: object) -> Plan:
    given: dict[str, object] = {
        "rootfs": Path("/cache/rootfs"),
        "trees": {"opt/env": Path("/cache/env"), "opt/repo": Path("/cache/repo")},
        "limits": Limits(memory_bytes=2**28, pids=33, cpus=0.5),
        "spaces": Spaces(1000, 2000, 3000),
        "gvisor": False,
        **changes,
    }
    return Plan(**given)  # type: ignore[arg-type]  # by name, from anything


def test_a_bundle_is_as_hard_as_promised() -> None:
    found = json.loads(configuration(plan(), "evoscale-1", Path("/tmp/b")))
    process, linux = found["process"], found["linux"]
    assert found["root"]["readonly"]
    assert process["noNewPrivileges"]
    assert process["user"]["uid"] == 10001
    assert not any(process["capabilities"].values())
    assert not process["terminal"]
    assert linux["resources"]["memory"] == {"limit": 2**28, "swap": 2**28}
    assert linux["resources"]["pids"] == {"limit": 33}
    assert linux["resources"]["cpu"] == {"quota": 50_000, "period": 100_000}
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    assert kinds == {"pid", "network", "ipc", "uts", "mount", "user", "cgroup"}
    assert {m["hostID"] for m in linux["uidMappings"]} == {HOST_ROOT, HOST_UID}
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    sized = [m for m in found["mounts"] if m["type"] == "tmpfs" and m["destination"] != "/dev"]
    assert all(any(o.startswith("nr_inodes=") for o in m["options"]) for m in sized)
    assert all(any(o.startswith("size=") for o in m["options"]) for m in sized)


def test_a_repository_is_an_overlay_but_not_in_a_build_and_not_under_gvisor() -> None:
    laid = plan().mounts(Path("/tmp/b"))
    assert laid is not None
    assert laid.lower == Path("/cache/repo")
    assert (laid.repo.size_bytes, laid.repo.files) == (1000, 200_000)
    assert plan().orders["laid"]
    for other in (plan(gvisor=True), plan(writable=frozenset({"opt/repo"}))):
        assert other.mounts(Path("/tmp/b")) is None
        assert "laid" not in other.orders


def test_anybody_but_root_is_told_what_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SandboxUnavailableError, match="docker or bubblewrap"):
        find_runtime("runc")


@as_root
def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailableError, match="apt-get install runc"):
        find_runtime("runc")


@as_root
def test_a_state_directory_that_cannot_be_made_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sandbox.runc.runtime.STATE", tmp_path / "file" / "state")
    with pytest.raises(SandboxUnavailableError, match="state"):
        RuncSandbox(settings())


@as_root
def test_root_that_may_not_mount_is_given_another_sandbox(
    runc: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert runc.isolation == "runc"
    bubblewrap = opened("bubblewrap")
    limited = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", AUTO]
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    argv = [*limited, str(settings().cache_dir)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [bubblewrap.isolation], done.stderr
    assert left() == []


@as_root
def test_a_box_leaves_nothing_whatever_happens_in_it(runc: Sandbox, image: str) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), runc.open(image, Limits()) as box:  # noqa: PT012  # the box has to open first
            assert box.exec(["true"]).exit_code == 0
            raise error
    assert left() == []


@as_root
def test_a_box_that_cannot_start_says_why_and_leaves_nothing(
    runc: Sandbox, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.runc.bundle.MASKED", (7,))
    with pytest.raises(SandboxUnavailableError, match="runc"), runc.open(image, Limits()):
        pass
    assert left() == []


@as_root
def test_a_box_of_a_killed_process_ends_and_reap_forgets_it(runc: Sandbox, image: str) -> None:
    argv = [sys.executable, "-c", HOLD, str(settings().cache_dir), image]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        (bundle,) = Path("/tmp").glob(f"{BUNDLE}{process.pid}-*")
        box = int((bundle / "pid").read_text(encoding="ascii"))
        name = (bundle / "name").read_text(encoding="ascii")
        process.send_signal(signal.SIGKILL)
    for _ in range(600):
        if not Path(f"/proc/{box}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{box}").exists()
    assert runc.reap() >= 1
    assert not bundle.exists()
    assert not (STATE / "runc" / name).exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{name}"))


def gone_owner() -> str:
    """A process of this machine that runs no more, in the words of a bundle."""
    with subprocess.Popen(["true"]) as process:
        machine, _, _ = owner().rpartition("/")[0].rpartition("/")
    return f"{machine}/{process.pid}/1"


@pytest.fixture
def left_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes what a killed process leaves, where nothing else lies."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def make(name: str) -> Path:
        bundle = tmp_path / f"{BUNDLE}{len(list(tmp_path.iterdir()))}"
        bundle.mkdir()
        (bundle / "name").write_text(name)
        (bundle / "owner").write_text(gone_owner())
        return bundle

    return make


@as_root
def test_reap_does_not_believe_what_another_user_wrote(
    runc: Sandbox, image: str, left_bundles: Callable[[str], Path]
) -> None:
    with runc.open(image, Limits()) as box:
        (running,) = STATE.glob(f"runc/evoscale-{os.getpid()}-*")
        planted = left_bundles(running.name)
        os.chown(planted, 12345, 12345)
        runc.reap()
        assert planted.exists()
        assert box.exec(["true"]).exit_code == 0
    os.chown(planted, 0, 0)
    assert runc.reap() >= 1
    assert not planted.exists()


@as_root
def test_a_container_that_cannot_be_removed_does_not_keep_reap_from_the_rest(
    left_bundles: Callable[[str], Path], tmp_path: Path
) -> None:
    bundles = [left_bundles(f"evoscale-{n}") for n in range(3)]
    (bundles[1] / "name").unlink()
    absent = Runtime("runc", str(tmp_path / "absent"))
    reap(absent)
    assert all(bundle.exists() for bundle in bundles)
    (bundles[1] / "name").mkdir()
    reap(Runtime("runc", "/bin/true"))
    assert [bundle.exists() for bundle in bundles] == [False, True, False]


@as_root
def test_a_bundle_that_is_being_made_stays_and_an_old_one_without_an_owner_goes(
    left_bundles: Callable[[str], Path],
) -> None:
    young, old = left_bundles("young"), left_bundles("old")
    for bundle in (young, old):
        (bundle / "owner").unlink()
    os.utime(old, (1000, 1000))
    reap(Runtime("runc", "/bin/false"))
    assert young.exists()
    assert not old.exists()


def test_a_machine_whose_name_has_an_underscore_is_cleared_up_as_well(
    left_bundles: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "build_host")
    bundle = left_bundles("evoscale-1")
    reap(Runtime("runc", "/bin/true"))
    assert not bundle.exists()


def test_a_box_that_does_not_end_is_said_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sandbox.runc.jail.DELETE_S", 0.1)
    container = Container(Runtime("runc", "/bin/true"), "evoscale-1", tmp_path)
    with subprocess.Popen(["sleep", "100"]) as process:
        container._process = os.pidfd_open(process.pid)
        with pytest.raises(SandboxUnavailableError, match="does not end"):
            container.destroy()
        process.kill()


@as_root
@pytest.mark.parametrize("name", GVISOR_CHECKS)
def test_gvisor_keeps_the_promises_that_matter(name: str) -> None:
    try:
        sandbox = RuncSandbox(settings(runtime="runsc"))
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
    problem = run_check(checks()[name], Bench(sandbox, images.bare(sandbox)))
    assert problem is None
    assert name not in OPTIONAL["runsc"]
