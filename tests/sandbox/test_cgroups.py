import pytest

from sandbox import cgroups
from sandbox.contract import Limits


def test_a_group_is_there_and_goes_again() -> None:
    with cgroups.control_group(Limits(memory_bytes=2**27, pids=20)) as group:
        if group is None:
            pytest.skip("control groups cannot be written here")
        assert group.memory.is_dir()
        assert group.events().is_file()
        assert not group.out_of_memory()
        assert group.entering(["x"])[-1] == "x"
        assert all(str(directory) in group.entering([])[4] for directory in group.directories)
    assert not group.memory.exists()


def test_where_groups_cannot_be_made_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    with cgroups.control_group(Limits()) as group:
        assert group is None


def test_reap_leaves_nothing_of_ours() -> None:
    cgroups.reap()
    assert cgroups.reap() == 0
