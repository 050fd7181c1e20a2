"""Predictions follow from what was measured."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.service_times import NINE_OF_TEN, RETRY_MS_MAX, RETRY_MS_MIN, ServiceTimes


def measured() -> ServiceTimes:
    times = ServiceTimes()
    for _ in range(50):
        times.observe(first_token_ms=100, decode_ms=1_090, tokens_out=100, max_tokens=100)
    return times


@pytest.mark.req("OC-CORE-1042")
def test_before_the_first_measurement_nothing_is_predicted() -> None:
    assert 0 == ServiceTimes().wait_ms(tasks_ahead=5, tokens_ahead=500, tokens_running=[100], slots=1)


@pytest.mark.req("OC-CORE-1042", "OC-CORE-1047")
def test_the_first_task_takes_the_place_of_what_self_tests_have_guessed() -> None:
    """A starved machine, or an engine that is cold: a few tokens took a hundred times as long as those of a task."""
    times = ServiceTimes()
    for _ in range(2):  # a replica each
        times.observe(first_token_ms=5_000, decode_ms=9_000, tokens_out=5, max_tokens=5, is_guess=True)
    guessed = times.service_ms(100), times.spread
    times.observe(first_token_ms=100, decode_ms=1_090, tokens_out=100, max_tokens=100)

    assert 105_000 == guessed[0]
    assert 1_090 == pytest.approx(times.service_ms(99))
    assert guessed[1] == times.spread
    assert (3, False) == (times.measured, times.is_guess)


@pytest.mark.req("OC-CORE-1042", "OC-CORE-1047")
def test_a_self_test_after_the_first_task_says_nothing_new() -> None:
    """Of a replica that came up again."""
    times, before = measured(), measured()
    times.observe(first_token_ms=5_000, decode_ms=9_000, tokens_out=5, max_tokens=5, is_guess=True)

    assert before == times


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


@pytest.mark.req("OC-CORE-1042")
def test_the_first_measurement_is_believed_and_each_later_one_a_fifth() -> None:
    times = ServiceTimes()
    times.observe(first_token_ms=100, decode_ms=190, tokens_out=10, max_tokens=20)
    assert (100.0, 10.0, 0.9, 0.25, 1) == (
        times.first_token_ms,
        times.token_ms,
        times.fill,
        times.spread,
        times.measured,
    )

    times.observe(first_token_ms=200, decode_ms=400, tokens_out=11, max_tokens=10)  # 210 ms were predicted
    assert (120.0, 12.0, 2) == (times.first_token_ms, times.token_ms, times.measured)
    assert pytest.approx(0.92) == times.fill
    assert pytest.approx(0.25 + 0.2 * (190 / 210 - 0.25)) == times.spread


@pytest.mark.req("OC-CORE-1042")
@pytest.mark.parametrize(
    ("tokens_out", "token_ms", "measured"),
    [
        pytest.param(0, 10.0, 1, id="no token says nothing"),
        pytest.param(1, 10.0, 2, id="one token says nothing of the next"),
        pytest.param(2, 10.0 + 0.2 * 40, 2, id="two say it"),
    ],
)
def test_a_short_answer_says_what_it_can(tokens_out: int, token_ms: float, measured: int) -> None:
    times = ServiceTimes(first_token_ms=100.0, token_ms=10.0, measured=1)
    times.observe(first_token_ms=150, decode_ms=200, tokens_out=tokens_out, max_tokens=10)

    assert (token_ms, measured) == (times.token_ms, times.measured)


@pytest.mark.req("OC-CORE-1042")
def test_where_nothing_was_predicted_no_error_is_counted() -> None:
    times = ServiceTimes(measured=1)
    times.observe(first_token_ms=1, decode_ms=1, tokens_out=1, max_tokens=1)
    assert 0.25 == times.spread

    fast = ServiceTimes(first_token_ms=1.0, measured=1)
    fast.observe(first_token_ms=2, decode_ms=2, tokens_out=1, max_tokens=1)
    assert pytest.approx(0.25 + 0.2 * (1 - 0.25)) == fast.spread


@pytest.mark.req("OC-CORE-1043")
def test_the_work_of_higher_lanes_is_shared_by_the_slots_and_none_is_waited_for_where_nothing_runs() -> None:
    times = ServiceTimes(first_token_ms=100.0, token_ms=1_000.0, spread=0.0, measured=1)

    hints = [
        times.retry_after_ms(tasks_ahead=1, tokens_ahead=1, tokens_running=[], slots=slots) for slots in (0, 1, 2, 4)
    ]
    assert [math.ceil(1_100 / slots * (1 + 0.05 * NINE_OF_TEN)) for slots in (1, 1, 2, 4)] == hints


@pytest.mark.req("OC-CTRL-2023")
def test_no_prediction_is_believed_to_be_better_than_a_millisecond() -> None:
    assert 0.8413 == ServiceTimes(spread=0.0).on_time_probability(needed_ms=2, left_ms=3)
