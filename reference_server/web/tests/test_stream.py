"""A reader is told a task's end when that will hold after a kill, too, and not before."""

import asyncio

import pytest
from aiohttp import web

from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.tests.builders import core as make_core
from reference_server.domain.tests.builders import pool as make_pool
from reference_server.domain.tests.builders import request
from reference_server.runtime.readers import Reader
from reference_server.web.stream import _copy


class Response(web.StreamResponse):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    async def write_eof(self, data: bytes = b"") -> None:
        self.sent += data


def canceled_reader() -> Reader:
    """A reader of a task that has ended."""
    core = make_core(make_pool())
    task = core.submit(request(), tokens_in=1, now_ms=0)
    core.cancel(task.id, "client", 1)
    return Reader(task, start=0)


@pytest.mark.req("OC-CORE-1054")
async def test_the_end_waits_for_the_journal() -> None:
    written, response = asyncio.Event(), Response()

    async def told() -> None:
        await written.wait()

    copying = asyncio.ensure_future(_copy(canceled_reader(), response, told=told, keep_alive_s=9))
    await asyncio.sleep(0.02)
    assert b"event: error" not in response.sent

    written.set()
    await copying
    assert 1 == response.sent.count(b"event: error")


@pytest.mark.req("OC-CORE-1054")
async def test_an_end_that_cannot_be_written_down_is_told_to_nobody() -> None:
    response = Response()

    async def told() -> None:
        raise RefusedError(Failure(code="INTERNAL", message="full", retriable=False))

    with pytest.raises(RefusedError):
        await _copy(canceled_reader(), response, told=told, keep_alive_s=9)

    assert b"event: error" not in response.sent
