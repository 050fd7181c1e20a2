"""One request and its answer on their way through the saboteur.

Bytes of a request go through as they are, so that what is no HTTP stays what it is; only a defect that changes requests
waits for a whole one. Whoever goes away, by a close or a reset, goes away on the other side in the same manner.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import h11

from harness.saboteur.defect import Exchange, Front, Stream, Wire
from harness.saboteur.message import Answer, Frame, Request
from harness.stream_reader import READ_BYTES, reset_when_closed

BODY_BYTES_MAX = 1024 * 1024  # of a request that a defect may want to look at
HEAD_BYTES_MAX = 64 * 1024  # what is longer is no request that a defect has to understand
LINGER_S = 2.0  # for a client that still sends when it has been answered
BODY_S = 0.1  # for the whole of a body that a defect wants to change; what is slower passes as it comes
BROKEN = (ConnectionError, TimeoutError, h11.RemoteProtocolError)


class Connection:
    """One request and its answer.

    `upward` carries what the client sends, `downward` what the server does; either may end first.
    """

    def __init__(
        self, front: Front, wire: Wire | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._front, self._wire = front, wire
        self._reader, self._writer = reader, writer
        self._request = Request()  # what is no HTTP has neither method nor path
        self._exchange: Exchange | None = None
        self._stream: Stream | None = None
        self._rest = b""
        self._is_stream = False
        self._is_answered = False

    async def run(self) -> None:
        """Carry everything until both sides have ended."""
        if self._wire is not None:
            self._wire.token = self._front.token
        self._up_reader, self._up = await asyncio.open_connection(self._front.host, self._front.port)
        self._sending = asyncio.create_task(self._upward())
        answering = asyncio.create_task(self._downward())
        try:
            await asyncio.wait({self._sending, answering}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (self._sending, answering):
                if task.done() and not task.cancelled():
                    task.result()
        except BROKEN:
            _reset(self._writer)
            _reset(self._up)
        finally:
            for task in (self._sending, answering):
                task.cancel()
            await asyncio.gather(self._sending, answering, return_exceptions=True)
            self._up.close()
            self._writer.close()

    # ── what the client sends ──

    async def _upward(self) -> None:
        changes = self._wire is not None and self._wire.defect.kind == "exchanges"
        head = b""
        while b"\r\n\r\n" not in head and len(head) < HEAD_BYTES_MAX:
            data = await self._reader.read(READ_BYTES)
            if not data:
                break
            head += data
            if not changes:
                await self._ask(data)
        self._request = Request.of(head) or self._request
        self._request.body = head.partition(b"\r\n\r\n")[2]
        if changes and not await self._changed(head):
            return  # answered by the defect itself
        while data := await self._reader.read(READ_BYTES):
            self._request.body += data[: BODY_BYTES_MAX - len(self._request.body)]
            await self._ask(data)
        with suppress(OSError):
            self._up.write_eof()

    async def _ask(self, data: bytes) -> None:
        """Send it on; a server that has closed says why on the other way."""
        with suppress(ConnectionError):
            self._up.write(data)
            await self._up.drain()

    async def _changed(self, head: bytes) -> bool:
        """Let the defect change the request.

        Returns:
            Whether it was sent on.
        """
        request, wire = self._request, self._wire
        length = request.header("content-length") or "0"
        if wire is None or not request.method or not length.isdigit() or not wire.defect.applies(request):
            await self._ask(head)
            return True
        whole_head = len(head) - len(request.body)
        try:
            async with asyncio.timeout(BODY_S):
                while len(request.body) < int(length) and (data := await self._reader.read(READ_BYTES)):
                    request.body += data
        except TimeoutError:
            pass
        if len(request.body) < int(length):
            await self._ask(head[:whole_head] + request.body)
            return True
        whole = request.encoded()
        self._exchange = wire.defect.plant(request, wire)
        reply = wire.guarded(lambda: next(self._exchange or iter(()), None))
        if reply is not None:
            wire.fired += 1
            self._is_answered = True
            await self._send(reply)
            self._up.close()
            return False
        wire.fired += (now := request.encoded()) != whole
        await self._ask(now)
        return True

    # ── what the server sends ──

    async def _downward(self) -> None:
        http = h11.Connection(our_role=h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("host", "any")]))  # so that it expects an answer
        http.send(h11.EndOfMessage())
        answer = Answer()
        while True:
            match http.next_event():
                case h11.NEED_DATA:
                    http.receive_data(await self._up_reader.read(READ_BYTES))
                    if self._is_answered:
                        return
                case h11.Response() as head:
                    pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers.raw_items()]
                    answer = Answer(headers=pairs, status=head.status_code)
                    self._remember(answer)
                    await self._begin_stream(answer)
                case h11.Data(data=data) if self._is_stream:
                    await self._pass_frames(bytes(data))
                case h11.Data(data=data):
                    answer.body += data
                case h11.EndOfMessage():
                    await self._finish(answer)
                    return
                case h11.ConnectionClosed():
                    raise ConnectionAbortedError

    def _remember(self, answer: Answer) -> None:
        """What the server itself said: which token it takes, and which tasks it has."""
        given = self._request.header("authorization")
        if given is not None and answer.status < 400:
            self._front.token = given.removeprefix("Bearer ")
        if self._wire is not None and self._request.line == "POST /v1/tasks" and answer.status == 202:
            self._wire.admitted.append((self._front, (self._request.json or {}).get("task_id", "")))

    async def _begin_stream(self, answer: Answer) -> None:
        if not answer.is_stream:
            return
        self._stream = Stream(self._request, self._wire) if self._wire is not None else None
        self._is_stream = True
        self._change(answer)
        self._writer.write(answer.head())
        await self._writer.drain()

    async def _pass_frames(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            for frame in self._replaced(block + b"\n\n"):
                if frame.hold_ms:
                    await asyncio.sleep(frame.hold_ms / 1000)
                self._write_chunk(frame.encoded())
        await self._writer.drain()

    def _replaced(self, block: bytes) -> Iterable[Frame]:
        for frame in Frame.of(block):
            yield from self._in_place_of(frame)

    def _in_place_of(self, frame: Frame) -> Iterable[Frame]:
        stream, wire = self._stream, self._wire
        if stream is None or wire is None or wire.defect.kind != "frames" or not wire.defect.applies(self._request):
            return [frame]
        sent: list[Frame] = wire.guarded(lambda: list(wire.defect.plant(frame, stream))) or []
        wire.fired += sent != [frame]
        return sent

    async def _finish(self, answer: Answer) -> None:
        if self._is_stream:
            self._write_chunk(self._rest)
            self._writer.write(b"0\r\n\r\n")
            await self._end()
        else:
            self._change(answer)
            await self._send(answer)

    def _change(self, answer: Answer) -> None:
        wire, request = self._wire, self._request
        if wire is None or not wire.defect.applies(request):
            return
        before = replace(answer, headers=list(answer.headers))
        if wire.defect.kind == "answers":
            wire.guarded(lambda: wire.defect.plant(answer, request, wire))
        elif (exchange := self._exchange) is not None:
            wire.guarded(lambda: exchange.send(answer))
        wire.fired += answer != before

    async def _send(self, answer: Answer) -> None:
        await asyncio.sleep(answer.hold_ms / 1000)
        self._writer.write(answer.encoded())
        await self._end()

    async def _end(self) -> None:
        """No more will come; a client that still sends is let finish, or it would not read its answer."""
        await self._writer.drain()
        self._writer.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._sending.cancel)

    def _write_chunk(self, data: bytes) -> None:
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        reset_when_closed(sock)
    writer.transport.abort()
