import os

from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.owners import LABEL, labels, owner, stale


def test_a_container_of_a_living_process_is_kept_until_its_deadline() -> None:
    found = labels(1000.0, 10.0)
    assert not stale(found, 1000.0)
    assert not stale(found, 1000.0 + 10 * 10.0)
    assert stale(found, 1000.0 + 10 * 10.0 + 601)


def test_a_container_of_a_process_that_is_gone_is_stale() -> None:
    found = labels(1000.0, 10.0)
    machine, boot, _, started = owner().split("/")
    assert stale({**found, f"{LABEL}.owner": f"{machine}/{boot}/{2**22 + 1}/{started}"}, 1000.0)
    assert stale({**found, f"{LABEL}.owner": f"{machine}/{boot}/{os.getpid()}/1"}, 1000.0)


def test_a_container_of_another_machine_has_only_its_deadline() -> None:
    found = {**labels(1000.0, 10.0), f"{LABEL}.owner": "elsewhere/boot/1/1"}
    assert not stale(found, 1000.0)
    assert stale(found, 10_000.0)


@given(
    st.dictionaries(
        st.sampled_from([f"{LABEL}.owner", f"{LABEL}.deadline", "x"]), st.text(max_size=20)
    )
)
@example({f"{LABEL}.deadline": "²"})
def test_no_labels_make_it_raise(found: dict[str, str]) -> None:
    assert stale(found, 1000.0) in (True, False)
