"""Engines' event streams, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.engines import sse_reader
from reference_server.engines.base import EngineFaultError
from reference_server.engines.sse_reader import SseReader

STREAM = (
    'data: {"t":"水"}\n\n: comment\n\ndata:{"t":"€"}\r\n\r\nevent: x\rid: 7\rdata: a\rdata: b\r\rdata: open'.encode()
)
EVENTS = ['{"t":"水"}'.encode(), '{"t":"€"}'.encode(), b"a\nb"]


@pytest.mark.req("ORCH-3054")
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cutting_gives_the_same_events(cuts: list[int]) -> None:
    reader = SseReader()
    edges = [0, *sorted(cuts), len(STREAM)]

    events = [event for a, b in pairwise(edges) for event in reader.feed(STREAM[a:b])]

    assert EVENTS == events


@pytest.mark.req("OC-CORE-1008")
@pytest.mark.parametrize("line", [b"x" * 50, b"data: yyyyyyyyyyyyyyyyyyyyyyyyy\n"], ids=["no-line-end", "no-event-end"])
def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse_reader, "EVENT_BYTES_MAX", 100)
    reader = SseReader()

    def feed_on() -> None:
        for _ in range(20):
            reader.feed(line)

    with pytest.raises(EngineFaultError):
        feed_on()
