import ast
import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.training import corpus
from engine.training.corpus import (
    build_corpus,
    functions_in,
    load_exclusions,
    read_corpus,
)
from engine.training.wheels import load_manifest

MODULE = '''
@cached
def total(values):
    """Add values up.

    More words.
    """
    result = 0  # start

    for value in values:
        result += value
    return result

class Box:
    def test_me(self):
        a = 1
        return a

    def size(self):
        """Say how big."""
        width = self.width
        return width * 2

def tiny():
    return 1

def umlaut(x):
    y = "ü"
    return x + y
'''


def wheel(folder: Path, name: str, members: dict[str, str]) -> str:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        f'[[wheel]]\nname = "{name}"\nversion = "1.0"\nfile = "{path.name}"\nsha256 = "{digest}"\n'
        'licence = "MIT"\nsplit = "train"\n'
    )


def test_functions_come_out_dedented_without_docstring_decorator_and_blank_lines():
    found = {f.name: f for f, _ in functions_in(MODULE, "demo", "train")}
    assert set(found) == {"total", "size"}
    assert found["total"].raw == (
        "def total(values):\n    result = 0  # start\n    for value in values:\n"
        "        result += value\n    return result"
    )
    assert "# start" not in found["total"].plain
    assert found["total"].summary == "Add values up."
    assert found["total"].weight > 2 * found["size"].weight
    assert found["size"].raw.startswith("def size(self):\n    width")


def test_text_that_is_no_python_gives_nothing():
    assert list(functions_in("def (", "demo", "train")) == []


def test_the_tree_digest_ignores_names_docstrings_and_annotations():
    one = ast.parse('def f(a: int) -> int:\n    """Hm."""\n    b = a\n    return b').body[0]
    two = ast.parse("def g(x):\n    y = x\n    return y").body[0]
    other = ast.parse("def g(x):\n    y = x\n    return x").body[0]
    assert isinstance(one, ast.FunctionDef)
    assert isinstance(two, ast.FunctionDef)
    assert isinstance(other, ast.FunctionDef)
    assert corpus.tree_digest(one) == corpus.tree_digest(two) != corpus.tree_digest(other)


def test_a_corpus_holds_each_tree_once_and_nothing_vendored_tested_or_excluded(tmp_path: Path):
    second = MODULE.replace("total", "summed").replace("width", "height")
    benchmark = {"declaration": "def held_out(x):\n", "buggy_solution": "    y = x\n    return y\n"}
    held = "def held_out(a, b):\n    c = a + b\n    return c\n\ndef twin(q):\n    r = q\n    return r\n"
    (tmp_path / "bench.jsonl").write_text(json.dumps(benchmark) + "\n")
    members = {
        "demo/a.py": MODULE, "demo/b.py": second, "demo/_vendor/c.py": held.replace("held_out", "v"),
        "demo/tests/d.py": held.replace("held_out", "t"), "demo/test_e.py": MODULE, "demo/f.py": held,
    }  # fmt: skip
    (tmp_path / "wheels.toml").write_text(wheel(tmp_path, "demo", members))
    out = tmp_path / "build" / "corpus.jsonl"
    kept = build_corpus(
        tmp_path / "wheels.toml", out, [tmp_path / "bench.jsonl"], tmp_path, stdlib=False
    )
    assert kept == {"demo": 3}
    assert sorted(f.name for f in read_corpus(out)) == ["size", "size", "total"]


def test_a_wheel_that_is_missing_or_not_the_pinned_one_is_refused(tmp_path: Path):
    manifest = tmp_path / "wheels.toml"
    manifest.write_text(wheel(tmp_path, "demo", {"demo/a.py": MODULE}))
    (tmp_path / "demo-1.0-py3-none-any.whl").write_bytes(b"other")
    with pytest.raises(BadInputError, match="sha256"):
        build_corpus(manifest, tmp_path / "c.jsonl", [], tmp_path, stdlib=False)
    (tmp_path / "demo-1.0-py3-none-any.whl").unlink()
    with pytest.raises(BadInputError, match=r"download demo==1\.0"):
        build_corpus(manifest, tmp_path / "c.jsonl", [], tmp_path, stdlib=False)


def test_bad_files_are_named(tmp_path: Path):
    bad = tmp_path / "bad"
    bad.write_text("{no")
    for read in (load_manifest, read_corpus, lambda path: load_exclusions([path])):
        for path in (bad, tmp_path / "missing"):
            with pytest.raises(BadInputError, match=path.name):
                read(path)


def test_the_shipped_manifest_is_permissive_pinned_and_split():
    wheels = load_manifest(Path(corpus.__file__).with_name("wheels.toml"))
    assert len(wheels) >= 25
    assert len({w.name for w in wheels}) == len(wheels)
    assert {w.split for w in wheels} == {"train", "dev"}
    assert all(len(w.sha256) == 64 and f"{w.version}" in w.file for w in wheels)
    assert not [w.name for w in wheels if "GPL" in w.licence]
