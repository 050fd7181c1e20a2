"""Log lines: in order, whole, in one write for one turn of the event loop, and never in anybody's way."""

import asyncio
import json
import os
import threading

import pytest

from reference_server.telemetry.log import Lines


class Sink:
    """Takes what is written, while it is open.

    Attributes:
        writes: what came, a write each.
        is_asked: set when the first write has come, taken or not.
    """

    def __init__(self, *, is_open: bool = True) -> None:
        self.writes: list[bytes] = []
        self.is_asked = threading.Event()
        self.open = threading.Event()
        if is_open:
            self.open.set()

    def __call__(self, data: bytes) -> None:
        """One write."""
        self.is_asked.set()
        assert self.open.wait(10)
        self.writes.append(data)


@pytest.mark.req("OC-CORE-1040")
async def test_the_lines_of_one_turn_are_one_write_in_their_order() -> None:
    sink = Sink()
    lines = Lines(sink)
    for number in range(100):
        lines.msg(b"%d" % number)
    assert sink.writes == []
    await asyncio.sleep(0)

    assert lines.flush(10)
    assert [b"".join(b"%d\n" % number for number in range(100))] == sink.writes


@pytest.mark.req("OC-CORE-1040")
def test_a_line_outside_the_loop_waits_for_nothing() -> None:
    sink = Sink()
    lines = Lines(sink)
    lines.msg(b"{}")

    assert sink.is_asked.wait(10)
    assert lines.flush(10)
    assert [b"{}\n"] == sink.writes


@pytest.mark.req("OC-CORE-1040")
async def test_a_line_of_another_thread_takes_what_waits_along() -> None:
    sink = Sink()
    lines = Lines(sink)
    lines.msg(b"first")
    await asyncio.to_thread(lines.msg, b"second")

    assert lines.flush(10)
    assert [b"first\nsecond\n"] == sink.writes


@pytest.mark.req("OC-CORE-1046")
def test_who_logs_does_not_wait_for_the_log_and_what_was_lost_is_counted() -> None:
    """The log takes nothing. 10 lines of 10 bytes fill it; 5 more are lost, and told when it takes again."""
    sink = Sink(is_open=False)
    lines = Lines(sink, waiting_bytes=99)
    for _ in range(15):
        lines.msg(b"0123456789")
    assert not lines.flush(0.01)
    sink.open.set()

    assert lines.flush(10)
    assert lines.flush(10), "the line that counts was added while those before it were being written"
    taken = b"".join(sink.writes).splitlines()
    assert [b"0123456789"] * 10 == taken[:10]
    assert ["log lines lost", 5] == [json.loads(taken[10])[name] for name in ("event", "count")]
    assert 11 == len(taken)


@pytest.mark.req("OC-CORE-1046")
def test_there_is_room_again_for_what_comes_after() -> None:
    sink = Sink()
    lines = Lines(sink, waiting_bytes=99)
    for _ in range(50):
        lines.msg(b"0123456789")
        assert lines.flush(10)

    assert [b"0123456789\n"] * 50 == sink.writes


@pytest.mark.req("OC-CORE-1046")
def test_more_than_a_pipe_takes_at_once_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe holds 64 KiB; the write of a megabyte is taken in parts."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        monkeypatch.setattr("sys.stderr", writer)
        lines = Lines()
        lines.msg(b"x" * 1_000_000)

        assert b"x" * 1_000_000 + b"\n" == reader.read(1_000_001)
        assert lines.flush(10)
        assert lines.last_error is None
