"""Predictions follow what runs: at once when a slot changes hands, and with the next tick while tokens come."""

import pytest

from reference_server.domain import forecast
from reference_server.domain.core import Core
from reference_server.domain.frames import Finish
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.task import Priority
from reference_server.domain.tests.builders import core, pool, request


@pytest.mark.req("OC-CORE-1042")
def test_a_prediction_follows_the_tokens_that_came_within_a_tick() -> None:
    of = pool()
    of.times = ServiceTimes(first_token_ms=0.0, token_ms=10.0, measured=1)
    subject = core(of)
    running = subject.submit(request("a", max_tokens=100), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b", max_tokens=100), tokens_in=1, now_ms=0)
    assert waiting.predicted_start_ms == 1_000

    running.transcript.append_tokens(["x"] * 40)
    subject.tick(50)

    assert subject.predicted_start_ms(waiting) == 600


@pytest.mark.req("OC-CORE-1042")
def test_a_prediction_follows_a_slot_that_changes_hands_at_once() -> None:
    of = pool()
    of.times = ServiceTimes(first_token_ms=0.0, token_ms=10.0, measured=1)
    subject = core(of)
    first = subject.submit(request("a", max_tokens=100), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b", max_tokens=100), tokens_in=1, now_ms=0)
    last = subject.submit(request("c", max_tokens=100), tokens_in=1, now_ms=0)
    assert subject.predicted_start_ms(last) == 2_000

    first.first_token_ms = 1
    subject.finish(first.id, Finish(finish_reason="stop", tokens_in=1, tokens_out=100, kv_warm=False), 1_000)
    subject.release(first, 1_000)

    assert waiting.state == "running"
    assert subject.predicted_start_ms(last) == pytest.approx(1_000, abs=20)


TIMES = ServiceTimes(first_token_ms=100.0, token_ms=10.0, fill=0.5, spread=0.0, measured=1)


def busy() -> Core:
    """Two slots whose tasks have 50 and 30 tokens left, by the usual half; 40 wait interactive, 80 batch."""
    of = pool()
    of.times = TIMES
    subject = core(of, slots=2)
    waiting: list[tuple[str, Priority, int]] = [
        ("r1", "batch", 100),
        ("r2", "batch", 60),
        ("i1", "interactive", 40),
        ("b1", "batch", 80),
    ]
    for name, priority, tokens in waiting:
        subject.submit(request(name, priority, max_tokens=tokens), tokens_in=1, now_ms=0)
    return subject


@pytest.mark.req("OC-CORE-1042", "ORCH-3029")
@pytest.mark.parametrize(
    ("priority", "wait_ms"),
    [("interactive", (1 * 100 + 20 * 10 + 80 * 10) / 2), ("batch", (2 * 100 + 60 * 10 + 80 * 10) / 2)],
)
def test_a_newcomer_waits_for_what_is_served_before_it(priority: Priority, wait_ms: float) -> None:
    subject = busy()

    assert wait_ms == forecast.start_ms(
        request("new", priority), subject.pools["p"], {t.id: t for t in subject.tasks()}
    )


@pytest.mark.req("OC-CORE-1042", "ORCH-3029")
def test_a_newcomer_that_finds_a_slot_free_does_not_wait() -> None:
    of = pool()
    of.times = TIMES
    subject = core(of, slots=2)
    running = subject.submit(request("a", max_tokens=100), tokens_in=1, now_ms=0)

    assert 0 == forecast.start_ms(request("b"), of, {"a": running})


@pytest.mark.req("OC-CORE-1042", "OC-CTRL-2023")
@pytest.mark.parametrize(("name", "wait_ms"), [("r1", 0), ("i1", 80 * 10 / 2), ("b1", (100 + 30 * 10 + 80 * 10) / 2)])
def test_a_waiting_task_waits_for_its_share_of_all_that_wait(name: str, wait_ms: float) -> None:
    subject = busy()
    task = subject.task(name)
    assert task is not None

    assert wait_ms == subject.predicted_start_ms(task)


@pytest.mark.req("OC-CORE-1043", "ORCH-2007")
@pytest.mark.parametrize(
    ("priority", "expected_ms"), [("interactive", 30 * 10), ("batch", 30 * 10 + (100 + 20 * 10) / 2)]
)
def test_a_refused_one_comes_back_when_the_next_slot_is_free_and_what_goes_first_is_served(
    priority: Priority, expected_ms: float
) -> None:
    subject = busy()
    of = subject.pools["p"]
    of.running = None

    hint = forecast.retry_after_ms(request("new", priority), of, {t.id: t for t in subject.tasks()})

    assert expected_ms * (1 + 0.05 * 1.2816) == pytest.approx(hint, abs=1)  # the least error that is believed


@pytest.mark.req("OC-CORE-1042")
def test_an_answer_that_is_longer_than_usual_is_taken_to_end_with_its_next_token() -> None:
    of = pool()
    of.times = TIMES
    subject = core(of)
    running = subject.submit(request("a", max_tokens=100), tokens_in=1, now_ms=0)
    running.transcript.append_tokens(["x"] * 60)

    assert 10 == forecast.start_ms(request("b"), of, {"a": running})


@pytest.mark.req("OC-CORE-1043")
def test_where_nothing_runs_nothing_is_waited_for() -> None:
    of = pool()
    of.times = ServiceTimes(first_token_ms=100.0, token_ms=1_000.0, measured=1)

    assert 50 == forecast.retry_after_ms(request(), of, {})
