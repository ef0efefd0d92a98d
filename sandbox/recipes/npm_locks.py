"""`yarn.lock` of both kinds and `pnpm-lock.yaml`, read as pins: npm is asked for these versions.

What is not from a registry (a workspace, a patch, an address) and aliases are left open.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.recipes.declared import table, yaml_of

GROUPS = ("dependencies", "optionalDependencies", "peerDependencies", "devDependencies")
YARN_KEY = re.compile(r'"?(@?[^@"\s]+)@(?:npm:)?([^@":]+)"?')
"""What has another `:` or `@` in its range is no package of a registry, or is an alias."""
YARN_VERSION = re.compile(r'^[ \t]+version:?[ \t]+"?([\w.+-]+)"?[ \t\r]*$', re.MULTILINE)
PNPM_KEY = re.compile(r"/?((?:@[\w.~-]+/)?[\w.~-]+)[@/](\d[\w.+-]*?)(?:[(_].*)?")
EXACT = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:[-+][\w.+-]+)?")


@dataclass(frozen=True, slots=True)
class NpmPins:
    """Versions of direct dependencies by name, and npm's `overrides` for all others."""

    direct: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)


def read_yarn(text: str, wanted: Mapping[str, str]) -> NpmPins:
    """The pins of a `yarn.lock`, which names the ranges that its versions were chosen for."""
    direct: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for block in re.split(r"\n(?=\S)", text):
        head, _, body = block.partition(":\n")
        version = YARN_VERSION.search(body)
        for key in head.split(", ") if version else ():
            match = YARN_KEY.fullmatch(key.strip())
            if match and version:
                found.append((match[1], version[1]))
                if wanted.get(match[1]) == match[2].strip():
                    direct[match[1]] = version[1]
    return NpmPins(direct, _overrides(found, wanted, direct))


def read_pnpm(text: str, wanted: Mapping[str, str]) -> NpmPins:
    """The pins of a `pnpm-lock.yaml`, whose keys are names and versions."""
    try:
        lock = table(yaml_of(text))
    except ValueError:
        return NpmPins()
    root = table(lock, "importers", ".") or lock
    direct: dict[str, str] = {}
    for group in GROUPS:
        for name, entry in table(root, group).items():
            version = str(entry.get("version", "")) if isinstance(entry, Mapping) else str(entry)
            version = version.split("(")[0].split("_")[0]
            if name in wanted and re.fullmatch(r"\d[\w.+-]*", version):
                direct[name] = version
    keys = (PNPM_KEY.fullmatch(str(key)) for key in table(lock, "packages"))
    found = [(match[1], match[2]) for match in keys if match]
    return NpmPins(direct, _overrides(found, wanted, direct))


def _overrides(
    found: Iterable[tuple[str, str]], wanted: Mapping[str, str], direct: Mapping[str, str]
) -> dict[str, str]:
    """What makes npm take a lock's versions for what the direct dependencies need.

    A rule with a range is npm's where the range that a package asks for meets it, the first one
    counts. So of several versions the highest that is allowed is taken, which always is one that
    the package accepts; it is another than the lock's where two of one major version are locked
    and a package could have had either. npm refuses a rule against a direct dependency.
    """
    versions: dict[str, set[str]] = {}
    for name, version in found:
        if EXACT.fullmatch(version) and (name in direct or name not in wanted):
            versions.setdefault(name, set()).add(version)
    rules: dict[str, str] = {}
    for name, known in sorted(versions.items()):
        if len(known) == 1:
            rules[name] = min(known)
        else:
            rules |= {f"{name}@^{v}": v for v in sorted(known, key=_order, reverse=True)}
    return rules


def _order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """As npm orders versions: by number, one before a release below it."""
    numbers, dash, rest = version.partition("+")[0].partition("-")
    return tuple(int(part) for part in numbers.split(".")), not dash, rest
