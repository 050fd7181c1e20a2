"""Frames leave in the call that brought them, wait where nobody takes them, and the end comes when it will hold."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from reference_server.domain.core import Core
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import core as make_core
from reference_server.domain.tests.builders import pool as make_pool
from reference_server.domain.tests.builders import request
from reference_server.runtime.readers import Reader
from reference_server.web.outlet import Outlet
from reference_server.web.stream import _copy


class Client(asyncio.WriteTransport):
    """The connection and its transport: takes what is written until it is told to take nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.writing_paused = False
        self.on_writable: Callable[[], None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.writing_paused
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return False

    def takes(self) -> None:
        """It takes something again."""
        self.writing_paused = False
        assert self.on_writable is not None
        self.on_writable()


class Response(web.StreamResponse):
    """Writes to the same client."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self.client.write(data)

    async def write_eof(self, data: bytes = b"") -> None:
        self.client.write(data + b"EOF")


def running() -> tuple[Core, Task, Reader]:
    """A task that runs, and a reader of it."""
    core = make_core(make_pool())
    task = core.submit(request(), tokens_in=1, now_ms=0)
    return core, task, Reader(task, start=0)


def outlet(reader: Reader, client: Client, *, keep_alive_s: float = 9, slow_s: float = 9) -> Outlet:
    return Outlet(reader, client, client, is_chunked=True, keep_alive_s=keep_alive_s, slow_s=slow_s)


async def told() -> None:
    """The journal has it."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is looked at is bytes that were written
            await asyncio.sleep(0.001)


@pytest.mark.req("ORCH-2002")
async def test_a_token_is_written_in_the_call_that_adds_it_as_one_http_chunk() -> None:
    _, task, reader = running()
    client = Client()
    copying = asyncio.ensure_future(outlet(reader, client).run())
    await asyncio.sleep(0)
    client.sent = b""

    task.transcript.append_tokens([" 水", ""])
    reader.wake()  # no turn of the loop after this

    events = b'id: 2\nevent: token\ndata: {"t":" \xe6\xb0\xb4","i":0}\n\nid: 3\nevent: token\ndata: {"t":"","i":1}\n\n'
    assert client.sent == b"%x\r\n%b\r\n" % (len(events), events)
    copying.cancel()


@pytest.mark.req("OC-CTRL-2046")
async def test_nothing_is_written_to_a_client_that_takes_nothing_and_all_of_it_afterwards() -> None:
    core, task, reader = running()
    client = Client()
    copying = asyncio.ensure_future(_copy(outlet(reader, client), reader, Response(client), told=told))
    await asyncio.sleep(0)
    client.writing_paused = True  # `Client.write` fails from here on
    for number in range(2_000):
        task.transcript.append_tokens([str(number)])
        reader.wake()
    core.cancel(task.id, "client", 1)
    reader.wake()
    await asyncio.sleep(0)
    assert not copying.done()

    client.takes()
    await copying
    assert client.sent.endswith(b"EOF")
    assert 1 == client.sent.count(b"event: error")
    assert b"event: token" not in client.sent  # it was canceled before they were taken (ORCH-3026)


@pytest.mark.req("OC-CTRL-2046")
async def test_a_client_that_takes_nothing_for_too_long_is_given_up_and_one_that_waits_is_not() -> None:
    _, task, reader = running()
    client = Client()
    copying = asyncio.ensure_future(outlet(reader, client, keep_alive_s=0.1, slow_s=0.05).run())
    await until(lambda: copying.done() or b": keep-alive" in client.sent)  # sent after a silence of twice `slow_s`
    assert not copying.done()

    client.writing_paused = True
    task.transcript.append_tokens(["x"])
    reader.wake()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(copying, 5)
    assert reader.on_growth is None


@pytest.mark.req("OC-CTRL-2028")
async def test_a_silent_stream_gets_comments() -> None:
    _, _, reader = running()
    client = Client()
    copying = asyncio.ensure_future(outlet(reader, client, keep_alive_s=0.02).run())
    await until(lambda: client.sent.count(b": keep-alive\n\n") >= 3)
    copying.cancel()


def canceled() -> Reader:
    """A reader of a task that has ended."""
    core, task, reader = running()
    core.cancel(task.id, "client", 1)
    return reader


@pytest.mark.req("OC-CORE-1054")
async def test_the_end_waits_for_the_journal() -> None:
    written, client, reader = asyncio.Event(), Client(), canceled()

    async def told_later() -> None:
        await written.wait()

    copying = asyncio.ensure_future(_copy(outlet(reader, client), reader, Response(client), told=told_later))
    await until(lambda: b"event: metrics" in client.sent)
    assert b"event: error" not in client.sent

    written.set()
    await copying
    assert 1 == client.sent.count(b"event: error")


@pytest.mark.req("OC-CORE-1054")
async def test_an_end_that_cannot_be_written_down_is_told_to_nobody() -> None:
    client, reader = Client(), canceled()

    async def full() -> None:
        raise RefusedError(Failure(code="INTERNAL", message="full", retriable=False))

    with pytest.raises(RefusedError):
        await _copy(outlet(reader, client), reader, Response(client), told=full)

    assert b"event: error" not in client.sent
