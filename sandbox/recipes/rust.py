"""Rust repositories: `cargo test`, offline, with vendored crates or none.

`cargo nextest` is taken only where the owner asks for it: it runs every test in its own process and
believes the exit code, so that code which ends its process makes any test pass.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import rust_toolchain
from sandbox.recipes.declared import table, text_of, toml_of
from sandbox.recipes.layers import (
    Layer,
    no_packages,
    nothing,
    place_in_repository,
    reported,
    script,
)
from sandbox.recipes.steps import HERE, Steps

VERSION = "3"  # raise it when what goes into an image changes
NEXTEST_CONFIG = "/opt/project/nextest.toml"
NEXTEST_REPORT = "/tmp/target/nextest/default/junit.xml"  # noqa: S108  # in the box
REPORTING = '[profile.default.junit]\npath = "junit.xml"\n'
LOCKED = '(cd "$0" && cargo generate-lockfile --offline); exec "$@"'
"""Cargo would write a missing lock file while the tests run, and so change what they trust."""


class RustRecipe:
    """See `sandbox.recipes.layers.Recipe`."""

    def applies(self, checkout: Path) -> bool:
        """Whether there is a crate or a workspace."""
        return bool(text_of(checkout / "Cargo.toml"))

    def toolchain(self, checkout: Path) -> Layer:
        """This machine's cargo and rustc, and what its C compiler links programs with.

        Raises:
            ImageBuildError: something of it is missing; says what to install.
        """
        del checkout
        return rust_toolchain.layer()

    def dependencies(self, checkout: Path, packages: Sequence[str] | None = None) -> Layer:
        """Nothing: crates come from the repository's own `vendor` folder.

        Raises:
            ImageBuildError: it needs crates and has none vendored.
        """
        no_packages("rust", packages)
        vendored = (checkout / "vendor").is_dir() and (checkout / ".cargo").is_dir()
        wanted = sorted(required(checkout))
        if wanted and not vendored:
            names = ", ".join(wanted[:5])
            reason = f"it needs crates ({names}) and has no vendored ones; 'cargo vendor' lays them"
            raise ImageBuildError(
                "crates", f"{reason} and prints what goes into .cargo/config.toml"
            )
        return Layer(VERSION, _place, ("true",))

    def source(self, checkout: Path, path: str = HERE) -> Layer:
        """The repository."""
        del checkout
        folder = f"/{place_in_repository(path)}"
        locked = ("sh", "-c", LOCKED, folder, *script("build_repo.py"))
        return Layer(f"{VERSION} {path}", nothing, locked)

    def commands(self, checkout: Path, wanted: Sequence[str] | None) -> Sequence[TestCommand]:
        """`cargo test` of the whole workspace, or what the owner set."""
        words = [word for word in wanted or () if word != "{tests}"]
        reason = "the repository's owner set this command" if words else "Cargo.toml names a crate"
        words = words or shlex.split(self.found(checkout).test_command)
        if words[:3] == ["cargo", "nextest", "run"]:
            return (_nextest(words[3:], reason),)
        if words[:2] != ["cargo", "test"]:
            return (TestCommand("command", tuple(words), reason),)
        order: dict[str, object] = {
            "argv": ["cargo", "test", "--offline", *words[2:]], "select": "none", "output": "both",
        }  # fmt: skip
        return (reported("cargo", order, reason),)

    def found(self, checkout: Path) -> Steps:
        """The command, for the whole workspace."""
        del checkout
        return Steps(test_command="cargo test --workspace --no-fail-fast")


def _nextest(own: Sequence[str], reason: str) -> TestCommand:
    """Nextest with a configuration below the repository's own that has it write JUnit XML."""
    argv = ["cargo", "nextest", "run", "--offline", "--tool-config-file"]
    order: dict[str, object] = {
        "argv": [*argv, f"evoscale:{NEXTEST_CONFIG}", *own], "select": "none",
        "collect": [NEXTEST_REPORT],
    }  # fmt: skip
    return reported("nextest", order, reason)


def required(checkout: Path) -> set[str]:
    """The crates that the manifest asks a registry for."""
    data = toml_of(checkout / "Cargo.toml")
    groups = ("dependencies", "dev-dependencies", "build-dependencies")
    found = {**table(data, "workspace", "dependencies")}
    for group in groups:
        found |= table(data, group)
    return {
        name
        for name, wanted in found.items()
        if isinstance(wanted, str) or not {"path", "workspace"} & set(table(wanted))
    }


def _place(target: Path) -> None:
    config = target / NEXTEST_CONFIG.lstrip("/")
    config.parent.mkdir(parents=True)
    config.write_text(REPORTING, encoding="utf-8")
