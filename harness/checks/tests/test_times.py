"""Servers that tell wrong times are found, and a harness that is late blames nobody."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import pytest

from harness.checks.times import (
    Comeback,
    Predicted,
    prediction_figures,
    predictions_come_true,
    predictions_follow_the_queue,
    retry_after_is_kept,
    tokens_flow,
)
from harness.outcome import LateError


def comeback(**changes: float) -> Comeback:
    """Told 1.5 s, came after 2 s as `Retry-After` says, and the place was free after 1.6 s."""
    told = {"told_ms": 1_500.0, "due_ms": 2_000.0, "freed_ms": 1_600.0, "came_ms": 2_005.0, "late_ms": 3.0, **changes}
    return Comeback(**told, is_admitted=told["freed_ms"] <= told["came_ms"])


def waited(told: list[float], *, every_ms: float = 1, took: Sequence[float] = (310, 400, 520)) -> list[Predicted]:
    return [
        Predicted(at_ms=every_ms * number, told_ms=told_ms, took_ms=took_ms)
        for number, (told_ms, took_ms) in enumerate(zip(told, took, strict=True))
    ]


GOOD = [comeback()] * 18
TOO_EARLY = comeback(told_ms=700, due_ms=1_000, came_ms=1_001)
TOO_LONG = comeback(told_ms=6_000, due_ms=6_000, came_ms=6_001)


@pytest.mark.req("OC-TEST-7006", "OC-CORE-1044", "OC-CORE-1045")
@pytest.mark.parametrize(
    ("comebacks", "expected"),
    [
        pytest.param(GOOD, [], id="kept"),
        pytest.param([*GOOD, TOO_EARLY, TOO_EARLY], [], id="nine-of-ten"),
        pytest.param([*GOOD, TOO_EARLY, TOO_EARLY, TOO_EARLY], ["OC-CORE-1044"], id="too-short"),
        pytest.param([*GOOD, TOO_LONG], ["OC-CORE-1045"], id="too-long"),
        pytest.param([TOO_LONG] * 12, ["OC-CORE-1045"], id="always-too-long"),
    ],
)
def test_a_lying_retry_after_is_found(comebacks: list[Comeback], expected: list[str]) -> None:
    assert expected == [violation.req for violation in retry_after_is_kept(comebacks)]


@pytest.mark.req("OC-TEST-7026")
@pytest.mark.parametrize(
    "late",
    [
        pytest.param(comeback(came_ms=2_400), id="came-late"),
        pytest.param(comeback(told_ms=700, due_ms=1_000, came_ms=1_001, late_ms=650), id="no-processor"),
    ],
)
def test_a_comeback_that_the_harness_has_spoiled_counts_for_nothing(late: Comeback) -> None:
    assert [] == list(retry_after_is_kept([*GOOD, *[late] * 9]))
    with pytest.raises(LateError, match="0 of 12 came again in time; the harness was late by"):
        list(retry_after_is_kept([late] * 12))


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([300, 400, 500], [], id="true"),
        pytest.param([900, 1_000, 1_100], [], id="all-too-long"),
        pytest.param([300, 300, 300], ["OC-CORE-1042"], id="constant"),
        pytest.param([500, 400, 300], ["OC-CORE-1042"], id="the-wrong-way-round"),
        pytest.param([0, 0, 0], ["OC-CORE-1042"], id="none"),
    ],
)
def test_predictions_that_do_not_follow_the_queue_are_found(told: list[float], expected: list[str]) -> None:
    assert expected == [violation.req for violation in predictions_follow_the_queue(waited(told), late_ms=0)]


@pytest.mark.req("OC-TEST-7026")
def test_a_queue_that_moved_on_while_it_was_filled_shows_nothing() -> None:
    with pytest.raises(LateError, match="the harness took 200 ms to submit what started within 200 ms"):
        list(predictions_follow_the_queue(waited([300, 300, 300], every_ms=100, took=[300, 300, 300]), late_ms=0))


@pytest.mark.req("OC-TEST-7026")
@pytest.mark.parametrize(
    ("late_ms", "ends"),
    [
        pytest.param(1_000, nullcontext(), id="late-by-less-than-it-was-off"),
        pytest.param(1_600, pytest.raises(LateError, match="late by 1600 ms"), id="late-by-more"),
    ],
)
def test_a_machine_that_slowed_down_while_they_waited_is_no_wrong_prediction(
    late_ms: float, ends: AbstractContextManager[object]
) -> None:
    """Told 200 ms apart, they started 2 s apart: without what the harness was late by that is 1 s, or 400 ms."""
    with ends:
        found = list(predictions_follow_the_queue(waited([300, 400, 500], took=[300, 900, 2_300]), late_ms=late_ms))
        assert ["OC-CORE-1042"] == [violation.req for violation in found]


@pytest.mark.req("OC-TEST-7006", "OC-CORE-1047")
@pytest.mark.parametrize(
    ("told", "took", "expected"),
    [
        pytest.param([300, 400, 500], [310, 400, 520], [], id="true"),
        pytest.param([1_620, 800, 0], [310, 900, 1_000], [], id="at-the-bounds"),
        pytest.param([310, 400, 2_041], [310, 400, 520], ["OC-CORE-1047"], id="one-too-long"),
        pytest.param([310, 400, 99], [310, 400, 1_200], ["OC-CORE-1047"], id="one-too-short"),
        pytest.param([6_000, 7_500, 9_000], [600, 700, 1_200], ["OC-CORE-1047"], id="ten-times"),
    ],
)
def test_a_prediction_that_does_not_come_true_is_found(
    told: list[float], took: list[float], expected: list[str]
) -> None:
    found = predictions_come_true(waited(told, took=took), measured_late=0.0, late_ms=0)

    assert expected == [violation.req for violation in found]


@pytest.mark.req("OC-TEST-7026", "OC-CORE-1047")
@pytest.mark.parametrize(
    ("told", "took", "measured_late", "late_ms"),
    [
        pytest.param(3_000, 600, 0.3, 0, id="a-pace-that-was-measured-slow"),
        pytest.param(600, 3_000, 0, 800, id="a-wait-that-was-held-up"),
    ],
)
def test_a_prediction_that_the_harness_has_spoiled_shows_nothing(
    told: float, took: float, measured_late: float, late_ms: float
) -> None:
    one = waited([told], took=[took])

    with pytest.raises(LateError, match=r"took .*; the harness was late by"):
        list(predictions_come_true(one, measured_late=measured_late, late_ms=late_ms))
    (violation,) = predictions_come_true(one, measured_late=measured_late / 2, late_ms=late_ms / 2)
    assert "OC-CORE-1047" == violation.req


NAGLE = [0.0, 0.0, 0.0, 41.0] * 40


@pytest.mark.req("OC-TEST-7006", "OC-CTRL-2083")
def test_tokens_that_wait_for_acknowledgements_are_found() -> None:
    assert [] == list(tokens_flow([10.0] * 150 + [60.0] * 10, late_ms=0))
    assert ["OC-CTRL-2083"] == [violation.req for violation in tokens_flow(NAGLE, late_ms=263)]
    with pytest.raises(LateError, match="40 of 160 gaps are long; the harness was late by 264 ms"):
        list(tokens_flow(NAGLE, late_ms=264))


@pytest.mark.req("OC-TEST-7035")
def test_the_error_of_predictions_is_a_figure() -> None:
    assert {
        "predicted_start_error_ms": 2.0,
        "predicted_start_error_max_ms": 10.0,
        "predicted_start_error_ratio": 0.111,
    } == prediction_figures(waited([10, 20, 40], took=[11, 18, 50]))
