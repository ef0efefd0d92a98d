"""Rust repositories: `cargo nextest` or `cargo test`, offline, with vendored crates or none.

nextest runs every test in a process of its own, so that one that aborts takes no other along; it is
taken where this machine has it. It runs no documentation tests.
"""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox.contract import TestCommand
from sandbox.errors import ImageBuildError
from sandbox.recipes import machine
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
from sandbox.toolchain import which

VERSION = "3"  # raise it when what goes into an image changes
ASK_S = 20.0
ADVICE = "install Rust and a linker (Debian: 'cargo gcc libc6-dev')"
GCC_PARTS = ("collect2",)
GCC_FILES = ("crtbegin.o", "crtbeginS.o", "crtbeginT.o", "crtend.o", "crtendS.o", "libgcc.a",
             "libgcc_eh.a", "libgcc_s.so")  # fmt: skip
LIBC_FILES = (
    "crt1.o", "Scrt1.o", "crti.o", "crtn.o", "libc.so", "libc.so.6", "libc_nonshared.a", "libm.so",
    "libm.so.6", "libmvec.so.1", "libdl.a", "librt.a", "libpthread.a", "libutil.a", "libdl.so.2",
    "librt.so.1", "libpthread.so.0", "libutil.so.1", "libgcc_s.so.1",
)  # fmt: skip
NEXTEST = "cargo-nextest"
NEXTEST_CONFIG = "/opt/project/nextest.toml"
NEXTEST_REPORT = "/tmp/target/nextest/default/junit.xml"  # noqa: S108  # in the box
REPORTING = '[profile.default.junit]\npath = "junit.xml"\n'
LOCKED = '(cd "$0" && cargo generate-lockfile --offline); exec "$@"'
"""Cargo would write a missing lock file while the tests run, and so change what they trust."""

COMPILER = "cc/usr/bin/gcc --sysroot=/opt/env/cc -fno-use-linker-plugin"
SETTINGS = {
    "CARGO_NET_OFFLINE": "true", "CARGO_HOME": "/tmp/cargo", "CARGO_TARGET_DIR": "/tmp/target",  # noqa: S108
    "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_TEST_DEBUG": "0", "CARGO_TERM_COLOR": "never",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER": "/opt/env/bin/cc",
    "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "/opt/env/bin/cc",
    "RUSTC": "/opt/env/bin/rustc", "RUSTDOC": "/opt/env/bin/rustdoc", "RUST_BACKTRACE": "0",
}  # fmt: skip


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
        root = Path(_said([str(_rustc()), "--print", "sysroot"]))
        compiler = machine.program("gcc", ADVICE)
        linker = machine.program("ld", ADVICE)
        own = Path(_said([str(compiler), "-print-libgcc-file-name"])).parent
        below = f"cc/usr/lib/gcc/{own.parent.name}/{own.name}"
        files = {
            "cc/usr/bin/gcc": compiler,
            f"{below}/ld": linker,
            **{f"{below}/{name}": own / name for name in (*GCC_PARTS, *GCC_FILES)},
            **_libc_files(compiler),
            **_rust_files(root),
        }
        launchers = {
            "cargo": "rust/bin/cargo", "rustc": "rust/bin/rustc",
            "rustdoc": "rust/bin/rustdoc", "cc": COMPILER,
        }  # fmt: skip
        nextest = _of_cargo(NEXTEST)
        if nextest is not None:
            files[f"rust/bin/{NEXTEST}"] = nextest
            launchers[NEXTEST] = f"rust/bin/{NEXTEST}"
        return machine.layer(
            machine.Toolchain(
                "rust",
                launchers=launchers,
                files={place: path.resolve() for place, path in files.items() if path.exists()},
                settings=SETTINGS,
                proof=("/opt/env/bin/cargo", "--version"),
            )
        )

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
        """`cargo nextest` where it is there, else `cargo test`, of the whole workspace."""
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
        runner = "nextest run" if _of_cargo(NEXTEST) else "test"
        return Steps(test_command=f"cargo {runner} --workspace --no-fail-fast")


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


def _rustc() -> Path:
    found = _of_cargo("rustc")
    if found is None:
        raise ImageBuildError(machine.STEP, f"this machine has no 'rustc'; {ADVICE}")
    return found


def _of_cargo(name: str) -> Path | None:
    """A program of this machine, or one that rustup or cargo installed for this user."""
    home = Path.home() / ".cargo" / "bin" / name
    return which(name) or (home if home.exists() else None)


def _said(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, timeout=ASK_S, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ImageBuildError(machine.STEP, f"{argv[0]} does not answer: {error}") from error
    return done.stdout.strip()


def _rust_files(root: Path) -> dict[str, Path]:
    """The compiler and the standard library for this machine's own target."""
    files = {f"rust/bin/{name}": root / "bin" / name for name in ("cargo", "rustc", "rustdoc")}
    for path in (root / "lib").glob("*.so*"):
        files[f"rust/lib/{path.name}"] = path
    for path in (root / "lib" / "rustlib").glob("*-linux-gnu/lib/*"):
        if path.suffix in {".rlib", ".rmeta", ".so"}:
            files[f"rust/{path.relative_to(root)}"] = path
    for path in (root / "lib" / "rustlib").glob("*-linux-gnu/bin/**/*"):  # its own linker
        if path.is_file():
            files[f"rust/{path.relative_to(root)}"] = path
    return files


def _libc_files(compiler: Path) -> dict[str, Path]:
    """Start-up files, libraries and the loader, where a linker told of our root looks for them."""
    found: dict[str, Path] = {}
    for name in LIBC_FILES:
        path = Path(_said([str(compiler), f"-print-file-name={name}"]))
        if path.is_absolute() and path.exists():
            # The scripts among them name libraries by their place in the root.
            for place in ("cc/usr/lib/x86_64-linux-gnu", "cc/lib/x86_64-linux-gnu"):
                found[f"{place}/{name}"] = path
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    return found | ({"cc/lib64/ld-linux-x86-64.so.2": loader} if loader.exists() else {})


def _place(target: Path) -> None:
    config = target / NEXTEST_CONFIG.lstrip("/")
    config.parent.mkdir(parents=True)
    config.write_text(REPORTING, encoding="utf-8")
