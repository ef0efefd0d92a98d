"""`package.json` and the lock files beside it, read as data and made safe to hand to npm.

Only packages of the registry are asked for: an address, a path or a git reference would make the
machine fetch from where a repository likes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.recipes.declared import table, text_of
from sandbox.recipes.npm_locks import GROUPS, NpmPins, read_pnpm, read_yarn

NAME = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*")
RANGE = re.compile(r"[\w.\s<>=^~|*+-]*")
ALIAS = re.compile(r"npm:(?:@[\w.~-]+/)?[\w.~-]+(?:@[\w.<>=^~|*+-]+)?")
NEEDLESS = re.compile(
    r"(?:@[\w-]+/)?(?:eslint|prettier|husky|lint-staged|standard|xo|tslint|stylelint|commitlint)\b.*"
    r"|typescript-eslint|@(?:typescript-eslint|eslint|biomejs)/.*"
    r"|@(?:arethetypeswrong|commitlint|semantic-release|changesets|release-it|size-limit)/.*"
    r"|np|aud|auto-changelog|safe-publish-latest|npmignore|in-publish|evalmd|semantic-release"
    r"|release-it|standard-version|typedoc.*|coveralls|codecov|nyc|airtap|browserify|karma.*"
    r"|publint|jackspeak-cli|size-limit|jsdoc|dox|es-dev-server|playwright.*|puppeteer.*"
)
"""Development tools of style, release and browsers: most of a download and nothing of a test."""
VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+][\w.+-]+)?")
PATH_LIKE = re.compile(r"\s*\..*|.*\.(?:tgz|tar|tar\.gz)\s*", re.DOTALL | re.IGNORECASE)
"""What npm takes for a folder or an archive although it has no slash."""
LOCK_KEYS = frozenset(
    {"version", "integrity", "optional", "dev", "devOptional", "peer", "peerDependenciesMeta",
     "engines", "os", "cpu", "libc", "bin", "inBundle"}
)  # fmt: skip
LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml")
LOCK_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a repository asks of npm. `pinned_by` is the lock file that was read, if any.

    `lock` is npm's own, `overrides` the versions of another's for what is not asked for directly.
    """

    name: str
    scripts: Mapping[str, str]
    wanted: Mapping[str, str]
    lock: str
    pinned_by: str
    main: str
    declared: frozenset[str]
    overrides: Mapping[str, str]


def read_manifest(checkout: Path) -> Manifest:
    """Read the manifest; what is no registry package is left out."""
    data = json_of(checkout / "package.json")
    declared = {name for group in GROUPS for name in table(data, group)}
    words = " ".join(str(value) for value in table(data, "scripts").values())
    wanted: dict[str, str] = {}
    for group in GROUPS:
        for name, asked in table(data, group).items():
            needless = group == "devDependencies" and NEEDLESS.fullmatch(name)
            if NAME.fullmatch(name) and not needless and name not in wanted and allowed(asked):
                wanted[name] = str(asked)
    pins, lock, pinned_by = _pins(checkout, wanted)
    scripts = {
        str(name): text for name, text in table(data, "scripts").items() if isinstance(text, str)
    }
    if "nyc" in declared and "nyc" in words:
        scripts = {name: text.replace("nyc ", "", 1) for name, text in scripts.items()}
    return Manifest(
        name=str(data.get("name", "")),
        scripts=scripts,
        wanted={**wanted, **pins.direct},
        lock=lock,
        pinned_by=pinned_by,
        main=str(data.get("main", "")),
        declared=frozenset(declared),
        overrides=pins.overrides,
    )


def allowed(asked: object) -> bool:
    """Whether a version is a range or an alias of the registry, or a tag of it."""
    text = asked if isinstance(asked, str) else ":"
    named = RANGE.fullmatch(text) or ALIAS.fullmatch(text)
    return bool(named) and not PATH_LIKE.fullmatch(text)


def json_of(path: Path) -> Mapping[str, object]:
    """A JSON object; empty where a file is none."""
    return _object(text_of(path))


def _object(text: str) -> Mapping[str, object]:
    try:
        return table(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _pins(checkout: Path, wanted: Mapping[str, str]) -> tuple[NpmPins, str, str]:
    """Another program's pins, npm's own lock made safe, and whose lock it was."""
    for name in LOCKS:
        path = checkout / name
        text = text_of(path, LOCK_BYTES)
        if not text:
            continue
        if name.endswith(".json"):
            lock = _safe_lock(_object(text))
            return NpmPins(), lock, name if lock else ""
        pins = read_yarn(text, wanted) if name == "yarn.lock" else read_pnpm(text, wanted)
        return pins, "", name if pins.direct else ""
    return NpmPins(), "", ""


def _safe_lock(lock: Mapping[str, object]) -> str:
    """Npm's lock without addresses: npm then asks its registry and checks the integrity."""
    packages = table(lock, "packages")
    kept: dict[str, object] = {}
    for place, entry in packages.items():
        found = dict(table(entry))
        resolved = str(found.pop("resolved", "https:"))
        version = VERSION.fullmatch(str(found.get("version", "")))
        if place and version and not found.get("link") and resolved.startswith("https:"):
            kept[place] = _safe_entry(found)
    if not kept or any(not place.startswith("node_modules/") for place in kept):
        return ""
    return json.dumps({"lockfileVersion": 3, "requires": True, "packages": kept}, sort_keys=True)


def _safe_entry(entry: Mapping[str, object]) -> dict[str, object]:
    """One package of a lock: its pin, and of what it needs only what the registry has."""
    kept = {key: value for key, value in entry.items() if key in LOCK_KEYS}
    name = entry.get("name")  # of an alias
    if isinstance(name, str) and NAME.fullmatch(name):
        kept["name"] = name
    for group in GROUPS:
        needed = {n: text for n, text in table(entry, group).items() if allowed(text)}
        if needed:
            kept[group] = needed
    return kept
