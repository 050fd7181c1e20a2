"""Predictions follow from what was measured."""

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.service_times import RETRY_MS_MAX, RETRY_MS_MIN, ServiceTimes


def measured() -> ServiceTimes:
    times = ServiceTimes()
    for _ in range(50):
        times.observe(first_token_ms=100, decode_ms=1_090, tokens_out=100, max_tokens=100)
    return times


@pytest.mark.req("OC-CORE-1042")
def test_before_the_first_measurement_nothing_is_predicted() -> None:
    assert 0 == ServiceTimes().wait_ms(tasks_ahead=5, tokens_ahead=500, tokens_running=[100], slots=1)


@pytest.mark.req("OC-CORE-1042")
def test_the_wait_is_the_work_ahead_over_the_slots() -> None:
    wait = measured().wait_ms(tasks_ahead=2, tokens_ahead=200, tokens_running=[50, 100], slots=2)

    assert (2 * 100 + 200 * 10 + 150 * 10) / 2 == pytest.approx(wait, abs=2)


@pytest.mark.req("OC-CORE-1043", "OC-CORE-1044")
@pytest.mark.parametrize(
    ("spread", "hint_ms"),
    [
        pytest.param(0.0, 213, id="steady"),  # an error of 5 % is the least that is believed
        pytest.param(0.2, 264, id="as-measured"),
        pytest.param(3.0, 300, id="at-most-half-as-long-again"),
    ],
)
def test_the_retry_hint_is_when_the_next_slot_is_free_in_nine_of_ten_cases(spread: float, hint_ms: int) -> None:
    times = measured()
    times.spread = spread

    hint = times.retry_after_ms(tasks_ahead=0, tokens_ahead=0, tokens_running=[80, 20], slots=2)

    assert hint_ms == pytest.approx(hint, abs=2)


@pytest.mark.req("OC-CORE-1044")
@pytest.mark.parametrize("deviation", [0.05, 0.1, 0.2])
def test_who_comes_again_as_told_finds_a_free_slot_in_nine_of_ten_cases(deviation: float) -> None:
    times, kept = ServiceTimes(), 0
    for error in NormalDist(0, deviation).samples(2_000, seed=0):
        took_ms = round(1_000 * (1 + error))
        kept += took_ms <= times.retry_after_ms(tasks_ahead=0, tokens_ahead=0, tokens_running=[100], slots=1)
        times.observe(first_token_ms=took_ms // 100, decode_ms=took_ms, tokens_out=100, max_tokens=100)

    assert 0.87 * 2_000 <= kept <= 0.99 * 2_000  # what is known of the spread are its last ten tasks


@pytest.mark.req("OC-CORE-1043")
@given(
    running=st.lists(st.floats(0, 1e9), max_size=5),
    ahead=st.integers(0, 10**6),
    slots=st.integers(0, 64),
)
def test_the_retry_hint_stays_within_its_bounds(running: list[float], ahead: int, slots: int) -> None:
    hint = measured().retry_after_ms(tasks_ahead=ahead, tokens_ahead=ahead, tokens_running=running, slots=slots)

    assert RETRY_MS_MIN <= hint <= RETRY_MS_MAX


@pytest.mark.req("OC-CTRL-2023")
@given(needed=st.floats(0, 1e7), left=st.floats(-1e7, 1e7), more=st.floats(0, 1e6))
def test_the_probability_is_one_and_grows_with_the_time_left(needed: float, left: float, more: float) -> None:
    times = measured()
    less, greater = (times.on_time_probability(needed_ms=needed, left_ms=ms) for ms in (left, left + more))

    assert 0 <= less <= greater <= 1


@pytest.mark.req("OC-CTRL-2023")
def test_a_prediction_that_just_fits_is_a_coin_toss() -> None:
    assert pytest.approx(0.5) == measured().on_time_probability(needed_ms=1_000, left_ms=1_000)


@pytest.mark.req("OC-CTRL-2023")
@pytest.mark.parametrize(
    ("needed_ms", "left_ms", "probability"),
    [
        pytest.param(1_000, 1_313.3285, 0.8413, id="a deviation more than needed"),
        pytest.param(1_000, 686.6715, 0.1587, id="a deviation less"),
        pytest.param(0, 1, 1.0, id="nothing to do"),
        pytest.param(0, 0, 0.0, id="no time"),
        pytest.param(1, 1, 0.5, id="a millisecond"),
    ],
)
def test_the_probability_is_that_of_a_normal_error(needed_ms: float, left_ms: float, probability: float) -> None:
    assert probability == ServiceTimes(spread=0.25).on_time_probability(needed_ms=needed_ms, left_ms=left_ms)
