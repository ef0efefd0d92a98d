"""A Docker engine that belongs to one test: its disk may be filled, its runtimes may be chosen."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

START_S = 60.0
POLL_S = 0.05


@contextmanager
def own_engine(folder: Path, data: Path, runtimes: Mapping[str, object]) -> Iterator[str]:
    """Gives its address. It has a network of its own, no bridge, and touches no firewall."""
    program = shutil.which("dockerd")
    if program is None or os.geteuid() != 0:
        pytest.skip("an engine of one's own takes dockerd and root")
    place, pid = folder / "docker.sock", folder / "pid"
    (folder / "daemon.json").write_text(json.dumps({"runtimes": dict(runtimes)}))
    argv = [
        "unshare", "--net", program, "--config-file", str(folder / "daemon.json"),
        "--data-root", str(data), "--exec-root", str(folder / "exec"), "--pidfile", str(pid),
        "--host", f"unix://{place}", "--iptables=false", "--ip6tables=false", "--bridge=none",
    ]  # fmt: skip
    log = folder / "dockerd.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _listens(place):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"no second engine starts here: {log.read_text()[-500:]}")
            time.sleep(POLL_S)
        yield f"unix://{place}"
    finally:
        process.terminate()
        process.wait(START_S)


def _listens(place: Path) -> bool:
    argv = ["docker", "--host", f"unix://{place}", "version"]
    return place.exists() and subprocess.run(argv, capture_output=True, check=False).returncode == 0


@contextmanager
def ext4_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system in a sparse file, which an engine can keep its layers on."""
    image, place = folder / "disk.img", folder / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(mebibytes * 1024**2)
    steps = (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(place)])
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no disk in a file can be made here: {error}")
        if done.returncode != 0:
            pytest.skip(f"no disk in a file can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
