"""The SWE-bench harness itself, on the bench's candidate: PyPI's `swebench`, in its own venv."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError

VERSION = "5.0.2"
VENV = Path("build/bench") / f"swebench-{VERSION}"
DRIVER = Path(__file__).with_name("swebench_driver.py")
INSTALL_S = 900.0
ANSWER_S = 180.0
INSTANCE = "evoscale__bench-1"
PREPARE = (
    "cp -a /opt/repo /testbed && cd /testbed && rm -rf .git && git init -q && git add -A && "
    "git -c user.name=bench -c user.email=bench@localhost commit -q -m base"
)
"""The harness wants its repository at /testbed, as a checkout that `git apply` works on."""


class Harness:
    """The harness's process, ready to take the candidate again and again."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._runs = 0

    def run(self, *, own_end: bool = False) -> None:
        """Have the candidate evaluated once.

        Raises:
            SandboxUnavailableError: the harness did not find the candidate right, or it ended.
        """
        self._runs += 1
        answer = self.ask({"run": f"{os.getpid()}-{self._runs}", "own_end": own_end})
        if not answer.get("resolved"):
            raise _unusable(str(answer.get("why")))

    def ask(self, order: object) -> dict[str, object]:
        """Send one line and read one.

        Raises:
            SandboxUnavailableError: no answer came.
        """
        self.tell(order)
        answers = self._process.stdout
        if answers is None or not select.select([answers], [], [], ANSWER_S)[0]:
            raise _unusable(f"it did not answer within {ANSWER_S:.0f} s")
        line = answers.readline()
        if not line:
            raise _unusable("its process ended; run its program by hand to see why")
        found: dict[str, object] = json.loads(line)
        return found

    def tell(self, order: object) -> None:
        """Send one line.

        Raises:
            SandboxUnavailableError: its process has ended.
        """
        orders = self._process.stdin
        if orders is None or self._process.poll() is not None:
            raise _unusable("its process ended")
        orders.write(json.dumps(order) + "\n")
        orders.flush()


@dataclass(frozen=True, slots=True)
class Order:
    """What the harness is given: an image of ours, what runs in it, and what must pass."""

    engine: Engine
    tag: str
    script: Sequence[str]
    patch: str
    tests: Sequence[str]


@contextmanager
def harness(order: Order, folder: Path) -> Iterator[Harness]:
    """The harness, at work in `folder`, with an image made from ours; both are gone afterwards.

    Raises:
        SandboxUnavailableError: it cannot be installed or the image cannot be made.
    """
    python = _installed()
    image = f"evoscale-bench/swebench:{os.getpid()}"
    try:
        _prepare(order.engine, order.tag, image)
        with subprocess.Popen(
            [python, "-I", DRIVER],
            cwd=folder,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                found = Harness(process)
                found.tell({"spec": _instance(image, order), "patch": order.patch})
                yield found
            finally:
                process.kill()
    finally:
        _remove(order.engine, image)


def _installed() -> Path:
    """The Python of an environment that has the package; made where it is missing."""
    python = (VENV / "bin/python").absolute()
    complete = VENV / "complete"
    if complete.is_file():
        return python
    requirement = f"swebench=={VERSION}"
    for argv in (
        [sys.executable, "-m", "venv", str(VENV)],
        [str(python), "-m", "pip", "install", "--quiet", requirement],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            raise _unusable(f"{requirement} cannot be installed into {VENV}: {last[:300]}")
    complete.touch()
    return python


def _prepare(engine: Engine, tag: str, image: str) -> None:
    repository, _, version = image.partition(":")
    with engine.asked() as client:
        name = client.create_container(
            tag, ["sh", "-c", PREPARE], user="root", network_disabled=True
        )["Id"]
        try:
            client.start(name)
            if client.wait(name)["StatusCode"]:
                said = client.logs(name).decode(errors="replace").strip()
                raise _unusable(f"its checkout cannot be made in the image: {said[-300:]}")
            client.commit(name, repository, version)
        finally:
            client.remove_container(name, force=True)


def _instance(image: str, order: Order) -> dict[str, object]:
    marked = [": '>>>>> Start Test Output'", *order.script, ": '>>>>> End Test Output'"]
    return {
        "instance_id": INSTANCE,
        "image": image,
        "repo": "evoscale/bench",
        "version": "1",
        "FAIL_TO_PASS": list(order.tests),
        "PASS_TO_PASS": [],
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "eval_script": "\n".join(["cd /testbed", *marked]),
    }


def _remove(engine: Engine, image: str) -> None:
    """Take away the image and whatever container the harness left of it."""
    with engine.asked() as client:
        for left in client.containers(all=True, filters={"ancestor": [image]}):
            client.remove_container(left["Id"], force=True)
        if client.images(image):
            client.remove_image(image)


def _unusable(why: str) -> SandboxUnavailableError:
    return SandboxUnavailableError("SWE-bench harness", why)
