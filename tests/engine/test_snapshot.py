import io
import os
import tarfile

import pytest

from engine.errors import SnapshotInvalidError, SnapshotMissingError
from engine.snapshot import _digest, pack, unpack


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("x = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("[remote]")
    return root


def test_what_is_packed_comes_out_again_without_history(tree, tmp_path):
    packed = pack(tree, tmp_path / "shared", "job-1")
    unpack(tmp_path / "shared", packed.key, packed.sha256, tmp_path / "out")
    assert (tmp_path / "out" / "pkg" / "a.py").read_text() == "x = 1\n"
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)
    assert not (tmp_path / "out" / ".git").exists()


def test_the_same_tree_has_the_same_digest(tree, tmp_path):
    one = pack(tree, tmp_path / "a", "k")
    os.utime(tree / "pkg" / "a.py", (1, 1))
    assert pack(tree, tmp_path / "b", "k").sha256 == one.sha256


def test_a_missing_or_changed_snapshot_is_noticed_before_it_is_opened(tree, tmp_path):
    packed = pack(tree, tmp_path / "shared", "k")
    with pytest.raises(SnapshotMissingError, match="mount the same"):
        unpack(tmp_path / "shared", "other", packed.sha256, tmp_path / "out")
    (tmp_path / "shared" / "k.tar").write_bytes(b"cut")
    with pytest.raises(SnapshotInvalidError, match="another digest"):
        unpack(tmp_path / "shared", "k", packed.sha256, tmp_path / "out")


def archive_of(path, name):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    return _digest(path)


def test_a_member_that_climbs_out_of_the_folder_is_refused(tmp_path):
    digest = archive_of(tmp_path / "k.tar", "../outside")
    with pytest.raises(SnapshotInvalidError, match="outside"):
        unpack(tmp_path, "k", digest, tmp_path / "out")
    assert not (tmp_path / "outside").exists()


def test_an_absolute_member_stays_in_the_folder(tmp_path):
    digest = archive_of(tmp_path / "k.tar", "/evoscale-outside")
    unpack(tmp_path, "k", digest, tmp_path / "out")
    assert (tmp_path / "out" / "evoscale-outside").is_file()


def test_a_link_to_the_host_is_refused(tree, tmp_path):
    (tree / "link").symlink_to("/etc/passwd")
    packed = pack(tree, tmp_path / "shared", "k")
    with pytest.raises(SnapshotInvalidError):
        unpack(tmp_path / "shared", "k", packed.sha256, tmp_path / "out")


def archive_of_links(path, *links):
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("p/d")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return _digest(path)


def test_a_link_that_a_later_link_turns_outwards_is_refused(tmp_path):
    digest = archive_of_links(tmp_path / "k.tar", ("aa", "p/d/k/../.."), ("p/d/k", "../.."))
    with pytest.raises(SnapshotInvalidError, match="'aa' leads outside"):
        unpack(tmp_path, "k", digest, tmp_path / "deep" / "out")


def test_links_in_a_circle_lead_nowhere_and_do_no_harm(tmp_path):
    digest = archive_of_links(tmp_path / "k.tar", ("a", "b"), ("b", "a"), ("c", "a"))
    unpack(tmp_path, "k", digest, tmp_path / "out")
    assert (tmp_path / "out" / "c").is_symlink()


def test_a_file_is_not_written_through_a_link_of_the_same_name(tmp_path):
    archive_of_links(tmp_path / "k.tar", ("a", "p/d/b"))
    with tarfile.open(tmp_path / "k.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    with pytest.raises(SnapshotInvalidError, match="through a link"):
        unpack(tmp_path, "k", _digest(tmp_path / "k.tar"), tmp_path / "out")
