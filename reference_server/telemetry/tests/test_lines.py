"""Log lines: in order, whole, and in one write for one turn of the event loop."""

import asyncio
import io
import sys
from types import SimpleNamespace

import pytest

from reference_server.telemetry.log import Lines


class Written(io.BytesIO):
    """Counts its writes."""

    writes = 0

    def write(self, data: object) -> int:
        """Keep one write."""
        self.writes += 1
        return super().write(data)  # type: ignore[arg-type]


def standard_error(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Takes its place; inside a test, because pytest puts its own there when one begins."""
    stream = Written()
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=stream))
    return stream


@pytest.mark.req("OC-CORE-1040")
async def test_the_lines_of_one_turn_are_one_write_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    written = standard_error(monkeypatch)
    lines = Lines()
    for number in range(100):
        lines.msg(b"%d" % number)
    assert written.writes == 0
    await asyncio.sleep(0)

    assert written.getvalue().split() == [b"%d" % number for number in range(100)]
    assert written.writes == 1


@pytest.mark.req("OC-CORE-1040")
def test_a_line_outside_the_loop_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = standard_error(monkeypatch)
    Lines().msg(b"{}")

    assert written.getvalue() == b"{}\n"


@pytest.mark.req("OC-CORE-1040")
async def test_a_line_of_another_thread_takes_what_waits_along(monkeypatch: pytest.MonkeyPatch) -> None:
    written = standard_error(monkeypatch)
    lines = Lines()
    lines.msg(b"first")
    await asyncio.to_thread(lines.msg, b"second")

    assert written.getvalue().split() == [b"first", b"second"]
