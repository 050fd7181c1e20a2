"""An honest run passes every check, and each cheater dies by the check that is meant for it."""

from dataclasses import replace
from typing import Any

import pytest

from harness.engines.direct import Candidate, Counters, Decoded, Step
from harness.haiku.facts import Answer, Asked, Facts, Reread, in_words
from harness.haiku.proof import CHECKS, prove
from harness.outcome import Outcome

VERSION = "b11434"
STARTED = {"engine_version": VERSION, "sampler_profile_version": "v1"}
REAL = {"engines": [{"engine": "llamacpp", "engine_version": VERSION, "features": {}}]}
ASKED = (Asked("ba", "with ba", 1), Asked("ce", "with ce", 1), Asked("di", "with di", 2))
TEXTS = ("one", "two", "three")


def answer(text: str, **changes: Any) -> Answer:
    made = Answer(text=text, frames=48, tokens_in=20, tokens_out=48, observed_ms=900, decode_ms=700, started=STARTED)
    return replace(made, **changes)


def own(text: str) -> Decoded:
    step = Step(Candidate(1, text, -1.0), ())
    return Decoded(text, (text,), (step,), tokens_in=20, tokens_out=48, finish="length", decode_ms=700)


HONEST = Facts(
    asked=ASKED,
    answers=tuple(map(answer, TEXTS)),
    capabilities=REAL,
    engine_version=VERSION,
    own=tuple(map(own, TEXTS)),
    own_ms=(700.0, 700.0, 700.0),
    reread=(Reread(-1.0, -1.0), Reread(-2.0, -2.2)),
    engine_moved=Counters(60, 144),
    server_moved=Counters(60, 144),
    tasks_started=3,
)


def with_answers(*answers: Answer) -> Facts:
    return replace(HONEST, answers=answers)


@pytest.mark.req("ORCH-3051")
def test_an_honest_run_passes_every_check() -> None:
    assert dict.fromkeys(CHECKS, Outcome.PASS) == {v.check: v.outcome for v in prove(HONEST)}


CANNED = with_answers(*(answer("canned") for _ in TEXTS))
REPLAY = with_answers(answer("one"), answer("one"), answer("three"))
NO_NONCE = with_answers(answer("of no nonce"), answer("of no nonce"), answer("of none, seed 2"))
TOO_FAST = with_answers(*(answer(text, observed_ms=20, decode_ms=10) for text in TEXTS))
SAYS_TOO_FAST = with_answers(*(answer(text, decode_ms=10) for text in TEXTS))
SAYS_TOO_SLOW = with_answers(*(answer(text, decode_ms=5_000) for text in TEXTS))
MOCK = {"engines": [{"engine": "llamacpp", "engine_version": "mock-1.0", "features": {"stand_in": True}}]}

CHEATERS = [
    pytest.param(CANNED, "depends-on-the-nonce", id="canned-text"),
    pytest.param(CANNED, "engines-own-words", id="canned-text-is-not-the-engines"),
    pytest.param(REPLAY, "depends-on-the-nonce", id="an-earlier-answer-again"),
    pytest.param(REPLAY, "engines-own-words", id="an-earlier-answer-is-not-the-engines"),
    pytest.param(NO_NONCE, "depends-on-the-nonce", id="nonce-left-out"),
    pytest.param(with_answers(answer("one"), answer("two"), answer("x")), "engines-own-words", id="one-of-three"),
    pytest.param(
        with_answers(answer("one", tokens_in=19), answer("two"), answer("three")), "engines-own-words", id="prompt-cut"
    ),
    pytest.param(TOO_FAST, "real-time", id="impossible-speed"),
    pytest.param(SAYS_TOO_FAST, "real-time", id="says-impossible-speed"),
    pytest.param(SAYS_TOO_SLOW, "real-time", id="says-more-time-than-passed"),
    pytest.param(replace(HONEST, engine_moved=Counters(0, 0)), "engine-counted", id="engine-counters-stand"),
    pytest.param(replace(HONEST, engine_moved=Counters(60, 143)), "engine-counted", id="one-token-not-decoded"),
    pytest.param(replace(HONEST, server_moved=Counters(0, 0)), "server-counted", id="server-counters-stand"),
    pytest.param(replace(HONEST, tasks_started=2), "server-counted", id="a-task-not-started"),
    pytest.param(replace(HONEST, capabilities=MOCK), "real-engine", id="stand-in"),
    pytest.param(replace(HONEST, engine_version="mock-1.0"), "real-engine", id="engine-is-a-stand-in"),
    pytest.param(replace(HONEST, engine_version="b1"), "real-engine", id="version-of-another-engine"),
    pytest.param(replace(HONEST, reread=()), "language-model", id="no-log-probabilities"),
    pytest.param(replace(HONEST, reread=(Reread(-1.0, -1.6),)), "language-model", id="made-up-log-probabilities"),
    pytest.param(replace(HONEST, reread=(Reread(-1.0, None),)), "language-model", id="its-own-token-is-unlikely"),
    pytest.param(with_answers(*(answer(t, frames=12) for t in TEXTS)), "answered", id="fewer-frames-than-tokens"),
    pytest.param(with_answers(*(answer(t, frames=0, tokens_out=0) for t in TEXTS)), "answered", id="nothing"),
    pytest.param(with_answers(*(answer(t, trouble="503") for t in TEXTS)), "answered", id="errors"),
]


@pytest.mark.req("OC-TEST-7006", "OC-TEST-7065", "OC-TEST-7066", "ORCH-3051")
@pytest.mark.parametrize(("facts", "check"), CHEATERS)
def test_a_cheater_is_caught_by_the_check_that_is_meant_for_it(facts: Facts, check: str) -> None:
    outcomes = {verdict.check: verdict.outcome for verdict in prove(facts)}

    assert Outcome.FAIL is outcomes[check]


@pytest.mark.req("OC-TEST-7006")
def test_every_check_catches_somebody() -> None:
    assert {case.values[1] for case in CHEATERS} == set(CHECKS)


@pytest.mark.req("OC-TEST-7009")
@pytest.mark.parametrize(
    ("facts", "check"),
    [
        pytest.param(replace(HONEST, own=(), own_ms=(), trouble="gone"), "engines-own-words", id="engine-gone"),
        pytest.param(replace(HONEST, own=(), own_ms=(), trouble="gone"), "real-time", id="no-time-to-compare"),
        pytest.param(replace(HONEST, engine_moved=Counters(80, 200)), "engine-counted", id="somebody-else-too"),
        pytest.param(replace(HONEST, server_moved=None), "server-counted", id="no-metrics"),
        pytest.param(
            with_answers(*(answer(t, started={**STARTED, "sampler_profile_version": "v9"}) for t in TEXTS)),
            "engines-own-words",
            id="unknown-sampler-profile",
        ),
    ],
)
def test_what_could_not_be_asked_is_no_pass(facts: Facts, check: str) -> None:
    outcomes = {verdict.check: verdict.outcome for verdict in prove(facts)}

    assert Outcome.NOT_TESTABLE is outcomes[check]


@pytest.mark.parametrize(
    ("minute", "words"), [(0, "zero"), (13, "thirteen"), (20, "twenty"), (21, "twenty-one"), (59, "fifty-nine")]
)
def test_minutes_are_said_in_words(minute: int, words: str) -> None:
    assert words == in_words(minute)
