"""Debian's Gradle looks for itself and its libraries in fixed places: a copy is told its own ones.

A string in a Java class file has its length before it, and nothing else depends on it, so another
can stand in its place. Gradle as its makers distribute it looks beside its own files already.
"""

import zipfile
from pathlib import Path

HOME = "opt/env/gradle"
PLACES = {"/usr/share/gradle": f"/{HOME}", "/usr/share/java": f"/{HOME}/lib"}
CLASSES = "org/gradle/internal/installation/"
JARS = Path("/usr/share/java")


def libraries(home: Path) -> dict[str, Path]:
    """The libraries that Gradle's own jars name and Debian keeps elsewhere, by their new places."""
    found = {f"gradle/lib/{path.name}": path for path in JARS.glob("gradle-*.jar")}
    for jar in sorted((home / "lib").rglob("*.jar")):
        for name in _named_in(jar):
            # Looked for by the plain name or by the one with a version.
            for path in (JARS / name, *JARS.glob(f"{name.removesuffix('.jar')}-[0-9]*.jar")):
                if path.is_file():
                    found[f"gradle/lib/{path.name}"] = path
    return found


def relocate(target: Path) -> None:
    """Rewrite the places in the copy below a layer's root, where they are in it."""
    for jar in sorted((target / HOME / "lib").glob("gradle-core-api*.jar")):
        with zipfile.ZipFile(jar) as archive:
            entries = {info: archive.read(info) for info in archive.infolist()}
        with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
            for info, data in entries.items():
                is_class = info.filename.startswith(CLASSES)
                archive.writestr(info, _replaced(data) if is_class else data)


def _replaced(data: bytes) -> bytes:
    for old, new in PLACES.items():
        data = data.replace(_constant(old), _constant(new))
    return data


def _constant(text: str) -> bytes:
    """A string as it stands in a class file's table: its tag, its length, itself."""
    return b"\x01" + len(text).to_bytes(2, "big") + text.encode("ascii")


def _named_in(jar: Path) -> list[str]:
    try:
        with zipfile.ZipFile(jar) as archive:
            lists = [n for n in archive.namelist() if n.endswith("-classpath.properties")]
            texts = [archive.read(name).decode("utf-8", "replace") for name in lists]
    except (OSError, zipfile.BadZipFile):
        return []
    lines = [line for text in texts for line in text.splitlines() if line.startswith("runtime=")]
    names = [name for line in lines for name in line.removeprefix("runtime=").split(",")]
    return [name for name in names if name.endswith(".jar") and "/" not in name]
