"""What the operator may set for sandboxes: `EVOSCALE_SANDBOX_*`. Read once, passed on in pieces."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sandbox.contract import Limits

MIB = 1024**2
ALWAYS = ("network", "memory", "pids")
"""What must hold on every machine, or no foreign code runs there."""
Promise = Literal[
    "network", "memory", "pids", "cpus", "disk", "files", "root", "calls", "host", "time", "fresh",
    "gvisor",
]  # fmt: skip


FETCH_VARIABLES = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "NETRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
     "XDG_CONFIG_DIRS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE",
     "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
)  # fmt: skip
"""What a package manager needs of ours: where it is, its own settings, proxies, certificates."""


def fetch_environment(own: str) -> dict[str, str]:
    """The variables that a package manager is started with; `own` begins the names of its own.

    None of this program's settings is among them: keys, tokens and database addresses are not for
    programs that read what strangers published.
    """
    names = os.environ  # noqa: TID251  # a settings module reads it
    prefix = own.upper()
    return {
        name: value
        for name, value in names.items()
        if name.upper() in FETCH_VARIABLES or name.upper().startswith(prefix)
    }


def search_path() -> tuple[Path, ...]:
    """The folders of PATH, as this process has it."""
    folders = os.environ.get("PATH", "").split(os.pathsep)  # noqa: TID251  # a settings module reads it
    return tuple(Path(folder) for folder in folders if Path(folder).is_absolute())


def default_cache_dir() -> Path:
    """Where images and wheels are kept: root's must be enterable by the user its boxes run as."""
    if os.geteuid() == 0:
        return Path("/var/cache/evoscale")
    chosen = os.environ.get("XDG_CACHE_HOME")  # noqa: TID251  # a settings module reads it
    base = Path(chosen) if chosen and Path(chosen).is_absolute() else Path.home() / ".cache"
    return base / "evoscale"


class SandboxSettings(BaseSettings):
    """How boxes are made and what one may use."""

    model_config = SettingsConfigDict(env_prefix="EVOSCALE_SANDBOX_", frozen=True, extra="ignore")

    kind: Literal["auto", "docker", "runc", "bubblewrap"] = Field(
        default="auto",
        description="Which sandbox to use. `auto` takes Docker where an engine answers, else "
        "`runc` for root, else bubblewrap.",
    )
    runtime: Literal["runc", "runsc"] = Field(
        default="runc",
        description="The OCI runtime of `docker` and `runc`. `runsc` is gVisor: stronger walls, "
        "two to three times slower; for Docker it must be registered with the engine.",
    )
    require: Annotated[tuple[Promise, ...], NoDecode] = Field(
        default=(),
        description="What must hold besides network, memory and pids, which always must, or no "
        "work is done: a list with commas of `cpus`, `disk`, `files`, `root`, `calls`, `host`, "
        "`time`, `fresh` and `gvisor`. What is only watched is refused where it is named here, "
        "`memory` too.",
    )
    cache_dir: Path = Field(
        default_factory=default_cache_dir,
        description="Where images and locks are kept. For root it must be a place that other users "
        "may enter, because boxes never run as root.",
    )
    base_image: str = Field(
        default="auto",
        description="The image Docker environments start from; it needs python3 and glibc. `auto` "
        "takes `python:X.Y-slim` where the engine has it or a registry answers within 5 seconds, "
        "else the machine's own Python toolchain; `toolchain` takes that at once.",
    )
    python_image: str = Field(
        default="python:{version}-slim",
        description="The image that Docker takes for a repository which asks for another "
        "Python; `{version}` is `3.9` or the like. It is trusted as the base image is. Empty: no "
        "registry is asked, and only Pythons that are installed here are looked for.",
    )
    wall_clock_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds one command in a box may take before it is killed.",
    )
    memory_bytes: int = Field(
        default=2048 * MIB,
        ge=64 * MIB,
        description="Bytes of memory one box may use, files it writes included.",
    )
    cpus: float = Field(default=1.0, gt=0, description="Processors one box may use.")
    pids: int = Field(default=256, ge=16, description="Processes and threads one box may have.")
    output_bytes: int = Field(
        default=4 * MIB,
        ge=1024,
        description="Bytes of a command's output that are kept: its first and its last half.",
    )
    disk_bytes: int = Field(
        default=1024 * MIB,
        ge=16 * MIB,
        description="Bytes of memory for a box's repository: what is written there, and the copy "
        "where it is one.",
    )
    pool: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Boxes of one search that are kept started ahead of time, each used once. It "
        "saves most of a box's start where fewer candidates run than there are cores; 0 is off.",
    )
    images_days: float = Field(
        default=30.0, gt=0, description="Days after its last use that an image is removed."
    )
    images_bytes: int = Field(
        default=20 * 1024 * MIB,
        ge=0,
        description="Bytes that all images together may take up; the longest unused go first.",
    )
    downloads_bytes: int = Field(
        default=5 * 1024 * MIB,
        ge=0,
        description="Bytes that pip and npm may keep of what they have fetched; the longest unused "
        "go first, and after `EVOSCALE_SANDBOX_IMAGES_DAYS` in any case. Not counted where "
        "`PIP_CACHE_DIR` or `NPM_CONFIG_CACHE` name a place of the operator's own.",
    )
    build_wall_clock_s: float = Field(
        default=600.0,
        gt=0,
        description="Seconds that making one repository's environment may take.",
    )

    @field_validator("require", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(word.strip() for word in value.split(",") if word.strip())

    def limits(self) -> Limits:
        """The limits for one box."""
        return Limits(self.wall_clock_s, self.memory_bytes, self.cpus, self.pids, self.output_bytes)

    @property
    def downloads(self) -> Path:
        """Where package managers keep what they have fetched, unless the operator says where."""
        return self.cache_dir / "downloads"
