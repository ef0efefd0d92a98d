"""Talking to a Docker engine: short connections, bounded answers, one meaning for every failure."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker.errors
import docker.utils
import requests.exceptions
import urllib3.exceptions
from docker.api.client import APIClient
from docker.constants import DEFAULT_UNIX_SOCKET

from sandbox.contract import StoredImage
from sandbox.errors import SandboxUnavailableError

ANSWER_S = 60  # for one request
KILL_S = 60  # for killing and removing a container; tens of thousands of files took 20 s
CONFLICT = 409
OURS = "evoscale/"  # what the tags of our images begin with

FAILURES = (
    docker.errors.DockerException,  # the SDK's own tree, `NotFound` and the rest included
    docker.errors.StreamParseError,  # the one that is not in it
    requests.exceptions.RequestException,  # what the SDK lets through from its transport
    urllib3.exceptions.HTTPError,
    OSError,
)
"""Everything by which the engine, or the line to it, can fail; each ends in this package."""

OLDEST = "1.41"  # the API of Docker 20.10, the oldest that the boxes were tried on
MUST_LIMIT = ("MemoryLimit", "PidsLimit", "CpuCfsQuota")


def unavailable(isolation: str, error: Exception) -> SandboxUnavailableError:
    """What any of `FAILURES` means to the rest of the program."""
    reason = (" ".join(str(error).split()) or type(error).__name__)[:500]
    if "Permission denied" in reason or "PermissionError" in reason:
        reason += "; be root or in the group docker"
    if "no space left on device" in reason.lower():
        reason += "; make room on the engine's disk, or run `evoscale sandbox prune`"
    if isinstance(error, docker.errors.ImageNotFound):
        reason += "; it was removed meanwhile, and the next attempt builds it again"
    return SandboxUnavailableError(isolation, reason)


class Engine:
    """The engine that `DOCKER_HOST` names, or the local one."""

    def __init__(self, runtime: str) -> None:
        """Ask it what it is and can.

        Raises:
            SandboxUnavailableError: none answers, or it cannot hold the limits a box needs.
        """
        self.isolation = f"docker/{runtime}"
        self._version = "auto"
        with self.asked() as client:
            self._version = str(client.api_version)
            if docker.utils.version_lt(self._version, OLDEST):
                reason = (
                    f"the engine is too old: it speaks API {self._version}, and {OLDEST} (Docker "
                    "20.10) or newer is needed; upgrade it"
                )
                raise SandboxUnavailableError(self.isolation, reason)
            info = client.info()
        self.identity = "/".join(
            str(info.get(key, "")) for key in ("ID", "ServerVersion", "KernelVersion")
        )
        if runtime not in info.get("Runtimes", {}):
            reason = f"the engine has no runtime {runtime!r}; register it or use runc"
            raise SandboxUnavailableError(self.isolation, reason)
        lacking = [limit for limit in MUST_LIMIT if not info.get(limit)]
        if lacking:
            reason = (
                f"the engine cannot hold {lacking[0]}; give it control groups, or be not rootless"
            )
            raise SandboxUnavailableError(self.isolation, reason)

    def connect(self, timeout_s: int = ANSWER_S) -> APIClient:
        """A connection of one's own: a stalled one must not hold up the kill that would end it.

        Raises:
            SandboxUnavailableError: no engine answers.
        """
        try:
            arguments = docker.utils.kwargs_from_env()
            self._must_listen(str(arguments.get("base_url", DEFAULT_UNIX_SOCKET)))
            return APIClient(version=self._version, timeout=timeout_s, **arguments)
        except FAILURES as error:
            raise unavailable(self.isolation, error) from error

    def _must_listen(self, url: str) -> None:
        """Say so plainly where no engine runs; the SDK's own words for it fill a screen."""
        scheme, _, place = url.partition("://")
        if scheme.endswith("unix") and not Path("/", place).is_socket():
            raise SandboxUnavailableError(
                self.isolation, f"no engine listens at /{place.lstrip('/')}"
            )

    @contextmanager
    def asked(self, timeout_s: int = ANSWER_S) -> Iterator[APIClient]:
        """A connection for the requests of this block, whose failures are translated.

        Raises:
            SandboxUnavailableError: the engine failed, or did not answer in time.
        """
        client = self.connect(timeout_s)
        try:
            yield client
        except FAILURES as error:
            raise unavailable(self.isolation, error) from error
        finally:
            client.close()

    def image_id(self, tag: str) -> str | None:
        """The id of an image, or None where there is none of this name.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self.asked() as client:
            try:
                found = client.inspect_image(tag)  # type: ignore[no-untyped-call]  # docker's own
            except docker.errors.ImageNotFound:
                return None
            return str(found["Id"])

    def remove(self, name: str) -> None:
        """Kill and remove a container, if it is there.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self.asked(KILL_S) as client:
            try:
                client.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != CONFLICT:
                    raise
                with suppress(docker.errors.NotFound):  # its removal is under way: until it is gone
                    client.wait(name, timeout=KILL_S, condition="removed")

    def images(self) -> list[StoredImage]:
        """Our images by their tags; `size_bytes` is what each adds to the one it was made from.

        One that has somebody else's name too, as a pulled Python has, is not ours: it would stay
        where our name is removed.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self.asked() as client:
            found = client.images()
        sizes = {image["Id"]: int(image["Size"]) for image in found}
        return [
            StoredImage(
                tag,
                int(image["Size"]) - sizes.get(image.get("ParentId", ""), 0),
                float(image["Created"]),
            )
            for image in found
            for tag in image["RepoTags"] or ()
            if all(each.startswith(OURS) for each in image["RepoTags"])
        ]

    def discard(self, tag: str) -> bool:
        """Remove an image; false where a container or another image needs it.

        Raises:
            SandboxUnavailableError: the engine does not answer.
        """
        with self.asked() as client:
            try:
                client.remove_image(tag)  # never forced
            except docker.errors.ImageNotFound:
                return False
            except docker.errors.APIError as error:
                if error.status_code != CONFLICT:
                    raise
                return False
        return True
