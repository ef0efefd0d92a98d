"""What is built anew when a file of a repository changes, level by level, in every language."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox import images
from sandbox.contract import ExecResult, Limits
from sandbox.errors import ImageBuildError
from sandbox.recipes.machine import STEP as TOOLCHAIN
from tests.sandbox.conftest import CALC, WriteRepository, settings

REPOSITORIES = Path(__file__).parents[1] / "fixtures" / "repos"
PYTHON = {**CALC, "pyproject.toml": '[project]\nname = "calc"\nversion = "1"\n'}


class Box:
    """Every command succeeds and says nothing."""

    def exec(
        self, argv: Sequence[str], *, stdin: bytes = b"", wall_clock_s: float | None = None
    ) -> ExecResult:
        del argv, stdin, wall_clock_s
        return ExecResult(0, b"", truncated=False, duration_s=0.0)


@dataclass
class Shelf:
    """Has every image, and notes which were asked for: what it is not asked for is not built."""

    asked: list[str] = field(default_factory=list)
    isolation: str = "none"
    engine: str = ""

    def has_image(self, image: str) -> bool:
        self.asked.append(image)
        return True

    def python(self, version: str) -> None:
        del version

    @contextmanager
    def open(self, image: str, limits: Limits) -> Iterator[Box]:
        del image, limits
        yield Box()


def levels(checkout: Path) -> dict[str, str]:
    """The images that a checkout needs, by level: `tools` (if any), `env` and `repo`."""
    shelf = Shelf()
    try:
        images.prepare(shelf, checkout, test_command=None, settings=settings())  # type: ignore[arg-type]  # all of it that is used
    except ImageBuildError as error:
        if error.step == TOOLCHAIN:
            pytest.skip(error.reason)
        raise
    return {image.partition("-")[0]: image for image in shelf.asked}


def repository(language: str, folder: Path, write: WriteRepository) -> Path:
    if language == "python":
        return write(PYTHON)
    return Path(shutil.copytree(REPOSITORIES / language, folder / "copy"))


def changed(language: str, folder: Path, write: WriteRepository, file: str, text: str) -> set[str]:
    """The levels that are built anew after a text was put at a file's end."""
    checkout = repository(language, folder, write)
    before = levels(checkout)
    with (checkout / file).open("a", encoding="utf-8") as opened:
        opened.write(text)
    after = levels(checkout)
    assert set(before) == set(after)
    return {level for level, image in after.items() if image != before[level]}


@pytest.mark.parametrize(
    ("language", "file", "comment"),
    [
        ("python", "calc/__init__.py", "# more\n"),
        ("python", "tests/test_calc.py", "# more\n"),
        ("javascript/words", "index.js", "// more\n"),
        ("javascript/words", "test/words.test.js", "// more\n"),
        ("go/words", "words.go", "// more\n"),
        ("go/words", "words_test.go", "// more\n"),
        ("rust/words", "src/lib.rs", "// more\n"),
        ("java/maven", "src/main/java/org/example/Words.java", "// more\n"),
        ("java/gradle", "src/test/java/org/example/WordsTest.java", "// more\n"),
    ],
)
def test_a_source_file_changes_the_repositorys_level_alone(
    tmp_path: Path, write_repository: WriteRepository, language: str, file: str, comment: str
) -> None:
    assert changed(language, tmp_path, write_repository, file, comment) == {"repo"}


@pytest.mark.parametrize(
    ("language", "file", "text"),
    [
        ("python", "pyproject.toml", 'dependencies = ["six>=1"]\n'),
        ("python", "requirements.txt", "six==1.16.0\n"),
        ("go/words", "go.mod", "\nrequire example.org/other v1.0.0\n"),
    ],
)
def test_what_a_manifest_asks_for_changes_the_level_of_dependencies(
    tmp_path: Path, write_repository: WriteRepository, language: str, file: str, text: str
) -> None:
    assert changed(language, tmp_path, write_repository, file, text) == {"env", "repo"}


def test_a_lock_file_changes_the_level_of_dependencies(
    tmp_path: Path, write_repository: WriteRepository
) -> None:
    python = write_repository({**PYTHON, "requirements.txt": "six\n"})
    go = repository("go/words", tmp_path / "go", write_repository)
    with (go / "go.mod").open("a", encoding="utf-8") as manifest:
        manifest.write("\nrequire example.org/other v1.0.0\n")
    javascript = repository("javascript/words", tmp_path / "javascript", write_repository)
    manifest_text = (
        '{"name": "words", "scripts": {"test": "node --test"}, "dependencies": {"a": "^1"}}'
    )
    (javascript / "package.json").write_text(manifest_text, encoding="utf-8")
    pip_lock = '[[package]]\nname = "six"\nversion = "1.16.0"\nsource = { registry = "x" }\n'
    for checkout, file, text in (
        (python, "uv.lock", pip_lock),
        (
            go,
            "go.sum",
            "example.org/other v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        ),
        (javascript, "yarn.lock", 'a@^1:\n  version "1.4.2"\n'),
    ):
        before = levels(checkout)
        (checkout / file).write_text(text, encoding="utf-8")
        after = levels(checkout)
        assert {level for level in after if after[level] != before[level]} == {"env", "repo"}, file


@pytest.mark.parametrize(
    ("language", "file", "text"),
    [
        ("rust/words", "Cargo.toml", "\n[lints.rust]\nunused = 'allow'\n"),
        ("java/maven", "pom.xml", "<!-- more -->\n"),
        ("java/gradle", "build.gradle", "// more\n"),
    ],
)
def test_manifests_whose_packages_are_elsewhere_change_the_repositorys_level_alone(
    tmp_path: Path, write_repository: WriteRepository, language: str, file: str, text: str
) -> None:
    """Crates are vendored in the repository; artifacts lie on this machine, below all levels."""
    assert changed(language, tmp_path, write_repository, file, text) == {"repo"}


def test_another_build_tool_changes_every_level(
    tmp_path: Path, write_repository: WriteRepository
) -> None:
    maven = levels(repository("java/maven", tmp_path / "maven", write_repository))
    gradle = levels(repository("java/gradle", tmp_path / "gradle", write_repository))
    assert all(maven[level] != gradle[level] for level in ("tools", "env", "repo"))
