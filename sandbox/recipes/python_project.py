"""What a Python repository says about itself, read from its files without running any of them."""

import ast
import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

FILE_BYTES = 1024 * 1024
TEST_GROUPS = ("test", "tests", "testing", "dev", "develop", "development", "ci", "all-tests")
REQUIREMENT_FILES = (
    "requirements.txt", "requirements-test.txt", "requirements-tests.txt", "requirements-dev.txt",
    "requirements_test.txt", "requirements_tests.txt", "requirements_dev.txt", "test-requirements.txt",
    "dev-requirements.txt", "test_requirements.txt", "dev_requirements.txt", "requirements/test.txt",
    "requirements/tests.txt", "requirements/testing.txt", "requirements/dev.txt", "requirements/base.txt",
    "requirements/main.txt", "tests/requirements.txt", "test/requirements.txt",
)  # fmt: skip
PLUGINS: Mapping[str, str] = {
    "--asyncio-mode": "pytest-asyncio", "asyncio_mode": "pytest-asyncio", "--timeout": "pytest-timeout",
    "--benchmark": "pytest-benchmark", "--mpl": "pytest-mpl", "DJANGO_SETTINGS_MODULE": "pytest-django",
    "--ds": "pytest-django", "--reruns": "pytest-rerunfailures", "--snapshot": "syrupy",
}  # fmt: skip
"""pytest options that only a plugin understands, and where it comes from."""

NO_VERSION = "0.0.0"


@dataclass(frozen=True, slots=True)
class Project:
    """A repository's declarations. Requirements are strings as written; files are to be made up."""

    name: str
    version: str
    requirements: tuple[str, ...]
    paths: tuple[str, ...]
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    made_up_files: Mapping[str, str] = field(default_factory=dict)
    addopts: str = ""
    uses_pytest: bool = False


@dataclass(slots=True)
class _Draft:
    name: str = ""
    version: str = ""
    requirements: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    made_up_files: dict[str, str] = field(default_factory=dict)
    addopts: str = ""
    uses_pytest: bool = False


def read_project(checkout: Path) -> Project:
    """Read all that the usual files declare; what cannot be read is as if it were not there."""
    draft = _Draft()
    pyproject = _toml(checkout / "pyproject.toml")
    _read_pyproject(draft, pyproject, checkout)
    _read_setup_cfg(draft, _ini(checkout / "setup.cfg"))
    _read_setup_py(draft, checkout / "setup.py")
    _read_tox(draft, _ini(checkout / "tox.ini"), _ini(checkout / "pytest.ini"))
    for name in REQUIREMENT_FILES:
        draft.requirements += _requirement_lines(checkout, checkout / name, set())
    for option, plugin in PLUGINS.items():
        if option in draft.addopts:
            draft.requirements.append(plugin)
    if "src" not in draft.paths and (checkout / "src").is_dir():
        draft.paths.append("src")
    requirements = _clean(draft.requirements, own=draft.name)
    paths = tuple(path for path in dict.fromkeys(draft.paths) if (checkout / path).is_dir())
    return Project(
        name=draft.name or re.sub(r"[^A-Za-z0-9.-]+", "-", checkout.name) or "repository",
        version=_version(draft.version),
        requirements=requirements,
        paths=(*(path for path in paths if path != "."), "."),
        entry_points=draft.entry_points,
        made_up_files={
            name: text
            for name, text in draft.made_up_files.items()
            if not (checkout / name).exists() and (checkout / name).parent.is_dir()
        },
        addopts=draft.addopts,
        uses_pytest=draft.uses_pytest or any(r.startswith("pytest") for r in requirements),
    )


def _text(path: Path) -> str:
    """A small regular file's text; empty for anything else."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > FILE_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError:
        return {}


def _ini(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_text(path))
    except configparser.Error:
        return configparser.ConfigParser(interpolation=None)
    return parser


def _table(value: object, *keys: str) -> Mapping[str, object]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _read_pyproject(draft: _Draft, data: Mapping[str, object], checkout: Path) -> None:
    project = _table(data, "project")
    draft.name = str(project.get("name", ""))
    draft.version = str(project.get("version", ""))
    draft.requirements += _strings(project.get("dependencies"))
    for source in (_table(project, "optional-dependencies"), _table(data, "dependency-groups")):
        for group, wanted in source.items():
            if canonicalize_name(group) in TEST_GROUPS:
                draft.requirements += _strings(wanted)
    for group, points in _table(project, "entry-points").items():
        draft.entry_points[group] = {k: str(v) for k, v in _table(points).items()}
    scripts = {k: str(v) for k, v in _table(project, "scripts").items()}
    if scripts:
        draft.entry_points["console_scripts"] = scripts
    tool = _table(data, "tool")
    _read_poetry(draft, _table(tool, "poetry"))
    _read_setuptools(draft, _table(tool, "setuptools"), checkout)
    _read_generated(draft, tool)
    options = _table(tool, "pytest", "ini_options") or _table(tool, "pytest")
    if options:
        draft.uses_pytest = True
        draft.addopts += " " + " ".join(_strings(options.get("addopts")))
        draft.addopts += " ".join(f" {key}" for key in options if key in PLUGINS)
    if not draft.version and "version" in _strings(project.get("dynamic")):
        draft.version = _attribute_version(
            _table(tool, "setuptools", "dynamic", "version"), checkout
        )
        path = _table(tool, "hatch", "version").get("path")
        if not draft.version and isinstance(path, str):
            draft.version = _assigned_version(checkout, path)


def _read_poetry(draft: _Draft, poetry: Mapping[str, object]) -> None:
    draft.name = draft.name or str(poetry.get("name", ""))
    draft.version = draft.version or str(poetry.get("version", ""))
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    for group, table in _table(poetry, "group").items():
        if canonicalize_name(group) in TEST_GROUPS:
            tables.append(_table(table, "dependencies"))
    for table in tables:
        draft.requirements += [
            name + _poetry_range(wanted)
            for name, wanted in table.items()
            if name.lower() != "python"
        ]
    for package in poetry.get("packages", []) if isinstance(poetry.get("packages"), list) else []:  # type: ignore[attr-defined]
        where = _table(package).get("from")
        if isinstance(where, str):
            draft.paths.append(where)
    scripts = {k: v for k, v in _table(poetry, "scripts").items() if isinstance(v, str)}
    if scripts:
        draft.entry_points.setdefault("console_scripts", {}).update(scripts)


def _poetry_range(wanted: object) -> str:
    """Poetry's `^1.2` and `~1.2` as version specifiers; anything fancier is left open."""
    text = wanted if isinstance(wanted, str) else str(_table(wanted).get("version", "*"))
    match = re.fullmatch(r"([\^~])?\s*(\d+(?:\.\d+)*)", text.strip())
    if match and match[1] == "^":
        parts = [int(part) for part in match[2].split(".")]
        index = next((i for i, part in enumerate(parts) if part), len(parts) - 1)
        upper = ".".join(str(part) for part in [*parts[:index], parts[index] + 1])
        return f">={match[2]},<{upper}"
    if match and match[1] == "~":
        return f"~={match[2]}" if "." in match[2] else f"=={match[2]}.*"
    if match:
        return f"=={match[2]}"
    return text if re.match(r"[<>=!]=?", text.strip()) else ""


def _read_setuptools(draft: _Draft, options: Mapping[str, object], checkout: Path) -> None:
    draft.paths += _strings(_table(options, "package-dir").get(""))
    draft.paths += _strings(_table(options, "packages", "find").get("where"))
    dynamic = _table(options, "dynamic")
    for key in ("dependencies", "optional-dependencies"):
        tables = [_table(dynamic, key)]
        if key == "optional-dependencies":
            tables = [
                _table(t) for g, t in tables[0].items() if canonicalize_name(g) in TEST_GROUPS
            ]
        for table in tables:
            for name in _strings(table.get("file")):
                draft.requirements += _requirement_lines(checkout, checkout / name, set())


def _read_generated(draft: _Draft, tool: Mapping[str, object]) -> None:
    """Version files that a build would write; their absence would break the import."""
    body = (
        f'__version__ = version = "{NO_VERSION}"\n__version_tuple__ = version_tuple = (0, 0, 0)\n'
    )
    for table, key in (
        (_table(tool, "setuptools_scm"), "write_to"),
        (_table(tool, "setuptools_scm"), "version_file"),
        (_table(tool, "hatch", "build", "hooks", "vcs"), "version-file"),
        (_table(tool, "pdm", "version"), "write_to"),
    ):
        name = table.get(key)
        if isinstance(name, str) and name.endswith(".py") and ".." not in name and name[0] != "/":
            draft.made_up_files[name] = body


def _read_setup_cfg(draft: _Draft, parser: configparser.ConfigParser) -> None:
    def get(section: str, option: str) -> str:
        return parser.get(section, option, fallback="")

    draft.name = draft.name or get("metadata", "name")
    version = get("metadata", "version")
    draft.version = draft.version or ("" if version.startswith(("attr:", "file:")) else version)
    draft.requirements += get("options", "install_requires").splitlines()
    draft.requirements += get("options", "tests_require").splitlines()
    if parser.has_section("options.extras_require"):
        for group, wanted in parser.items("options.extras_require"):
            if canonicalize_name(group) in TEST_GROUPS:
                draft.requirements += wanted.splitlines()
    if parser.has_section("options.entry_points"):
        for group, points in parser.items("options.entry_points"):
            draft.entry_points.setdefault(group, {}).update(_points(points.splitlines()))
    for line in get("options", "package_dir").splitlines():
        key, _, where = line.partition("=")
        if not key.strip() and where.strip():
            draft.paths.append(where.strip())
    draft.paths += get("options.packages.find", "where").split()
    if parser.has_section("tool:pytest"):
        draft.uses_pytest = True
        draft.addopts += " " + get("tool:pytest", "addopts")


def _points(lines: Iterable[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): where.strip() for name, _, where in pairs}


def _read_tox(draft: _Draft, *parsers: configparser.ConfigParser) -> None:
    for parser in parsers:
        if parser.has_section("pytest"):
            draft.uses_pytest = True
            draft.addopts += " " + parser.get("pytest", "addopts", fallback="")
        if parser.has_section("testenv"):
            deps = parser.get("testenv", "deps", fallback="").splitlines()
            # Lines with a factor, a file or a substitution are not plain requirements.
            draft.requirements += [d for d in deps if not re.search(r"[{}]|^\s*-|^[\w,-]+:\s", d)]


def _read_setup_py(draft: _Draft, path: Path) -> None:
    """The literals in a call of `setup()`; names are looked up among the module's own literals."""
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    known = dict(_literals(tree))
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "id", getattr(called, "attr", ""))
        if isinstance(node, ast.Call) and name == "setup":
            _take_setup_arguments(
                draft, {k.arg: _value(k.value, known) for k in node.keywords if k.arg}
            )


def _literals(tree: ast.Module) -> Iterator[tuple[str, object]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except (ValueError, TypeError, MemoryError, RecursionError):
                continue  # computed: nothing that can be known without running it


def _value(node: ast.expr, known: Mapping[str, object]) -> object:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return None


def _take_setup_arguments(draft: _Draft, given: Mapping[str, object]) -> None:
    name, version = given.get("name"), given.get("version")
    draft.name = draft.name or (name if isinstance(name, str) else "")
    draft.version = draft.version or (version if isinstance(version, str) else "")
    for key in ("install_requires", "tests_require"):
        draft.requirements += _strings(given.get(key))
    for group, wanted in _table(given.get("extras_require")).items():
        if canonicalize_name(str(group)) in TEST_GROUPS:
            draft.requirements += _strings(wanted)
    draft.paths += _strings(_table(given.get("package_dir")).get(""))
    for group, points in _table(given.get("entry_points")).items():
        draft.entry_points.setdefault(group, {}).update(_points(_strings(points)))


def _requirement_lines(checkout: Path, path: Path, seen: set[Path]) -> list[str]:
    """A requirements file's lines, included files too, as long as they stay in the repository."""
    resolved = path.resolve()
    if resolved in seen or not resolved.is_relative_to(checkout.resolve()):
        return []
    seen.add(resolved)
    found: list[str] = []
    for raw in _text(path).replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        include = re.match(r"(?:-r|--requirement)[ =]?(.+)", line)
        if include:
            found += _requirement_lines(checkout, path.parent / include[1].strip(), seen)
        elif line and not line.startswith("-"):
            found.append(line.split(" --")[0])
    return found


def _clean(requirements: Iterable[str], own: str) -> tuple[str, ...]:
    """Requirements that can be asked of an index: no addresses, no markers that exclude this machine."""
    kept: dict[str, str] = {}
    for text in requirements:
        try:
            requirement = Requirement(text.strip())
        except InvalidRequirement:
            continue
        excluded = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        if (
            requirement.url
            or excluded
            or canonicalize_name(requirement.name) == canonicalize_name(own)
        ):
            continue
        requirement.marker = None
        kept[str(requirement)] = str(requirement)
    return tuple(sorted(kept))


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion:
        return NO_VERSION


def _attribute_version(table: Mapping[str, object], checkout: Path) -> str:
    attribute = table.get("attr")
    if not isinstance(attribute, str):
        return ""
    module = attribute.rpartition(".")[0].replace(".", "/")
    places = (f"{base}{module}{end}" for base in ("", "src/") for end in (".py", "/__init__.py"))
    return next(filter(None, (_assigned_version(checkout, place) for place in places)), "")


def _assigned_version(checkout: Path, name: str) -> str:
    if ".." in name or name.startswith("/"):
        return ""
    match = re.search(
        r"""^(?:__version__|version|VERSION)\s*=\s*["']([^"']+)["']""", _text(checkout / name), re.M
    )
    return match[1] if match else ""
