"""Which languages of ours this machine cannot build, in the recipes' own words."""

from pathlib import Path

from sandbox.errors import ImageBuildError
from sandbox.recipes.go import GoRecipe
from sandbox.recipes.java import JavaRecipe
from sandbox.recipes.javascript import JavaScriptRecipe
from sandbox.recipes.layers import Recipe
from sandbox.recipes.rust import RustRecipe
from sandbox.toolchain import which

REPOSITORIES = Path(__file__).parent / "fixtures" / "repos"
RECIPES: tuple[tuple[str, Recipe], ...] = (
    ("javascript/words", JavaScriptRecipe()),
    ("go/words", GoRecipe()),
    ("rust/words", RustRecipe()),
    ("java/maven", JavaRecipe()),
    ("java/gradle", JavaRecipe()),
)


def missing_toolchains() -> list[str]:
    """What each language's recipe says against this machine, and npm's absence."""
    said = [] if which("npm") else ["this machine has no 'npm'; install it (Debian: 'npm')"]
    for name, recipe in RECIPES:
        try:
            recipe.toolchain(REPOSITORIES / name)
            recipe.dependencies(REPOSITORIES / name)
        except ImageBuildError as error:
            said.append(error.reason)
    return said
