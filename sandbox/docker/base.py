"""The image everything starts from: the operator's, a registry's, or the machine's toolchain.

And those of a registry that environments start from whose repository asks for another Python.
"""

import logging
import sys
import tempfile
import time
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import locked
from sandbox.settings import MIB
from sandbox.toolchain import fingerprint, write_tar

logger = logging.getLogger(__name__)

REGISTRY_S = 5  # for the question whether a registry is there at all
PULL_S = 600
ASK_AGAIN_S = 600.0  # after a registry had no image of a Python, or there was none
ANY_PYTHON = "{version}"
"""What in the name of `python_image` stands for the version."""


def base_image(engine: Engine, wanted: str, cache_dir: Path) -> str:
    """The name of the image to start from; pulled or made where it is not there.

    `auto` keeps to the toolchain once that is there: results should not depend on whether a
    registry happens to answer today.

    Raises:
        SandboxUnavailableError: the engine does not answer, or cannot get the image.
    """
    own = f"evoscale/toolchain:{fingerprint()}"
    if wanted == "auto":
        official = f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"
        if engine.image_id(official) is not None:
            return official
        known = engine.image_id(own) is not None
        if not known and _registry_has(engine, official):
            wanted = official
    if wanted not in {"auto", "toolchain"}:
        if engine.image_id(wanted) is None:
            _pull(engine, wanted)
        return wanted
    with locked(cache_dir, "docker-toolchain"):
        if engine.image_id(own) is None:
            _import_toolchain(engine, own)
    return own


class PythonImages:
    """The images of other Pythons, by the operator's pattern; none where that is empty."""

    def __init__(self, engine: Engine, pattern: str) -> None:
        self._engine = engine
        self._pattern = pattern
        self._missed: dict[str, float] = {}

    def find(self, version: str) -> str | None:
        """The id of the image of a version; pulled where it is not there.

        None where none can be had: no registry answers, it has no such image, or a pull does not
        end in time. It is then not asked again for ten minutes: that may cost seconds each time.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        if not self._pattern:
            return None
        wanted = self._pattern.replace(ANY_PYTHON, version)
        return self._engine.image_id(wanted) or self._pulled(wanted)

    def _pulled(self, wanted: str) -> str | None:
        if time.monotonic() - self._missed.get(wanted, -ASK_AGAIN_S) < ASK_AGAIN_S:
            return None
        try:
            if _registry_has(self._engine, wanted):
                _pull(self._engine, wanted)
        except SandboxUnavailableError as error:
            logger.warning("the image %s cannot be had: %s", wanted, error.reason)
        found = self._engine.image_id(wanted)
        if found is None:
            self._missed[wanted] = time.monotonic()
        return found


def _pull(engine: Engine, image: str) -> None:
    """Get an image from its registry, in all within `PULL_S`.

    Raises:
        SandboxUnavailableError: it cannot be had, or not in time.
    """
    deadline = time.monotonic() + PULL_S
    with engine.asked(PULL_S) as client:
        for said in client.pull(image, stream=True, decode=True):
            if "error" in said:
                raise SandboxUnavailableError(engine.isolation, f"{image}: {said['error']}")
            if time.monotonic() > deadline:
                reason = f"{image} could not be pulled within {PULL_S} seconds"
                raise SandboxUnavailableError(engine.isolation, reason)


def _registry_has(engine: Engine, image: str) -> bool:
    try:
        with engine.asked(REGISTRY_S) as client:
            client.inspect_distribution(image)  # type: ignore[no-untyped-call]  # docker's own
    except SandboxUnavailableError:
        return False
    return True


def _import_toolchain(engine: Engine, tag: str) -> None:
    repository, _, version = tag.partition(":")
    with tempfile.TemporaryFile() as archive:
        write_tar(cast("BufferedIOBase", archive))
        archive.seek(0)
        # As pieces, not as a file: the SDK announces chunks and would then send none.
        pieces = iter(lambda: archive.read(MIB), b"")
        with engine.asked(PULL_S) as client:
            client.import_image_from_stream(pieces, repository=repository, tag=version)
