"""The hot path, on the engine's side: one read of its socket becomes one call with all the tokens that the read held.

Why it is a protocol of its own and not the client library's response: there a read is copied into a buffer, wakes a
loop task, and is taken out again, for every token of every stream. Here, in the call in which the event loop hands over
what it has read, the HTTP parser, the event parser and the adapter's translation run one after the other, and `took`
puts the pieces where they belong: no task is switched, no timer is set, nothing is copied twice. A task of the loop
waits only for the head and for the end.

How it stays right: what `took` or a translation raises ends the stream and comes out where the end is awaited. The end
of a body that declares no length is no end. Closing the generator, and whatever else ends it, aborts the connection.

Source: OC-ADAPT-5013, OC-ADAPT-5014, OC-ADAPT-5016.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol, cast

import httptools

from reference_server.engines.base import (
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    Finished,
    Tokens,
    Took,
)
from reference_server.engines.sse_reader import SseReader

HEAD_BYTES_MAX = 64 * 1024


class Translation(Protocol):
    """What one stream's events mean; an adapter makes one for each stream."""

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        """Add the pieces of the events of one read, up to the one that ends the stream; then its end.

        Raises `EngineError`; what was added before it counts.
        """

    def ended(self, *, is_inside_event: bool) -> Finished:
        """The body has properly ended without a last event. Raises `EngineError` where that is no end."""


class StreamConnection(asyncio.Protocol):
    """One request and its answer, on a connection of its own.

    Attributes:
        status, content_type, is_chunked: of the head, once `head` has returned.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._sse = SseReader()
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: Callable[[bytes], None] | None = None
        self._parts: list[bytes] = []  # of the body, not yet taken
        self._failure: Exception | None = None
        self._is_complete = False
        self._has_head = False
        self._wake: asyncio.Future[None] | None = None
        self.status = 0
        self.content_type = ""
        self.is_chunked = False

    # ── what the event loop calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Everything that one read brought."""
        if self._failure is not None:
            return
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and b"\r\n\r\n" not in data:
                self._end(EngineFaultError("the head of the answer is too large"))
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._failure is None:
                self._end(EngineLostError(f"not HTTP: {type(error).__name__}"))
        if self._body is not None and self._parts:
            self._body(self._taken_parts())

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of a body without a length; of every other answer a cut."""
        if self._is_complete or self._failure is not None:
            return
        if self._has_head and exc is None and not self.is_chunked and b"content-length" not in self._headers:
            self.on_message_complete()
        else:
            self._end(EngineLostError(f"the connection was cut: {type(exc).__name__ if exc else 'closed'}"))

    # ── what the parser calls ──

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the head."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one is not the answer's."""
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._headers.clear()
            return
        self._has_head = True
        self.content_type = self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        self.is_chunked = self._headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        if b"content-encoding" in self._headers:
            self._end(EngineFaultError("the answer is compressed, and nobody asked for that"))
        self._woken()

    def on_body(self, data: bytes) -> None:
        """A part of the body, without its framing."""
        if self._failure is None:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """The body has ended as its framing said it would."""
        if self._has_head:
            self._is_complete = True
            self._woken()

    # ── what the adapters ask for ──

    async def head(self) -> None:
        """Return once the head is there. Raises `EngineError`."""
        while not self._has_head:
            await self._changed()
        self._require_alive()

    async def start_of_body(self, limit: int) -> bytes:
        """What the body says, as far as the limit and the connection go: of an error."""
        while not self._is_complete and self._failure is None and sum(map(len, self._parts)) < limit:
            await self._changed(raises=False)
        return b"".join(self._parts)[:limit]

    async def events(self, translation: Translation, took: Took | None) -> AsyncGenerator[EngineEvent, None]:
        """What the events mean: `Tokens` unless `took` gets their pieces at once, and then one `Finished`."""
        waiting: deque[EngineEvent] = deque()

        def keep(pieces: Sequence[str]) -> None:
            waiting.append(Tokens(tuple(pieces)))
            self._woken()

        finished: list[Finished] = []
        self._body = self._reader(translation, took or keep, finished)
        if self._parts:
            self._body(self._taken_parts())
        while True:
            while waiting:
                yield waiting.popleft()
            if finished:
                yield finished[0]
                return
            self._require_alive()
            if self._is_complete:
                yield translation.ended(is_inside_event=self._sse.is_inside_event)
                return
            await self._changed(raises=False)

    def close(self) -> None:
        """Close the connection at once; the engine sees that it was left."""
        self._failure = self._failure or EngineLostError("the stream was closed")
        self._transport.abort()

    # ── parts ──

    def _reader(self, translation: Translation, took: Took, finished: list[Finished]) -> Callable[[bytes], None]:
        feed, read = self._sse.feed, translation.read

        def body(data: bytes) -> None:
            if finished:
                return
            pieces: list[str] = []
            end: Finished | None = None
            fault: Exception | None = None
            try:
                end = read(feed(data), pieces)
            except Exception as error:  # noqa: BLE001 - a defect, too, comes out where the end is awaited
                fault = error  # what came before it in the same read is the client's all the same
            try:
                if pieces:
                    took(pieces)
            except Exception as error:  # noqa: BLE001 - as above
                fault = error
            if fault is not None:
                self._end(fault)
            elif end is not None:
                finished.append(end)
                self._woken()

        return body

    def _taken_parts(self) -> bytes:
        """All that has come of the body: an engine frames each event by itself, and a busy loop reads many at once."""
        taken = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        return taken

    def _end(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._has_head = True
        self._woken()

    def _require_alive(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _changed(self, *, raises: bool = True) -> None:
        if raises:
            self._require_alive()
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _woken(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
