"""Programs as Debian lays them, which look for parts of themselves elsewhere on the machine."""

import re
import shutil
from pathlib import Path

import pytest

from sandbox.recipes import machine, node_home, rust_toolchain
from sandbox.toolchain import which


def test_a_node_that_reads_its_modules_elsewhere_is_given_them_and_told_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = bytes(tmp_path / "nodejs") + b"/"
    monkeypatch.setattr(node_home, "OLD", elsewhere)
    pattern = re.compile(re.escape(elsewhere) + rb"([\w-]+(?:/[\w.-]+)*\.js)")
    monkeypatch.setattr(node_home, "NAMED", pattern)
    module = tmp_path / "nodejs/acorn/dist/acorn.js"
    module.parent.mkdir(parents=True)
    module.write_text("exports.x = 1\n")
    program = which("true")
    assert program is not None
    node = tmp_path / "node"
    shutil.copy(program, node)
    assert node_home.parts(node) == {}
    named = (elsewhere + b"acorn/dist/acorn.js\0", elsewhere + b"gone/gone.js\0")
    node.write_bytes(node.read_bytes() + b"".join(named))
    assert node_home.parts(node) == {"builtins/acorn/dist/acorn.js": module}


def test_the_copy_is_told_its_own_places_and_nothing_in_it_moves(tmp_path: Path) -> None:
    home = tmp_path / machine.HOME
    for place in ("node/node", "machine-lib/libnode.so.115", "machine-lib/libother.so.1"):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_bytes(b"\x7fELF\0/usr/share/nodejs/acorn/dist/acorn.js\0end")
    node_home.relocate(tmp_path)
    told = b"\x7fELF\0/opt/env/builtins/acorn/dist/acorn.js\0end"
    assert (home / "node/node").read_bytes() == told
    assert (home / "machine-lib/libnode.so.115").read_bytes() == told
    assert b"/usr/share" in (home / "machine-lib/libother.so.1").read_bytes()
    assert len(node_home.OLD) == len(node_home.NEW)


def test_a_compiler_that_is_a_library_of_the_system_finds_the_standard_library_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if which("gcc") is None or which("ld") is None:
        pytest.skip("this machine has no linker")
    root = tmp_path / "usr"
    (root / "bin").mkdir(parents=True)
    for name in ("cargo", "rustc", "rustdoc"):
        (root / "bin" / name).write_text(f"#!/bin/sh\necho {root}\n")
        (root / "bin" / name).chmod(0o755)
    std = root / "lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-1.rlib"
    std.parent.mkdir(parents=True)
    std.write_bytes(b"std")
    monkeypatch.setattr(rust_toolchain, "of_cargo", lambda name: root / "bin" / name)
    target = tmp_path / "target"
    rust_toolchain.layer().lay(target)
    beside = target / machine.HOME / std.relative_to(root)
    assert beside.read_bytes() == b"std"
    (root / "lib/librustc_driver-1.so").write_bytes(b"")
    rust_toolchain.layer().lay(tmp_path / "own")
    assert not (tmp_path / "own" / machine.HOME / "lib").exists()
