"""Every rule of a stream accepts what is right and catches what is broken."""

import json
from collections.abc import Callable, Iterator

import pytest

from harness.checks import stream as rules
from harness.checks.violation import Violation
from harness.history import Frame, Stream

Rule = Callable[[Stream], Iterator[Violation]]

GOOD = "started metrics token token metrics end"


def stream_of(
    events: str, *, indices: list[int] | None = None, ids: list[str | None] | None = None, after: str | None = None
) -> Stream:
    """A finished stream of these events; tokens are numbered from 0, frames from 0 or after `after`."""
    frames, token = [], 0
    names = events.split()
    for number, event in enumerate(names):
        payload: dict[str, object] = {}
        if event == "token":
            payload = {"t": "x", "i": indices[token] if indices else token}
            token += 1
        if event == "end":
            payload = {"tokens_out": token, "decode_ms": 1}
        first = int(after) + 1 if after is not None else 0
        frame_id = ids[number] if ids else str(first + number)
        frames.append(Frame(event=event, data=json.dumps(payload), id=frame_id, at_ms=float(number)))
    return Stream(task_id="t", after=after, frames=frames, end="complete")


def with_cancel_at(stream: Stream, frames: int) -> Stream:
    stream.frames_at_cancel = frames
    return stream


def ended(stream: Stream, end: str, why: str = "") -> Stream:
    stream.end, stream.why = end, why  # type: ignore[assignment]
    return stream


@pytest.mark.req("OC-CTRL-2022")
@pytest.mark.parametrize("rule", rules.CHECKS, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(stream_of(GOOD), id="whole"),
        pytest.param(stream_of("metrics error"), id="ended-before-it-started"),
        pytest.param(stream_of("token token metrics end", indices=[5, 6], after="7"), id="resumed-between-tokens"),
        pytest.param(stream_of("started metrics token metrics end", after=None), id="one-token"),
        pytest.param(stream_of("started metrics result end"), id="embedding"),
        pytest.param(ended(stream_of("started metrics token"), "left"), id="left-by-the-reader"),
        pytest.param(
            with_cancel_at(stream_of("started metrics metrics error", ids=["0", "1", "9", "10"]), 2),
            id="canceled-ids-jump",
        ),
        pytest.param(
            ended(stream_of("started metrics metrics", ids=["0", "1", "9"]), "left"), id="left-while-it-was-canceled"
        ),
        pytest.param(with_cancel_at(stream_of("started token token metrics error"), 3), id="canceled"),
        pytest.param(Stream(task_id="t", after="9", end="complete"), id="nothing-left"),
    ],
)
def test_right_streams_pass(rule: Rule, stream: Stream) -> None:
    assert [] == list(rule(stream))


@pytest.mark.req("OC-CTRL-2022", "OC-CTRL-2021", "OC-CTRL-2025", "ORCH-3026")
@pytest.mark.parametrize(
    ("rule", "stream"),
    [
        pytest.param(rules.one_terminal, stream_of("started token"), id="no-terminal"),
        pytest.param(rules.one_terminal, stream_of("started token end token"), id="token-after-end"),
        pytest.param(rules.one_terminal, stream_of("started error end"), id="two-terminals"),
        pytest.param(
            rules.one_terminal, ended(stream_of("started end metrics"), "left"), id="more-after-end-then-left"
        ),
        pytest.param(rules.ends_properly, ended(stream_of(GOOD), "cut", "reset"), id="cut"),
        pytest.param(rules.started_first, stream_of("token started end"), id="token-before-started"),
        pytest.param(rules.started_first, stream_of("token end"), id="never-started"),
        pytest.param(rules.started_first, stream_of("started started end"), id="started-twice"),
        pytest.param(rules.started_first, stream_of("metrics end"), id="ended-well-without-start"),
        pytest.param(rules.token_indices_without_gap, stream_of(GOOD, indices=[1, 2]), id="from-one"),
        pytest.param(rules.token_indices_without_gap, stream_of(GOOD, indices=[0, 2]), id="gap"),
        pytest.param(rules.token_indices_without_gap, stream_of(GOOD, indices=[0, 0]), id="twice"),
        pytest.param(
            rules.token_indices_without_gap,
            stream_of("token token end", indices=[5, 7], after="6"),
            id="gap-when-resumed",
        ),
        pytest.param(rules.ids_are_places, stream_of("started token end", ids=["0", "0", "1"]), id="same-id"),
        pytest.param(rules.ids_are_places, stream_of("started token end", ids=["0", None, "2"]), id="no-id"),
        pytest.param(rules.ids_are_places, stream_of("started token end", ids=["0", "b", "2"]), id="no-number"),
        pytest.param(
            rules.ids_are_places, stream_of("token end", ids=["3", "4"], after="3"), id="resumed-one-too-early"
        ),
        pytest.param(
            rules.ids_are_places, stream_of("token end", ids=["5", "6"], after="3"), id="resumed-one-too-late"
        ),
        pytest.param(rules.ids_are_places, stream_of("started end", ids=["1", "2"]), id="counted-from-1"),
        pytest.param(rules.ids_are_places, stream_of("started token end", ids=["0", "2", "3"]), id="gap-of-ids"),
        pytest.param(
            rules.no_token_after_cancel,
            with_cancel_at(stream_of("started token token error"), 2),
            id="token-after-cancel",
        ),
        pytest.param(rules.sums_agree, ended(stream_of("started end"), "complete"), id="placeholder"),
    ],
)
def test_broken_streams_are_caught(rule: Rule, stream: Stream) -> None:
    if rule is rules.sums_agree:
        stream.frames[-1] = Frame(event="end", data='{"tokens_out": 5, "decode_ms": 1}', id="1", at_ms=0.0)

    (violation,) = rule(stream)

    assert violation.expected
    assert "stream of t" in violation.at
