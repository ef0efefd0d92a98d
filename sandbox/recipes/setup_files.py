"""Reads `setup.cfg`, the literals in `setup.py`, and the hints in `tox.ini` and `pytest.ini`."""

import ast
import configparser
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from sandbox.recipes.declared import (
    TEST_GROUPS,
    Declared,
    attribute_version,
    ini_of,
    points,
    strings,
    table,
    text_of,
)
from sandbox.recipes.pyproject_file import plugins

UNREADABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
NOT_A_REQUIREMENT = re.compile(r"[{}]|^\s*-|^[\w,-]+:\s")  # substitution, option, tox factor


def read_setup_cfg(checkout: Path) -> Declared:
    """Everything it declares."""
    parser = ini_of(checkout / "setup.cfg")

    def get(section: str, option: str) -> str:
        return parser.get(section, option, fallback="")

    requirements = get("options", "install_requires") + "\n" + get("options", "tests_require")
    for group, wanted in _items(parser, "options.extras_require").items():
        if canonicalize_name(group) in TEST_GROUPS:
            requirements += "\n" + wanted
    version = get("metadata", "version")
    if version.startswith("attr:"):
        version = attribute_version(checkout, version.removeprefix("attr:").strip())
    roots = points(get("options", "package_dir").splitlines()).get("", "").split()
    found = Declared(
        name=get("metadata", "name"),
        version=version,
        requirements=tuple(requirements.splitlines()),
        paths=(*roots, *get("options.packages.find", "where").split()),
        entry_points={
            group: points(text.splitlines())
            for group, text in _items(parser, "options.entry_points").items()
        },
    )
    return found.plus(_pytest_section(parser, "tool:pytest"))


def read_ini_files(checkout: Path) -> Declared:
    """What tox and pytest are told."""
    found = Declared()
    for name in ("pytest.ini", ".pytest.ini", "tox.ini"):
        parser = ini_of(checkout / name)
        deps = parser.get("testenv", "deps", fallback="").splitlines()
        wanted = tuple(line for line in deps if not NOT_A_REQUIREMENT.search(line))
        found = found.plus(Declared(requirements=wanted)).plus(_pytest_section(parser, "pytest"))
    return found


def _items(parser: configparser.ConfigParser, section: str) -> Mapping[str, str]:
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _pytest_section(parser: configparser.ConfigParser, section: str) -> Declared:
    addopts = parser.get(section, "addopts", fallback="")
    keys = _items(parser, section)
    return Declared(
        addopts=addopts,
        uses_pytest=parser.has_section(section),
        requirements=plugins(" ".join([addopts, *(k for k in keys if k == "asyncio_mode")])),
    )


def read_setup_py(checkout: Path) -> Declared:
    """What it declares."""
    return _arguments(setup_arguments(checkout))


def setup_arguments(checkout: Path) -> Mapping[str, object]:
    """The literals in setup.py's call of `setup()`; names are looked up among its own literals."""
    try:
        tree = ast.parse(text_of(checkout / "setup.py"))
    except UNREADABLE:
        return {}
    known = dict(_literals(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "setup":
            return {k.arg: _value(k.value, known) for k in node.keywords if k.arg}
    return {}


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "id", getattr(node.func, "attr", "")))


def _literals(tree: ast.Module) -> Iterator[tuple[str, object]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = _value(node.value, {})
            if value is not None:
                yield node.targets[0].id, value


def _value(node: ast.expr, known: Mapping[str, object]) -> object:
    """A literal's value; None for what only running the file would tell."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    try:
        value: object = ast.literal_eval(node)
    except UNREADABLE:
        return None
    return value


def _arguments(given: Mapping[str, object]) -> Declared:
    requirements = strings(given.get("install_requires")) + strings(given.get("tests_require"))
    for group, wanted in table(given.get("extras_require")).items():
        if canonicalize_name(str(group)) in TEST_GROUPS:
            requirements += strings(wanted)
    groups = table(given.get("entry_points")).items()
    return Declared(
        name="".join(strings(given.get("name"))[:1]),
        version="".join(strings(given.get("version"))[:1]),
        requirements=requirements,
        paths=strings(table(given.get("package_dir")).get("")),
        entry_points={str(group): points(strings(found)) for group, found in groups},
    )
