"""A registry of images on this machine alone, with one image: an old Python that is installed here."""

import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.api.client import APIClient

from sandbox.recipes import machine, python_found

CONFIG = "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
POLL_S = 0.05
POLLS = 600


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry that ends with the block; gives its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no registry is installed (Debian: docker-registry)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder / "images", port=port))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log) as process,
    ):
        try:
            _wait(port, process)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(POLLS):
        with socket.socket() as line:
            line.settimeout(POLL_S)
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(POLL_S)
    pytest.fail("the registry does not come up")


def push_python(client: APIClient, base: str, version: str, name: str) -> None:
    """Make an image whose `python3` is an installed one of a version, and have it nowhere else."""
    found = python_found.installed(version)
    if found is None:
        pytest.skip(f"no Python {version} is installed that could be an image's")
    repository, _, tag = name.rpartition(":")
    made = client.create_container(base, ["true"])["Id"]
    try:
        with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as archive:
            _lay(found, Path(scratch))
            with tarfile.open(fileobj=archive, mode="w") as tar:
                tar.add(scratch, arcname="usr/local", filter=_of_root)
            archive.seek(0)
            client.put_archive(made, "/", archive)
        client.commit(made, repository=repository, tag=tag)
    finally:
        client.remove_container(made)
    for said in client.push(repository, tag, stream=True, decode=True):
        assert "error" not in said, said
    client.remove_image(name)


def _lay(found: python_found.Installed, target: Path) -> None:
    """Lay it out as the official images do: the program in `bin`, and its library beside."""
    whole = target / "whole"
    python_found.layer(found).lay(whole)
    home = whole / machine.HOME
    (target / "bin").mkdir()
    (program,) = (home / "libexec").iterdir()
    program.rename(target / "bin" / program.name)
    for link in ("python3", "python"):
        (target / "bin" / link).symlink_to(program.name)
    for part in ("lib", machine.LIBRARIES_PLACE):
        if (home / part).exists():
            (home / part).rename(target / part)
    shutil.rmtree(whole)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    if entry.isdir():
        entry.mode = 0o755
    return entry
