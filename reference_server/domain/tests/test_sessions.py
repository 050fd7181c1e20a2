"""Sessions: turns, sliding time to live, bounded number."""

import pytest

from reference_server.domain.errors import RefusedError
from reference_server.domain.sessions import Sessions


@pytest.mark.req("OC-CORE-1027", "ORCH-3021")
def test_a_turn_starts_the_time_to_live_anew() -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10)
    subject.take_turn("s", 0, pool_id="p")
    subject.take_turn("s", 90, pool_id="p")

    assert subject.get("s", 189) is not None
    assert subject.get("s", 190) is None


@pytest.mark.req("OC-CORE-1026", "ORCH-2005")
def test_at_the_turn_limit_the_next_is_refused_until_the_session_is_deleted() -> None:
    subject = Sessions(ttl_ms=100, turns_max=2, sessions_max=10)
    for _ in range(2):
        subject.require_turn("s", 0)
        subject.take_turn("s", 0, pool_id="p")

    with pytest.raises(RefusedError):
        subject.require_turn("s", 0)
    assert subject.delete("s", 0)
    subject.require_turn("s", 0)


@pytest.mark.req("OC-CORE-1008")
def test_above_the_bound_the_longest_unused_session_goes() -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=2)
    for name in ("a", "b", "a", "c"):
        subject.take_turn(name, 0, pool_id="p")

    assert subject.get("b", 0) is None
    assert subject.get("a", 0) is not None
