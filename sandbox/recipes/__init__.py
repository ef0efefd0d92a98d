"""Recipes: one module a language; the explicit table says which is tried first."""

from collections.abc import Mapping
from pathlib import Path

from sandbox.recipes.go import GoRecipe
from sandbox.recipes.javascript import JavaScriptRecipe
from sandbox.recipes.layers import Recipe
from sandbox.recipes.python import PythonRecipe
from sandbox.recipes.rust import RustRecipe

RECIPES: Mapping[str, Recipe] = {
    "python": PythonRecipe(),
    "go": GoRecipe(),
    "rust": RustRecipe(),
    "javascript": JavaScriptRecipe(),
}
"""Python first: its projects often carry a crate or a `package.json` beside their own manifest."""


def choose(checkout: Path) -> Recipe | None:
    """The recipe for a repository, or None where none applies."""
    return next((recipe for recipe in RECIPES.values() if recipe.applies(checkout)), None)
