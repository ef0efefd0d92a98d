"""What one file of a Python repository declares, and how the declarations of several add up."""

import configparser
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FILE_BYTES = 1024 * 1024
NAME_BYTES = 255
PATH_CHARS = 500
TEST_GROUPS = frozenset(
    {"test", "tests", "testing", "dev", "develop", "development", "ci", "all-tests"}
)
VERSION_LINE = re.compile(
    r"""^(?:__version__|version|VERSION)\s*(?::\s*str\s*)?=\s*["']([^"']+)["']""", re.MULTILINE
)

NO_YAML = (
    yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError,
    ArithmeticError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """One file's part. Requirements are as written, `made_up_files` what a build would write."""

    name: str = ""
    version: str = ""
    requirements: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    made_up_files: Mapping[str, str] = field(default_factory=dict)
    addopts: str = ""
    uses_pytest: bool = False

    def plus(self, other: "Declared") -> "Declared":
        """Both together; where only one can count, this one does."""
        groups = {**other.entry_points, **self.entry_points}
        return Declared(
            name=self.name or other.name,
            version=self.version or other.version,
            requirements=(*self.requirements, *other.requirements),
            paths=(*self.paths, *other.paths),
            entry_points=groups,
            made_up_files={**other.made_up_files, **self.made_up_files},
            addopts=f"{self.addopts} {other.addopts}".strip(),
            uses_pytest=self.uses_pytest or other.uses_pytest,
        )


def text_of(path: Path, most_bytes: int = FILE_BYTES) -> str:
    """A small regular file's text; empty for anything else."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > most_bytes:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def toml_of(path: Path) -> Mapping[str, object]:
    """A TOML file; empty when it is not one."""
    try:
        return tomllib.loads(text_of(path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def yaml_of(text: str | bytes) -> object:
    """What a YAML document says.

    Raises:
        ValueError: it is none. Tags on values that do not fit them raise almost anything in there.
    """
    try:
        return yaml.safe_load(text)
    except NO_YAML as error:
        raise ValueError(str(error) or type(error).__name__) from error


def ini_of(path: Path) -> configparser.ConfigParser:
    """An INI file; empty when it is not one."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text_of(path))
    except configparser.Error:
        return configparser.ConfigParser(interpolation=None)
    return parser


def table(value: object, *keys: str) -> Mapping[str, object]:
    """The table below these keys; empty when there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> tuple[str, ...]:
    """A string or the strings of a list; empty for anything else."""
    if isinstance(value, str):
        return (value,)
    is_list = isinstance(value, (list, tuple))
    return tuple(item for item in value if isinstance(item, str)) if is_list else ()  # type: ignore[attr-defined]  # `is_list` says so


def points(lines: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Entry points out of `name = where` lines."""
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): where.strip() for name, _, where in pairs}


def stays_inside(name: str) -> bool:
    """Whether a path of a declaration is relative, leads nowhere else and can be one at all."""
    parts = name.split("/")
    can_be = name.isprintable() and all(len(part.encode()) <= NAME_BYTES for part in parts)
    return bool(parts[0]) and len(name) <= PATH_CHARS and can_be and ".." not in parts


def assigned_version(checkout: Path, name: str) -> str:
    """The version that a module assigns to a name, read without importing it."""
    match = VERSION_LINE.search(text_of(checkout / name)) if stays_inside(name) else None
    return match[1] if match else ""


def attribute_version(checkout: Path, attribute: str) -> str:
    """The version behind setuptools' `attr: package.__version__`."""
    module = attribute.rpartition(".")[0].replace(".", "/")
    places = (f"{base}{module}{end}" for base in ("", "src/") for end in (".py", "/__init__.py"))
    return next(filter(None, (assigned_version(checkout, place) for place in places)), "")
