"""This machine's cargo, rustc and linker as an image; nextest where it has it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import ImageBuildError
from sandbox.recipes import machine
from sandbox.recipes.layers import Layer
from sandbox.recipes.telling import without_places
from sandbox.toolchain import which

NEXTEST = "cargo-nextest"
DRIVER = "librustc_driver*"
ASK_S = 20.0
ADVICE = "install Rust and a linker (Debian: 'cargo gcc libc6-dev')"
GCC_FILES = ("crtbegin.o", "crtbeginS.o", "crtbeginT.o", "crtend.o", "crtendS.o", "libgcc.a",
             "libgcc_eh.a", "libgcc_s.so")  # fmt: skip
LIBC_FILES = (
    "crt1.o", "Scrt1.o", "crti.o", "crtn.o", "libc.so", "libc.so.6", "libc_nonshared.a", "libm.so",
    "libm.so.6", "libmvec.so.1", "libdl.a", "librt.a", "libpthread.a", "libutil.a", "libdl.so.2",
    "librt.so.1", "libpthread.so.0", "libutil.so.1", "libgcc_s.so.1",
)  # fmt: skip
COMPILER = "cc/usr/bin/gcc --sysroot=/opt/env/cc -fno-use-linker-plugin"
SETTINGS = {
    "CARGO_NET_OFFLINE": "true", "CARGO_HOME": "/tmp/cargo", "CARGO_TARGET_DIR": "/tmp/target",  # noqa: S108  # box
    "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_TEST_DEBUG": "0", "CARGO_TERM_COLOR": "never",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER": "/opt/env/bin/cc",
    "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "/opt/env/bin/cc",
    "RUSTC": "/opt/env/bin/rustc", "RUSTDOC": "/opt/env/bin/rustdoc", "RUST_BACKTRACE": "0",
}  # fmt: skip


def layer() -> Layer:
    """What rust needs of this machine.

    Raises:
        ImageBuildError: something of it is missing; says what to install.
    """
    root = Path(_said([str(_rustc()), "--print", "sysroot"]))
    compiler = machine.program("gcc", ADVICE)
    linker = machine.program("ld", ADVICE)
    own = Path(_said([str(compiler), "-print-libgcc-file-name"])).parent
    below = f"cc/usr/lib/gcc/{own.parent.name}/{own.name}"
    collect = Path(_said([str(compiler), "-print-prog-name=collect2"]))
    # A newer gcc has its programs apart from its libraries, and looks for the linker beside them.
    runs = below.replace("/lib/", "/libexec/") if "libexec" in collect.parts else below
    files = {
        "cc/usr/bin/gcc": compiler,
        f"{runs}/ld": linker,
        f"{runs}/collect2": collect,
        **{f"{below}/{name}": own / name for name in GCC_FILES},
        **_libc_files(compiler),
        **_rust_files(root),
    }
    launchers = {
        "cargo": "rust/bin/cargo", "rustc": "rust/bin/rustc",
        "rustdoc": "rust/bin/rustdoc", "cc": COMPILER,
    }  # fmt: skip
    nextest = of_cargo(NEXTEST)
    if nextest is not None:
        files[f"rust/bin/{NEXTEST}"] = nextest
        launchers[NEXTEST] = f"rust/bin/{NEXTEST}"
    made = machine.layer(
        machine.Toolchain(
            "rust",
            launchers=launchers,
            files={place: path.resolve() for place, path in files.items() if path.exists()},
            settings=SETTINGS,
            proof=("/opt/env/bin/cargo", "--version"),
        )
    )
    return made if any((root / "lib").glob(DRIVER)) else _with_libraries_beside(made)


def _with_libraries_beside(made: Layer) -> Layer:
    """The same for a distribution's compiler, which is a library among the system's.

    A newer one looks for the standard library beside that one, before it looks
    beside the program.
    """

    def lay(target: Path) -> None:
        made.lay(target)
        place = target / machine.HOME / "lib"
        place.mkdir(exist_ok=True)
        (place / "rustlib").symlink_to("../rust/lib/rustlib")

    return Layer(f"{made.key}\nrustlib", lay, made.script)


def _rustc() -> Path:
    found = of_cargo("rustc")
    if found is None:
        raise ImageBuildError(machine.STEP, f"this machine has no 'rustc'; {ADVICE}")
    return found


def of_cargo(name: str) -> Path | None:
    """A program of this machine, or one that rustup or cargo installed for this user."""
    home = Path.home() / ".cargo" / "bin" / name
    return which(name) or (home if home.exists() else None)


def _said(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, timeout=ASK_S, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = without_places(f"{argv[0]} does not answer: {error}")
        raise ImageBuildError(machine.STEP, reason) from error
    return done.stdout.strip()


def _rust_files(root: Path) -> dict[str, Path]:
    """The compiler and the standard library for this machine's own target."""
    files = {f"rust/bin/{name}": root / "bin" / name for name in ("cargo", "rustc", "rustdoc")}
    for path in (root / "lib").glob("*.so*"):
        files[f"rust/lib/{path.name}"] = path
    for path in (root / "lib" / "rustlib").glob("*-linux-gnu/lib/*"):
        if path.suffix in {".rlib", ".rmeta", ".so"}:
            files[f"rust/{path.relative_to(root)}"] = path
        if path.suffix == ".so" and not (root / "lib" / path.name).exists():
            # A distribution's compiler finds it among the system's libraries, not beside itself.
            files[f"{machine.LIBRARIES_PLACE}/{path.name}"] = path
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
