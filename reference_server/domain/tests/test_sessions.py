"""Sessions: turns, sliding time to live, bounded number."""

import pytest

from reference_server.domain.budgets import Amounts, Use
from reference_server.domain.errors import Failure, RefusedError
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


@pytest.mark.req("OC-CORE-1026")
@pytest.mark.parametrize(("now_ms", "retry_after_ms"), [(60, 50), (109, 1)])
def test_a_refused_turn_may_come_back_when_the_session_is_over(now_ms: int, retry_after_ms: int) -> None:
    subject = Sessions(ttl_ms=100, turns_max=1, sessions_max=10)
    subject.take_turn("s", 10, pool_id="p")
    with pytest.raises(RefusedError) as refused:
        subject.require_turn("s", now_ms)

    assert refused.value.failure == Failure(
        code="ADMISSION_REJECT",
        message="session has had its 1 turns; delete it or use another session_id",
        retriable=True,
        retry_after_ms=retry_after_ms,
        policy_label="session-turns",
    )


@pytest.mark.req("OC-CORE-1023", "ORCH-3099")
@pytest.mark.parametrize(("session_id", "now_ms", "retry_after_ms"), [("s", 60, 50), ("s", 109, 1), ("new", 60, 100)])
def test_a_budget_that_is_spent_comes_back_with_the_next_session(
    session_id: str, now_ms: int, retry_after_ms: int
) -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10, budget=Amounts(tokens=5))
    subject.take_turn("s", 10, pool_id="p")
    with pytest.raises(RefusedError) as refused:
        subject.require_budget(session_id, Use(tokens=6), now_ms)

    assert refused.value.failure == Failure(
        code="ADMISSION_REJECT",
        message="the task may use more than the session's tokens budget has left",
        retriable=True,
        retry_after_ms=retry_after_ms,
        policy_label="budget-tokens",
    )


@pytest.mark.req("OC-CORE-1027")
def test_new_limits_hold_for_the_sessions_that_live_but_for_their_budgets() -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10, budget=Amounts(tokens=5))
    subject.take_turn("old", 0, pool_id="p")
    subject.limit(ttl_ms=300, turns_max=1, sessions_max=2, budget=Amounts(tokens=9))

    assert (subject.get("old", 299) is None, subject.remaining("old").tokens) == (False, 5)
    with pytest.raises(RefusedError):
        subject.require_turn("old", 299)
    subject.take_turn("new", 299, pool_id="p")
    assert 9 == subject.remaining("new").tokens
    subject.take_turn("third", 299, pool_id="p")
    assert (2, None) == (len(subject), subject.get("old", 299))


@pytest.mark.req("ORCH-3009", "ORCH-3021")
def test_what_is_not_there_is_not_asked() -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10)
    subject.served("s", replica_id="r", kv_warm=True)
    subject.settle("s", "t", Use())

    assert (None, Amounts(), False) == (subject.get("s", 0), subject.remaining("s"), subject.delete("s", 0))


@pytest.mark.req("ORCH-3009")
def test_who_served_the_last_turn_is_remembered() -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10)
    subject.take_turn("s", 0, pool_id="p")
    subject.take_turn("s", 0, pool_id="q")
    subject.served("s", replica_id="r", kv_warm=True)
    found = subject.get("s", 0)

    assert found is not None
    assert ("r", True, {"p", "q"}, 2) == (found.replica_id, found.kv_warm, found.pool_ids, found.turns)


@pytest.mark.req("OC-CORE-1027")
@pytest.mark.parametrize("ttl_ms", [50, 300])
def test_another_time_to_live_counts_from_the_last_turn(ttl_ms: int) -> None:
    subject = Sessions(ttl_ms=100, turns_max=8, sessions_max=10)
    subject.take_turn("s", 5, pool_id="p")
    subject.limit(ttl_ms=ttl_ms, turns_max=8, sessions_max=10, budget=Amounts())

    assert subject.get("s", 4 + ttl_ms) is not None
    assert subject.get("s", 5 + ttl_ms) is None
