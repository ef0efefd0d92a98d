import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api.client import APIClient
from hypothesis import given
from hypothesis import strategies as st

from sandbox import images
from sandbox.contract import Limits, Sandbox, StoredImage
from sandbox.directories import FOLDER, Store
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import in_use
from sandbox.owners import LABEL, owner
from sandbox.pruning import prune, prune_downloads, tend, too_many
from sandbox.recipes import npm_packages, wheels
from sandbox.toolchain import which
from tests.sandbox.conftest import opened, settings

NEVER_S = 1e12
MANY = 10**15
CANDIDATES = 6


def image(name: str, size: int, used_at: float) -> StoredImage:
    return StoredImage(name, size, used_at)


def test_the_too_old_go_and_then_the_longest_unused_until_the_rest_fits() -> None:
    found = [image("new", 10, 90.0), image("old", 10, 10.0), image("middle", 10, 50.0)]
    names = [i.name for i in too_many(found, older_than_s=80, most_bytes=100, now=100.0)]
    assert names == ["old"]
    names = [i.name for i in too_many(found, older_than_s=1000, most_bytes=10, now=100.0)]
    assert names == ["old", "middle"]
    assert too_many(found, older_than_s=1000, most_bytes=30, now=100.0) == []


@given(
    st.lists(st.tuples(st.integers(0, 100), st.floats(0, 1000))),
    st.integers(0, 500),
)
def test_what_stays_fits_and_nothing_that_stays_is_older(
    sizes: list[tuple[int, float]], most: int
) -> None:
    found = [image(str(n), size, used) for n, (size, used) in enumerate(sizes)]
    gone = too_many(found, older_than_s=NEVER_S, most_bytes=most, now=1000.0)
    stay = [each for each in found if each not in gone]
    assert sum(each.size_bytes for each in stay) <= most
    if gone and stay:
        assert max(each.used_at for each in gone) <= min(each.used_at for each in stay)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An environment with two repositories made from it, and another environment."""
    made = Store(tmp_path / "cache", None, "test")
    layer = tmp_path / "layer"
    (layer / "opt/repo").mkdir(parents=True)
    (layer / "opt/repo/file").write_text("x" * 1000)
    for name, base in (("env", None), ("one", "env"), ("two", "env"), ("other", None)):
        with made.making(name, base, layer):
            pass
    return made


def names(store: Store) -> set[str]:
    return {found.name.rpartition("/")[2] for found in store.images()}


def test_a_base_goes_only_after_what_was_made_from_it(store: Store) -> None:
    (env,) = [found.name for found in store.images() if found.name.endswith("/env")]
    assert not store.discard(env)
    pruned = prune(store, older_than_s=NEVER_S, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert len(pruned.removed) == 4
    assert pruned.removed.index(env) >= 2
    assert (pruned.freed_bytes, pruned.left_bytes) == (4 * 1000 + 2 * len("env"), 0)
    assert store.images() == []


def test_an_image_that_a_box_uses_stays_and_so_does_its_base(store: Store) -> None:
    with store.opened("one") as trees:
        prune(store, older_than_s=NEVER_S, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
        assert names(store) == {"one", "env"}
        assert (trees["opt/repo"] / "file").is_file()
    prune(store, older_than_s=NEVER_S, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert names(store) == set()


def test_a_base_stays_while_something_is_made_from_it(store: Store, tmp_path: Path) -> None:
    with store.building("three", "other") as needed:
        assert needed
        prune(store, older_than_s=NEVER_S, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
        assert names(store) == {"other"}
        with store.making("three", "other", tmp_path / "layer"):
            pass
    assert store.trees("three")


def test_an_image_without_its_base_is_none_and_is_made_again(store: Store, tmp_path: Path) -> None:
    (env,) = (tmp_path / "cache" / FOLDER).glob("images-*/env")
    shutil.rmtree(env)
    assert not store.has("one")
    with store.building("one", "other") as needed:
        assert needed
        with store.making("one", "other", tmp_path / "layer"):
            pass
    assert store.has("one")
    assert store.trees("one")
    assert not list(env.parent.glob(".unfinished-*"))


def test_the_last_use_counts_not_the_making(store: Store, tmp_path: Path) -> None:
    for name in ("env", "one", "two", "other"):
        with in_use(tmp_path / "cache", name):
            pass
        os.utime(tmp_path / f"cache/locks/in-use-{name}", (1000, 1000))
    with store.opened("two"):
        pass
    prune(store, older_than_s=3600.0, most_bytes=MANY)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert names(store) == {"two", "env"}


def test_the_images_of_an_older_toolchain_go_with_it(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / FOLDER
    (folder / "toolchain-older").mkdir()
    (made,) = folder.glob("images-*")
    made.rename(folder / "images-older")
    assert not store.discard("toolchain-older")
    prune(store, older_than_s=NEVER_S, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
    prune(store, older_than_s=-1.0, most_bytes=0)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert not (folder / "toolchain-older").exists()


@pytest.fixture
def client() -> Iterator[APIClient]:
    opened("docker")
    found = APIClient()
    yield found
    found.close()


@pytest.mark.docker
def test_an_image_of_docker_goes_unless_a_container_uses_it(client: APIClient) -> None:
    sandbox = opened("docker")
    tag = "evoscale/prune-test:tiny"
    client.import_image_from_data(b"\0" * 1024, repository="evoscale/prune-test", tag="tiny")
    container = client.create_container(tag, ["true"])
    try:
        assert not sandbox.discard(tag)
        assert tag in {found.name for found in sandbox.images()}
    finally:
        client.remove_container(container["Id"])
    assert sandbox.discard(tag)
    assert not sandbox.discard(tag)
    assert tag not in {found.name for found in sandbox.images()}


@pytest.mark.docker
def test_an_image_of_docker_that_is_being_opened_stays() -> None:
    sandbox = opened("docker")
    bare = images.bare(sandbox)
    with sandbox.open(bare, Limits()):
        (name,) = [found.name for found in sandbox.images() if f"/{bare}:" in found.name]
        assert not sandbox.discard(name)


def test_tending_ends_when_told_and_outlives_a_machine_that_fails(
    store: Store, tmp_path: Path
) -> None:
    stop = threading.Event()

    class Told:
        """The store, which says stop after its first round."""

        images, discard = store.images, store.discard

        def reap(self) -> int:
            stop.set()
            return 0

    tend(Told(), settings(images_bytes=0, cache_dir=tmp_path / "cache"), stop)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert store.images() == []


def test_downloads_are_pruned_where_the_engine_does_not_answer(tmp_path: Path) -> None:
    stop = threading.Event()
    found = settings(cache_dir=tmp_path / "cache")
    aged = found.downloads / "pip/aged"
    aged.parent.mkdir(parents=True)
    aged.write_bytes(b"x")
    os.utime(aged, (1000, 1000))

    class Failing:
        def reap(self) -> int:
            stop.set()
            raise SandboxUnavailableError("test", "it does not answer")

    tend(Failing(), found, stop)  # type: ignore[arg-type]  # as much of a sandbox as is used
    assert not aged.exists()


def test_of_kept_downloads_the_longest_unused_go_and_what_may_be_written_now_stays(
    tmp_path: Path,
) -> None:
    for name, age_s in (
        ("pip/new", 0),
        ("pip/read", 2000),
        ("npm/a/old", 3000),
        ("npm/aged", 9000),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
        used = time.time() - age_s
        os.utime(path, (used, used - 90_000))
    pruned = prune_downloads(tmp_path, older_than_s=8000, most_bytes=20)
    assert {Path(name).name for name in pruned.removed} == {"aged", "old"}
    assert (pruned.freed_bytes, pruned.left_bytes) == (20, 20)
    pruned = prune_downloads(tmp_path, older_than_s=8000, most_bytes=0)
    assert [Path(name).name for name in pruned.removed] == ["read"]
    assert prune_downloads(tmp_path / "none", older_than_s=1, most_bytes=0).left_bytes == 0


def test_an_index_goes_with_what_it_names_and_folders_that_are_empty_go(tmp_path: Path) -> None:
    cache, other = tmp_path / "npm/_cacache", tmp_path / "other/_cacache"
    old, new = cache / "content-v2/aa/old", cache / "content-v2/bb/new"
    indexes = cache / "index-v5/cc/index", other / "index-v5/cc/index"
    empty, fresh = tmp_path / "pip/a/b", tmp_path / "pip/fresh"
    for path in (old, new, *indexes):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 10)
    for place in (empty, fresh):
        place.mkdir(parents=True)
    for path in (old, old.parent, empty, empty.parent):
        os.utime(path, (1000, 1000))
    pruned = prune_downloads(tmp_path, older_than_s=3600, most_bytes=MANY)
    assert pruned.removed == (str(indexes[0]), str(old))
    assert (pruned.freed_bytes, pruned.left_bytes) == (20, 20)
    assert [path.exists() for path in (new, indexes[1], fresh)] == [True, True, True]
    assert [path.exists() for path in (old.parent, empty, empty.parent)] == [False, False, False]


@pytest.mark.network
@pytest.mark.parametrize("manager", ["pip", "npm"])
def test_what_was_pruned_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    monkeypatch.setenv("EVOSCALE_SANDBOX_CACHE_DIR", str(tmp_path))
    for name in ("PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "NPM_CONFIG_CACHE", "npm_config_cache"):
        monkeypatch.delenv(name, raising=False)
    if manager == "npm" and which("npm") is None:
        pytest.skip("this machine has no npm")

    def fetch(place: Path) -> bool:
        if manager == "npm":
            npm_packages.download({"is-number": "7.0.0"}, "", place)
            return (place / "node_modules/is-number/package.json").is_file()
        wheels.download(["iniconfig"], place)
        return bool(list(place.glob("iniconfig-*.whl")))

    assert fetch(tmp_path / "first")
    kept = [path for path in (tmp_path / "downloads" / manager).rglob("*") if path.is_file()]
    contents = [path for path in kept if "content-v2" in path.parts or path.suffix == ".body"]
    if not contents:
        pytest.skip("this index lets nothing be kept")
    for path in contents:  # and what names them stays
        os.utime(path, (1000, 1000))
    # npm then trusts its index, however old; of a registry's answer it may do so for hours
    monkeypatch.setenv("NPM_CONFIG_PREFER_OFFLINE", "true")
    assert prune_downloads(tmp_path / "downloads", older_than_s=3600, most_bytes=MANY).removed
    assert not any("index-v5" in path.parts and path.exists() for path in kept)
    assert fetch(tmp_path / "second")


@pytest.mark.network
def test_what_is_pruned_while_npm_reads_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOSCALE_SANDBOX_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NPM_CONFIG_PREFER_OFFLINE", "true")
    for name in ("NPM_CONFIG_CACHE", "npm_config_cache"):
        monkeypatch.delenv(name, raising=False)
    if which("npm") is None:
        pytest.skip("this machine has no npm")
    npm_packages.download({"is-number": "7.0.0"}, "", tmp_path / "first")
    (content,) = (tmp_path / "downloads/npm").rglob("content-v2")
    shutil.rmtree(content)
    npm_packages.download({"is-number": "7.0.0"}, "", tmp_path / "second")
    assert (tmp_path / "second/node_modules/is-number/package.json").is_file()


def left_behind() -> dict[str, list[str]]:
    """What boxes of this process could leave on the machine."""
    process = os.getpid()
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return {
        "mounts": [line for line in mounts if "evoscale-bundle" in line],
        "loops": sorted(str(path) for path in Path("/sys/block").glob("loop*/loop/backing_file")),
        "groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/evoscale-{process}-*")],
        "bundles": [str(path) for path in Path("/tmp").glob(f"evoscale-bundle-{process}-*")],
        "children": Path(f"/proc/{process}/task/{process}/children").read_text().split(),
    }


def test_many_candidates_leave_nothing_behind(sandbox: Sandbox, bare: str) -> None:
    before = left_behind()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(CANDIDATES):
        with sandbox.open(bare, Limits()) as box:
            box.exec(["sh", "-c", "echo x > /repo/a; echo x > /tmp/b; sleep 100 & true"])
    assert left_behind() == before
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    if sandbox.isolation.startswith("docker"):
        engine = APIClient()
        ours = {"label": [f"{LABEL}=1", f"{LABEL}.owner={owner()}"]}
        assert engine.containers(all=True, filters=ours) == []
        engine.close()
