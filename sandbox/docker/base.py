"""The image everything starts from: the operator's, a registry's, or the machine's toolchain."""

import sys
import tempfile
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.locks import locked
from sandbox.settings import MIB
from sandbox.toolchain import fingerprint, write_tar

REGISTRY_S = 5  # for the question whether a registry is there at all
PULL_S = 600


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
            with engine.asked(PULL_S) as client:
                client.pull(wanted)
        return wanted
    with locked(cache_dir, "docker-toolchain"):
        if engine.image_id(own) is None:
            _import_toolchain(engine, own)
    return own


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
