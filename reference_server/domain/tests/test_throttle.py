"""The limits of one API token: a rate with a burst, and a number of open tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.errors import Failure, RefusedError
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


def refusal(of: TokenLimits, now_ms: int) -> Failure:
    with pytest.raises(RefusedError) as refused:
        of.require_admission(now_ms)
    return refused.value.failure


def failure(policy: str, message: str, wait_ms: int) -> Failure:
    return Failure(
        code="ADMISSION_REJECT", message=message, retriable=True, retry_after_ms=wait_ms, policy_label=policy
    )


@pytest.mark.req("ORCH-3036")
def test_open_tasks_are_bounded_and_an_end_makes_room() -> None:
    subject = TokenLimits(open_tasks_max=2)
    for _ in range(2):
        subject.require_admission(0)
        subject.opened()

    assert failure("open-tasks", "2 tasks of this token are open", 1_000) == refusal(subject, 0)
    subject.closed()
    subject.require_admission(0)
    subject.opened()
    assert "open-tasks" == refusal(subject, 0).policy_label


@pytest.mark.req("ORCH-3006", "OC-CORE-1035")
def test_a_throttled_task_says_when_to_come_back() -> None:
    subject = TokenLimits(throttle=Throttle(per_s=4, burst=1))
    subject.require_admission(0)

    assert failure("throttle", "more than 4 tasks a second", 250) == refusal(subject, 0)


@pytest.mark.req("ORCH-3036", "ORCH-3006")
def test_new_limits_hold_for_what_is_open() -> None:
    subject = TokenLimits()
    for _ in range(3):
        subject.require_admission(0)
        subject.opened()
    subject.replace(TokenLimits(Throttle(per_s=1, burst=1), open_tasks_max=3))

    assert "open-tasks" == refusal(subject, 0).policy_label
    subject.closed()
    subject.require_admission(0)
    assert "throttle" == refusal(subject, 0).policy_label
