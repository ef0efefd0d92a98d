"""`environment.yml` of conda, read as hints: what of it a Python index has under some name."""

import re
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import canonicalize_name

from sandbox.recipes.declared import Declared, strings, table, text_of, yaml_of

FILES = (
    "environment.yml", "environment.yaml", "environment-dev.yml", "environment_dev.yml",
    "dev-environment.yml", "conda.yml", "ci/environment.yml",
    "continuous_integration/environment.yml",
)  # fmt: skip
SPEC = re.compile(
    r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<version>[<>=!~][^\s#\[]*)?(?:[\s#\[].*)?",
    re.DOTALL,
)
INDEX_NAMES = {
    "pytorch": "torch", "pytorch-cpu": "torch", "matplotlib-base": "matplotlib",
    "dask-core": "dask", "pytables": "tables", "msgpack-python": "msgpack",
    "py-opencv": "opencv-python", "opencv": "opencv-python", "python-graphviz": "graphviz",
    "seaborn-base": "seaborn", "ruamel_yaml": "ruamel.yaml", "pyqt": "PyQt5",
    "tensorflow-base": "tensorflow", "importlib_metadata": "importlib-metadata",
    "psycopg2": "psycopg2-binary", "py-xgboost": "xgboost", "py-lightgbm": "lightgbm",
}  # fmt: skip
"""Names of conda's that are other ones on a Python index."""
NO_PACKAGES = re.compile(
    r"python|pip|conda.*|mamba|setuptools|wheel|compilers|(?:c|cxx|fortran)-compiler|gcc.*|gxx.*"
    r"|make|cmake|ninja|git|nodejs|yarn|npm|openssl|zlib|lib[\w-]+|blas|openblas|mkl|nomkl|llvm.*"
    r"|clang.*|cuda.*|cudnn|postgresql|redis.*|graphviz|pandoc|texlive.*|r-.*|r|openjdk|maven|go"
    r"|rust|pkg-config|sqlite|ca-certificates|_.*"
)
"""Programs and libraries that are no Python packages."""


def read_conda(checkout: Path, known: Iterable[str]) -> Declared:
    """What the first such file asks for and the names in `known` do not cover."""
    there = {canonicalize_name(name) for name in known}
    for file in FILES:
        lines = list(_requirements(text_of(checkout / file)))
        if lines:
            fresh = (text for name, text in lines if canonicalize_name(name) not in there)
            return Declared(requirements=tuple(fresh))
    return Declared()


def conda_python(checkout: Path) -> Iterable[tuple[str, str]]:
    """The files that name a Python, each with its range."""
    for file in FILES:
        try:
            listed = table(yaml_of(text_of(checkout / file))).get("dependencies")
        except ValueError:
            continue
        for entry in strings(listed):
            match = SPEC.fullmatch(entry.strip())
            if match is not None and match["name"].lower() == "python" and match["version"]:
                yield file, _range(match["version"])


def _requirements(text: str) -> Iterable[tuple[str, str]]:
    try:
        listed = table(yaml_of(text)).get("dependencies")
    except ValueError:
        return
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, str):
            yield from _translated(entry)
            continue
        for line in strings(table(entry).get("pip")):
            if not line.startswith(("-", ".")):
                yield re.split(r"[\s<>=!~;\[@]", line, maxsplit=1)[0] or line, line


def _translated(entry: str) -> Iterable[tuple[str, str]]:
    match = SPEC.fullmatch(entry.strip())
    if match is None or NO_PACKAGES.fullmatch(match["name"].lower()):
        return
    name = INDEX_NAMES.get(match["name"].lower(), match["name"])
    if name:
        yield name, name + _range(match["version"] or "")


def _range(version: str) -> str:
    """Conda's `=1.2=build` is `==1.2.*`; ranges are the same, alternatives are left open."""
    if "|" in version:
        return ""
    exact = re.fullmatch(r"={1,2}([\w.]+?)(?:\.\*)?(?:=[\w.*]+)?", version)
    if exact is None:
        return version if re.fullmatch(r"(?:[<>!~]=?[\w.*]+,?)+", version) else ""
    return f"=={exact[1]}" + ("" if version.startswith("==") else ".*")
