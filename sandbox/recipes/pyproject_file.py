"""Reads `pyproject.toml`: standard metadata, and what build tools, lockers and pytest add."""

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from sandbox.recipes.declared import (
    TEST_GROUPS,
    Declared,
    assigned_version,
    attribute_version,
    stays_inside,
    strings,
    table,
    toml_of,
)
from sandbox.recipes.requirement_files import requirement_lines

VERSION_FILE = '__version__ = version = "0.0.0"\n__version_tuple__ = version_tuple = (0, 0, 0)\n'
PLUGIN_KEYS = ("asyncio_mode", "DJANGO_SETTINGS_MODULE")


def read_pyproject(checkout: Path) -> Declared:
    """Everything it declares."""
    data = toml_of(checkout / "pyproject.toml")
    tool = table(data, "tool")
    return (
        _standard(data, checkout)
        .plus(_poetry(table(tool, "poetry")))
        .plus(_groups(table(tool, "pdm", "dev-dependencies")))
        .plus(Declared(requirements=strings(table(tool, "uv").get("dev-dependencies"))))
        .plus(_setuptools(table(tool, "setuptools"), checkout))
        .plus(Declared(made_up_files=_version_files(tool)))
        .plus(_pytest(tool))
    )


def _standard(data: Mapping[str, object], checkout: Path) -> Declared:
    project = table(data, "project")
    requirements = strings(project.get("dependencies"))
    for source in (table(project, "optional-dependencies"), table(data, "dependency-groups")):
        requirements += _groups(source).requirements
    groups = {g: _points(table(p)) for g, p in table(project, "entry-points").items()}
    scripts = _points(table(project, "scripts"))
    version = str(project.get("version", ""))
    if not version and "version" in strings(project.get("dynamic")):
        version = _dynamic_version(table(data, "tool"), checkout)
    return Declared(
        name=str(project.get("name", "")),
        version=version,
        requirements=requirements,
        entry_points=groups | ({"console_scripts": scripts} if scripts else {}),
    )


def _groups(found: Mapping[str, object]) -> Declared:
    """What the tests need of lists by group."""
    lists = [strings(wanted) for g, wanted in found.items() if canonicalize_name(g) in TEST_GROUPS]
    return Declared(requirements=tuple(line for wanted in lists for line in wanted))


def _points(found: Mapping[str, object]) -> dict[str, str]:
    return {name: where for name, where in found.items() if isinstance(where, str)}


def _dynamic_version(tool: Mapping[str, object], checkout: Path) -> str:
    attribute = table(tool, "setuptools", "dynamic", "version").get("attr")
    if isinstance(attribute, str):
        return attribute_version(checkout, attribute)
    path = table(tool, "hatch", "version").get("path")
    return assigned_version(checkout, path) if isinstance(path, str) else ""


def _poetry(poetry: Mapping[str, object]) -> Declared:
    tables = [table(poetry, "dependencies"), table(poetry, "dev-dependencies")]
    for group, found in table(poetry, "group").items():
        if canonicalize_name(group) in TEST_GROUPS:
            tables.append(table(found, "dependencies"))
    packages = poetry.get("packages")
    listed = packages if isinstance(packages, list) else []
    scripts = _points(table(poetry, "scripts"))
    return Declared(
        name=str(poetry.get("name", "")),
        version=str(poetry.get("version", "")),
        requirements=tuple(
            name + poetry_range(wanted)
            for found in tables
            for name, wanted in found.items()
            if name.lower() != "python"
        ),
        paths=tuple(where for p in listed for where in strings(table(p).get("from"))),
        entry_points={"console_scripts": scripts} if scripts else {},
    )


def poetry_range(wanted: object) -> str:
    """Poetry's `^1.2` and `~1.2` as version specifiers; anything fancier is left open."""
    text = wanted if isinstance(wanted, str) else str(table(wanted).get("version", "*"))
    match = re.fullmatch(r"([\^~])?\s*(\d{1,9}(?:\.\d{1,9})*)", text.strip())
    if match is None:
        return text if re.match(r"[<>=!]=?", text.strip()) else ""
    version = match[2]
    if match[1] == "^":
        parts = [int(part) for part in version.split(".")]
        index = next((i for i, part in enumerate(parts) if part), len(parts) - 1)
        upper = ".".join(str(part) for part in [*parts[:index], parts[index] + 1])
        return f">={version},<{upper}"
    if match[1] == "~":
        return f"~={version}" if version.count(".") > 1 else f"=={version}.*"
    return f"=={version}"


def _setuptools(options: Mapping[str, object], checkout: Path) -> Declared:
    dynamic = table(options, "dynamic")
    tables = [table(dynamic, "dependencies")]
    for group, found in table(dynamic, "optional-dependencies").items():
        if canonicalize_name(group) in TEST_GROUPS:
            tables.append(table(found))
    files = [name for found in tables for name in strings(found.get("file"))]
    return Declared(
        requirements=tuple(line for name in files for line in requirement_lines(checkout, name)),
        paths=strings(table(options, "package-dir").get(""))
        + strings(table(options, "packages", "find").get("where")),
    )


def _version_files(tool: Mapping[str, object]) -> dict[str, str]:
    """Files that a build would write from git's tags; their absence would break the import."""
    wanted = (
        table(tool, "setuptools_scm").get("write_to"),
        table(tool, "setuptools_scm").get("version_file"),
        table(tool, "hatch", "build", "hooks", "vcs").get("version-file"),
        table(tool, "pdm", "version").get("write_to"),
    )
    names = (name for value in wanted for name in strings(value))
    return {name: VERSION_FILE for name in names if name.endswith(".py") and stays_inside(name)}


def _pytest(tool: Mapping[str, object]) -> Declared:
    options = table(tool, "pytest", "ini_options") or table(tool, "pytest")
    addopts = " ".join(strings(options.get("addopts")))
    return Declared(
        addopts=addopts,
        uses_pytest=bool(options),
        requirements=plugins(" ".join([addopts, *(k for k in PLUGIN_KEYS if k in options)])),
    )


PLUGINS: Mapping[str, str] = {
    "--asyncio-mode": "pytest-asyncio",
    "asyncio_mode": "pytest-asyncio",
    "--timeout": "pytest-timeout",
    "--benchmark": "pytest-benchmark",
    "--mpl": "pytest-mpl",
    "--ds": "pytest-django",
    "DJANGO_SETTINGS_MODULE": "pytest-django",
    "--reruns": "pytest-rerunfailures",
    "--snapshot": "syrupy",
}
"""pytest options that only a plugin understands, and where it comes from."""


def plugins(options: str) -> tuple[str, ...]:
    """The plugins that pytest options need."""
    found = (plugin for option, plugin in PLUGINS.items() if option in options)
    return tuple(dict.fromkeys(found))
