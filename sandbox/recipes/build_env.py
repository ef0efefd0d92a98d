"""Makes a Python environment out of wheels; runs in a box without network, sent as text.

Wheels are unpacked, never executed: the set was resolved before, so no installer is needed.
"""

from __future__ import annotations

import compileall
import configparser
import shutil
import sys
import venv
import zipfile
from pathlib import Path

ENV = Path("/opt/env")
SITE = ENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
PYTHON = ENV / "bin" / "python"
LAUNCHER = """#!{python}
import sys
from {module} import {first}
sys.exit({call}())
"""


def unpack(wheel: Path) -> None:
    """Lay a wheel's files where they belong."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(SITE)  # it refuses names that lead out
    for data in SITE.glob("*.data"):
        for kind, target in (("purelib", SITE), ("platlib", SITE), ("data", ENV)):
            if (data / kind).is_dir():
                merge(data / kind, target)
        for script in (data / "scripts").glob("*") if (data / "scripts").is_dir() else ():
            install_script(script)
        shutil.rmtree(data)


def merge(source: Path, target: Path) -> None:
    """Lay a directory over another; `copytree` can do so from Python 3.8 on."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(path), str(place))


def install_script(script: Path) -> None:
    """Put a wheel's own script on the path, with this environment's interpreter."""
    body = script.read_bytes()
    first, _, rest = body.partition(b"\n")
    if first.startswith(b"#!python"):
        body = b"#!" + str(PYTHON).encode() + b"\n" + rest
    target = ENV / "bin" / script.name
    target.write_bytes(body)
    target.chmod(0o755)


def launchers() -> None:
    """Write the commands that installed distributions declare."""
    for declared in SITE.glob("*.dist-info/entry_points.txt"):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        parser.read_string(declared.read_text(encoding="utf-8"))
        for name, where in parser.items("console_scripts") if "console_scripts" in parser else ():
            module, _, call = where.split("[")[0].strip().partition(":")
            text = LAUNCHER.format(
                python=PYTHON, module=module, first=call.split(".")[0], call=call
            )
            target = ENV / "bin" / Path(name).name
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755)


def main() -> None:
    """Build the environment in place."""
    if Path(sys.prefix) == ENV:  # the interpreter was laid there, and is nobody else's
        SITE.mkdir(parents=True, exist_ok=True)
    else:
        # An interpreter reached through a link would look for its library beside the link.
        sys._base_executable = str(Path(sys.executable).resolve())  # type: ignore[attr-defined]  # noqa: SLF001  # venv asks it
        venv.create(ENV, with_pip=False, symlinks=True)
    for wheel in sorted((ENV / "wheels").glob("*.whl")):
        unpack(wheel)
    if (ENV / "laid").is_dir():
        merge(ENV / "laid", SITE)
    launchers()
    for used in ("wheels", "laid"):
        shutil.rmtree(ENV / used, ignore_errors=True)
    # The repository's own metadata and paths live in a layer of their own, above this one.
    (SITE / "project.pth").write_text("import site; site.addsitedir('/opt/project/site')\n")
    compileall.compile_dir(str(SITE), quiet=2, workers=1)


if __name__ == "__main__":
    main()
