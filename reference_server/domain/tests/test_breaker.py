"""The breaker and the pauses: what opens it, who may probe, and how it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.breaker import Breaker, BreakerSettings

SETTINGS = BreakerSettings(failures_max=3, window_ms=1_000, open_ms=100, open_max_ms=400, pause_ms=10, pause_max_ms=80)


def opened() -> Breaker:
    """Open since 0 ms."""
    subject = Breaker(SETTINGS)
    assert [False, False, True] == [subject.failed(0) for _ in range(3)]
    return subject


@pytest.mark.req("OC-POOL-3014")
def test_it_opens_at_the_limit_within_the_window() -> None:
    subject = opened()

    assert ("open", 100, False) == (subject.state(0), subject.wait_ms(0), subject.try_probe(99))


@pytest.mark.req("OC-POOL-3014")
def test_failures_that_are_far_apart_do_not_open_it() -> None:
    subject = Breaker(SETTINGS)

    assert [False] * 5 == [subject.failed(at) for at in range(0, 5_000, 1_000)]
    assert "closed" == subject.state(5_000)


@pytest.mark.req("OC-POOL-3014")
def test_closed_it_lets_everybody_through_at_once() -> None:
    subject = Breaker(SETTINGS)

    assert ([True, True], 0) == ([subject.try_probe(0) for _ in range(2)], subject.wait_ms(0))


@pytest.mark.req("OC-POOL-3014")
def test_the_window_ends_with_its_last_millisecond() -> None:
    inside, outside = Breaker(SETTINGS), Breaker(SETTINGS)

    assert [False, False, True] == [inside.failed(at) for at in (0, 500, 999)]
    assert [False, False, False] == [outside.failed(at) for at in (0, 500, 1_000)]


@pytest.mark.req("OC-POOL-3014")
def test_half_open_lets_exactly_one_probe_through() -> None:
    subject = opened()

    assert "half-open" == subject.state(100)
    assert [True, False, False] == [subject.try_probe(100) for _ in range(3)]


@pytest.mark.req("OC-POOL-3014")
def test_a_good_probe_closes_it_and_forgets() -> None:
    subject = opened()
    subject.try_probe(100)
    subject.succeeded()

    assert "closed" == subject.state(100)
    assert [False, False] == [subject.failed(101), subject.failed(102)]
    subject.succeeded()  # of a closed one: what has failed stays counted
    assert subject.failed(103)
    assert ("open", SETTINGS.open_ms) == (subject.state(103), subject.wait_ms(103))


@pytest.mark.req("OC-POOL-3014")
def test_each_bad_probe_doubles_the_wait_up_to_its_bound() -> None:
    subject, at, waits = opened(), 0, []
    for _ in range(4):
        at += subject.wait_ms(at)
        assert 0 == subject.wait_ms(at) == subject.wait_ms(at + 1)
        subject.try_probe(at)
        assert subject.failed(at)
        waits.append(subject.wait_ms(at))

    assert [200, 400, 400, 400] == waits


@pytest.mark.req("OC-POOL-3014")
def test_what_was_on_its_way_when_it_opened_does_not_count_as_the_probe() -> None:
    subject = opened()
    subject.succeeded()

    assert not subject.failed(50)
    assert ("open", 50) == (subject.state(50), subject.wait_ms(50))


@pytest.mark.req("OC-POOL-3011")
def test_pauses_double_up_to_their_bound_and_jitter_spreads_the_upper_half() -> None:
    settings = BreakerSettings(failures_max=100, pause_ms=10, pause_max_ms=80)
    subject, low, high = Breaker(settings), [], []
    for at in range(5):
        subject.failed(at)
        low.append(subject.pause_ms(at, jitter=0.0))
        high.append(subject.pause_ms(at, jitter=1.0))

    assert ([5, 10, 20, 40, 40], [10, 20, 40, 80, 80]) == (low, high)
    subject.succeeded()
    subject.failed(9)
    assert 10 == subject.pause_ms(9, jitter=1.0)


@pytest.mark.req("OC-POOL-3011")
def test_a_pause_lasts_as_long_as_the_breaker_is_open() -> None:
    assert 100 == opened().pause_ms(0, jitter=0.0)


@pytest.mark.req("OC-POOL-3014")
@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed", "probe"]), st.integers(0, 500))))
def test_never_two_probes_without_an_outcome_between_them(steps: list[tuple[str, int]]) -> None:
    subject, now, probes = Breaker(SETTINGS), 0, 0
    for what, later in steps:
        now += later
        match what:
            case "fail":
                subject.failed(now)
                probes = 0
            case "succeed":
                subject.succeeded()
                probes = 0
            case _ if subject.state(now) != "closed":
                probes += subject.try_probe(now)
        assert probes <= 1
        assert 0 <= subject.wait_ms(now) <= SETTINGS.open_max_ms
