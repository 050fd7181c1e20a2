"""Predictions follow what runs: at once when a slot changes hands, and with the next tick while tokens come."""

import pytest

from reference_server.domain.frames import Finish
from reference_server.domain.service_times import ServiceTimes
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
