import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine import training
from engine.errors import BadInputError
from engine.training.wheels import (
    Wheel,
    check_digest,
    fetch_wheels,
    load_manifest,
    write_counts,
)


def pinned(name: str) -> Wheel:
    manifest = load_manifest(Path(training.__file__).with_name("wheels.toml"))
    return next(wheel for wheel in manifest if wheel.name == name)


@pytest.mark.network
def test_the_pinned_file_comes_whatever_other_files_its_version_has(tmp_path: Path):
    wheel = pinned("cryptography")  # newer machines are offered another file of this version
    fetch_wheels([wheel], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [wheel.file]
    check_digest(tmp_path / wheel.file, wheel)


@pytest.mark.network
def test_a_digest_that_no_file_of_the_index_has_is_refused_and_nothing_is_kept(tmp_path: Path):
    with pytest.raises(BadInputError, match="could not download 1 pinned wheels"):
        fetch_wheels([replace(pinned("rsa"), sha256="0" * 64)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_asked_for_again(tmp_path: Path):
    wheel = Wheel("no-such-package-anywhere", "1", "here.whl", "0" * 64, "MIT", "train")
    (tmp_path / "here.whl").write_bytes(b"x")
    fetch_wheels([wheel], tmp_path)
    with pytest.raises(BadInputError, match="remove it, then try again"):
        check_digest(tmp_path / "here.whl", wheel)


def test_the_manifest_beside_a_corpus_counts_every_package_and_holds_its_digest(tmp_path: Path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("{}\n")
    wheels = [replace(pinned("rsa"), name=name) for name in ("one", "none")]
    told = json.loads(write_counts(corpus, wheels, {"cpython": 2, "one": 1}).read_text())
    assert told["sha256"] == hashlib.sha256(b"{}\n").hexdigest()
    counts = {each["name"]: each["count"] for each in told["packages"]}
    assert counts == {"cpython": 2, "one": 1, "none": 0}
    assert told["packages"][1]["sha256"] == wheels[0].sha256
