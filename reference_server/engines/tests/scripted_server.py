"""A stand-in on a real socket: it answers each path with the bytes that a test scripts, and nothing else.

For what a real engine cannot be made to do on demand: cut a stream at a byte, send garbage, answer 503.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_TAIL = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def json_answer(body: bytes, status: str = "200 OK") -> bytes:
    """A whole answer with a JSON body."""
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status.encode(), len(body)) + body


@dataclass
class Scripted:
    """What the server does.

    Attributes:
        answers: by path: the pieces to write, each flushed on its own; the connection closes after the last.
        hang: paths whose connection stays open after the last piece.
        seen: requests, as path and body.
        left: set when a client has closed a connection that hangs.
        third_request: set when the third request has come.
    """

    url: str = ""
    answers: dict[str, Sequence[bytes]] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    third_request: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        self.seen.append((path, await reader.readexactly(int(lengths[0])) if lengths else b""))
        if len(self.seen) == 3:
            self.third_request.set()
        for piece in self.answers.get(path, [json_answer(b"{}", "404 Not Found")]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if path in self.hang:
            await reader.read()
            self.left.set()
        writer.close()


@asynccontextmanager
async def scripted(**answers: Sequence[bytes]) -> AsyncIterator[Scripted]:
    """A running server; `health=[…]` answers `/health`."""
    script = Scripted(answers={f"/{name}": pieces for name, pieces in answers.items()})
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()
