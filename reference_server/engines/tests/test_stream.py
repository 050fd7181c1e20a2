"""An engine's stream, read by hand: any cut gives the same tokens, and nothing but an engine's error comes out."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.engines.base import EngineError, EngineFaultError, EngineLostError, Finished, Tokens
from reference_server.engines.stream import HEAD_BYTES_MAX, StreamConnection
from reference_server.engines.tests.scripted_server import STREAM_HEAD, STREAM_TAIL, chunk


class Words:
    """Every event is a piece, `end` the last."""

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        for data in events:
            if data == b"end":
                return Finished("stop", tokens_in=1, tokens_out=1)
            if data == b"oops":
                raise EngineFaultError("oops")
            pieces.append(data.decode())
        return None

    def ended(self, *, is_inside_event: bool) -> Finished:
        raise EngineLostError("no end")


class Wire(asyncio.Transport):
    """Where the connection writes, and whether it has been aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True


def connected() -> StreamConnection:
    connection = StreamConnection(b"")
    connection.connection_made(Wire())
    return connection


async def read(parts: Sequence[bytes], *, is_cut: bool = True) -> list[str]:
    """All pieces of an answer that comes in these parts."""
    connection, pieces = connected(), list[str]()
    for part in parts:
        connection.data_received(part)
    if is_cut:
        connection.connection_lost(None)
    async with asyncio.timeout(5):
        await connection.head()
        async with aclosing(connection.events(Words(), pieces.extend)) as events:
            assert [Finished] == [type(event) async for event in events]
    return pieces


EVENTS = "data: a\n\ndata:  水\n\n: a comment\ndata: b\r\n\r\ndata: end\n\n".encode()
ANSWER = STREAM_HEAD + chunk(EVENTS[:9]) + chunk(EVENTS[9:17]) + chunk(EVENTS[17:]) + STREAM_TAIL


@pytest.mark.req("OC-ADAPT-5013")
@settings(deadline=None)
@given(cuts=st.sets(st.integers(1, len(ANSWER) - 1)))
async def test_any_cut_of_an_answer_gives_the_same_pieces(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(ANSWER)]

    assert ["a", " 水", "b"] == await read([ANSWER[a:b] for a, b in pairwise(edges)])


@pytest.mark.req("OC-ADAPT-5013")
@settings(deadline=None)
@given(place=st.integers(0, len(ANSWER)), noise=st.binary(max_size=40))
async def test_whatever_comes_nothing_but_an_engines_error_goes_out(place: int, noise: bytes) -> None:
    try:
        await read([ANSWER[:place] + noise + ANSWER[place:]])
    except (
        EngineError,
        UnicodeDecodeError,
    ):  # the second is `Words`' own, as an adapter's decoder would raise the first
        return


@pytest.mark.req("OC-ADAPT-5013")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(STREAM_HEAD + chunk(b"data: a\n\n"), EngineLostError, id="cut-between-chunks"),
        pytest.param(STREAM_HEAD + chunk(b"data: a\n\n") + STREAM_TAIL, EngineLostError, id="no-end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ndata: a\n\n", EngineLostError, id="shorter-than-it-said"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + EVENTS, EngineFaultError, id="compressed-unasked"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (HEAD_BYTES_MAX // 6 + 2), EngineFaultError, id="endless-head"
        ),
        pytest.param(STREAM_HEAD + chunk(b"data: oops\n\n") + STREAM_TAIL, EngineFaultError, id="its-own-error"),
    ],
)
async def test_what_is_no_end_is_told_apart(answer: bytes, expected: type[EngineError]) -> None:
    with pytest.raises(expected):
        await read([answer])


@pytest.mark.req("OC-ADAPT-5013")
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", id="an-interim-head"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", id="a-body-until-the-close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EVENTS), id="a-length"),
    ],
)
async def test_other_framings_of_a_body_are_read(head: bytes) -> None:
    assert ["a", " 水", "b"] == await read([head + EVENTS])


@pytest.mark.req("OC-CORE-1022", "OC-ADAPT-5014")
async def test_what_the_taker_raises_comes_out_and_later_reads_are_dropped() -> None:
    connection, taken = connected(), list[Sequence[str]]()
    connection.data_received(STREAM_HEAD)

    def took(pieces: Sequence[str]) -> None:
        taken.append(pieces)
        raise OverflowError

    await connection.head()
    events = connection.events(Words(), took)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    connection.data_received(chunk(b"data: a\n\n"))
    connection.data_received(chunk(b"data: b\n\n"))

    with pytest.raises(OverflowError):
        await waiting
    assert [["a"]] == taken
    await events.aclose()


@pytest.mark.req("ORCH-3054")
async def test_pieces_are_taken_in_the_call_that_reads_them_and_without_a_taker_they_are_events() -> None:
    connection, taken = connected(), list[Sequence[str]]()
    connection.data_received(STREAM_HEAD + chunk(b"data: early\n\n"))
    waiting = asyncio.ensure_future(anext(connection.events(Words(), taken.append)))
    await asyncio.sleep(0)
    connection.data_received(chunk(b"data: a\n\n") + chunk(b"data: b\n\n"))  # one read, and no turn of the loop

    assert [["early"], ["a", "b"]] == taken
    waiting.cancel()

    other = connected()
    other.data_received(STREAM_HEAD + chunk(b"data: a\n\n") + chunk(b"data: end\n\n") + STREAM_TAIL)
    async with aclosing(other.events(Words(), None)) as events:
        assert [Tokens(("a",)), Finished("stop", 1, 1)] == [event async for event in events]
