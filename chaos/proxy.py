"""A TCP proxy with a trouble in it: between clients and a server, or between a server and its engine.

It passes bytes on both ways and sees the frames of event streams on the way, so that a trouble can strike after the
fifth token rather than after some bytes. While no trouble is set everything goes through untouched.

A trouble that is taken away passes on what it holds: nothing is lost that was not cut.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

import h11

from harness.sse import Event, SseParser
from harness.stream_reader import READ_BYTES, reset_when_closed

START_LIMIT_S = 10.0
STREAM_REQUESTS = (b"/stream ", b"POST /completion ")  # of OrchQueue, and of llama-server

Direction = Literal["to-server", "to-client"]


class Trouble(Protocol):
    """What a network fault does to the bytes of one direction of one connection."""

    async def carry(self, data: bytes, link: "Link") -> None:
        """Pass `data` on, late, in parts, or not at all. Runs in the proxy's loop, one call at a time for a link."""


class FrameCounter:
    """Counts the events of an HTTP answer's stream."""

    def __init__(self) -> None:
        self.count = 0
        self._events = SseParser()
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        self._http.send(h11.EndOfMessage())

    def feed(self, data: bytes) -> None:
        """Take in some bytes of the answer."""
        try:
            self._http.receive_data(data)
            while isinstance(event := self._http.next_event(), h11.Event):
                if isinstance(event, h11.Data):
                    self.count += sum(isinstance(found, Event) for found in self._events.feed(bytes(event.data)))
                if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return
        except (h11.RemoteProtocolError, UnicodeDecodeError):
            return  # no trouble of the proxy's: whoever reads it will say so


@dataclass
class Link:
    """One direction of one connection."""

    direction: Direction
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: "Connection"
    _is_shut: bool = False

    @property
    def is_stream(self) -> bool:
        """The connection was opened for an event stream."""
        return self.connection.frames is not None

    @property
    def frames(self) -> int:
        """Frames that have come from the server on this connection so far."""
        return self.connection.frames.count if self.connection.frames else 0

    @property
    def is_open(self) -> bool:
        """This direction has not been ended."""
        return not self._is_shut and not self.writer.is_closing()

    async def send(self, data: bytes) -> None:
        """Pass bytes on."""
        self.writer.write(data)
        await self.writer.drain()

    def shut(self) -> None:
        """End this direction, and leave the other open."""
        if self.is_open and self.writer.can_write_eof():
            self._is_shut = True
            self.writer.write_eof()

    def cut(self) -> None:
        """Reset the connection on both sides."""
        self.connection.cut()


@dataclass
class Connection:
    """Both directions."""

    links: list[Link] = field(default_factory=list)
    frames: FrameCounter | None = None
    _is_known: bool = False

    def see(self, data: bytes, direction: Direction) -> None:
        """Look at what passes."""
        if direction == "to-server" and not self._is_known:
            self._is_known = True
            line = data.partition(b"\r\n")[0]
            self.frames = FrameCounter() if any(mark in line for mark in STREAM_REQUESTS) else None
        elif direction == "to-client" and self.frames is not None:
            self.frames.feed(data)

    def cut(self) -> None:
        """Reset on both sides."""
        for link in self.links:
            sock = link.writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                reset_when_closed(sock)
            link.writer.transport.abort()


class Proxy:
    """Listens on a free port of loopback, in a thread of its own.

    Attributes:
        upstream: `http://host:port`; may be changed, for the connections that follow.
        trouble: None = everything passes.
        connections: how many there have been.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.trouble: Trouble | None = None
        self.url = ""
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_LIMIT_S):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_LIMIT_S)

    def call_soon(self, work: Callable[[], object]) -> None:
        """Run something in the proxy's loop."""
        self._loop.call_soon_threadsafe(work)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=512)
        host, port = server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs callbacks of streams in tasks
        self._running.add(task)
        self.connections += 1
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._running.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.upstream)
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        connection = Connection()
        connection.links = [
            Link("to-server", reader, server_writer, connection),
            Link("to-client", server_reader, writer, connection),
        ]
        try:
            await asyncio.gather(*(self._pump(link) for link in connection.links))
        except OSError:
            connection.cut()  # one side was reset: so is the other
        finally:
            for link in connection.links:
                link.writer.close()

    async def _pump(self, link: Link) -> None:
        while data := await link.reader.read(READ_BYTES):
            link.connection.see(data, link.direction)
            if (trouble := self.trouble) is None:
                await link.send(data)
            else:
                await trouble.carry(data, link)
        link.shut()
