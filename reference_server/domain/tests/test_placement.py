"""The placement rule, by example, and that the order of the snapshot does not matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.placement import ReplicaView, choose


def view(name: str, *, active: int = 0, vram: int = 0, is_ready: bool = True) -> ReplicaView:
    return ReplicaView(replica_id=name, is_ready=is_ready, slots_active=active, slots_total=2, vram_free_bytes=vram)


@pytest.mark.req("OC-CORE-1010", "OC-CORE-1012", "OC-CORE-1013", "ORCH-3012", "ORCH-3019")
@pytest.mark.parametrize(
    ("replicas", "affine_to", "expected"),
    [
        pytest.param([view("a"), view("b", vram=1)], None, "b", id="most-free-vram"),
        pytest.param([view("a", active=1), view("b")], None, "b", id="fewest-active-slots"),
        pytest.param([view("b"), view("a")], None, "a", id="smallest-id"),
        pytest.param([view("a", vram=9), view("b")], "b", "b", id="affinity"),
        pytest.param([view("a"), view("b", active=2)], "b", "a", id="affine-but-full"),
        pytest.param([view("a", is_ready=False)], "a", None, id="not-ready"),
        pytest.param([], None, None, id="no-replica"),
    ],
)
def test_the_rule(replicas: list[ReplicaView], affine_to: str | None, expected: str | None) -> None:
    assert expected == choose(replicas, ctx=1, affine_to=affine_to)


VIEWS = st.builds(
    view,
    st.sampled_from("abcdef"),
    active=st.integers(0, 2),
    vram=st.integers(0, 2),
    is_ready=st.booleans(),
)


@pytest.mark.req("OC-CORE-1012")
@given(replicas=st.lists(VIEWS, unique_by=lambda r: r.replica_id), seed=st.randoms())
def test_the_order_of_the_snapshot_does_not_matter(replicas: list[ReplicaView], seed: object) -> None:
    shuffled = sorted(replicas, key=lambda _: seed.random())  # type: ignore[attr-defined]

    assert choose(replicas, ctx=1) == choose(shuffled, ctx=1)
