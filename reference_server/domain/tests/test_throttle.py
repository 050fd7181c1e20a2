"""The limits of one API token: a rate with a burst, and a number of open tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.errors import RefusedError
from reference_server.domain.throttle import Throttle, TokenLimits


@pytest.mark.req("ORCH-3006")
def test_a_burst_is_let_through_and_then_the_rate() -> None:
    subject = Throttle(per_s=10, burst=3)

    assert [0, 0, 0, 100] == [subject.try_take(0) for _ in range(4)]
    assert [1, 0] == [subject.try_take(99), subject.try_take(100)]


@pytest.mark.req("ORCH-3006")
def test_a_long_pause_gives_back_no_more_than_the_burst() -> None:
    subject = Throttle(per_s=1_000, burst=2)
    subject.try_take(0)

    assert [0, 0, 1] == [subject.try_take(60_000) for _ in range(3)]


@pytest.mark.req("ORCH-3006")
@given(per_s=st.floats(0.1, 1e4), burst=st.integers(1, 50), gaps=st.lists(st.integers(0, 2_000), max_size=60))
def test_never_more_than_rate_and_burst_and_the_wait_that_is_told_is_enough(
    per_s: float, burst: int, gaps: list[int]
) -> None:
    subject, now, taken = Throttle(per_s, burst), 0, 0
    for gap in gaps:
        now += gap
        wait_ms = subject.try_take(now)
        taken += wait_ms == 0
        assert taken <= burst + now * per_s / 1000 + 1e-6
        if wait_ms:
            now += wait_ms
            assert 0 == subject.try_take(now)
            taken += 1


@pytest.mark.req("ORCH-3036")
def test_open_tasks_are_bounded_and_an_end_makes_room() -> None:
    subject = TokenLimits(open_tasks_max=1)
    subject.require_admission(0)
    subject.opened()
    with pytest.raises(RefusedError) as refused:
        subject.require_admission(0)
    subject.closed()

    assert "open-tasks" == refused.value.failure.policy_label
    subject.require_admission(0)


@pytest.mark.req("ORCH-3006", "OC-CORE-1035")
def test_a_throttled_task_says_when_to_come_back() -> None:
    subject = TokenLimits(throttle=Throttle(per_s=4, burst=1))
    subject.require_admission(0)
    with pytest.raises(RefusedError) as refused:
        subject.require_admission(0)

    assert ("throttle", 250) == (refused.value.failure.policy_label, refused.value.failure.retry_after_ms)
