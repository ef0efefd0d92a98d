"""Recipes: one module a language; the explicit table says which is tried first."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.recipes.go import GoRecipe
from sandbox.recipes.java import JavaRecipe
from sandbox.recipes.javascript import JavaScriptRecipe
from sandbox.recipes.layers import Recipe
from sandbox.recipes.python import PythonRecipe
from sandbox.recipes.rust import RustRecipe

RECIPES: Mapping[str, Recipe] = {
    "python": PythonRecipe(),
    "go": GoRecipe(),
    "rust": RustRecipe(),
    "java": JavaRecipe(),
    "javascript": JavaScriptRecipe(),
}
"""Python first: its projects often carry a crate or a `package.json` beside their own manifest."""


MANIFESTS = (
    "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "go.mod", "Cargo.toml",
    "pom.xml", "build.gradle", "build.gradle.kts", "package.json",
)  # fmt: skip
MOST_FOLDERS = 500
MOST_PROJECTS = 20


def choose(checkout: Path) -> Recipe | None:
    """The recipe for a repository, or None where none applies."""
    return next((recipe for recipe in RECIPES.values() if recipe.applies(checkout)), None)


def language_of(folder: Path) -> str | None:
    """The name of the recipe for a folder, or None where none applies."""
    return next((name for name, recipe in RECIPES.items() if recipe.applies(folder)), None)


def projects_in(checkout: Path) -> list[str]:
    """The folders up to two levels down that hold a manifest, for repositories without one."""
    found: list[str] = []
    for depth in ("*", "*/*"):
        for folder in sorted(checkout.glob(depth))[:MOST_FOLDERS]:
            path = folder.relative_to(checkout).as_posix()
            direct = folder.is_dir() and folder.resolve() == checkout.resolve() / path
            plain = direct and not path.startswith(".")
            if plain and any((folder / name).is_file() for name in MANIFESTS):
                found.append(path)
    return found[:MOST_PROJECTS]
