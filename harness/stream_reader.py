"""One reader of one stream, over a socket of its own, so that it can stop reading or leave at any moment.

Nothing here blocks and nothing runs in the background: `pump` takes in what has arrived. After a cancel was answered,
one more `pump` has read every byte that left the server before; what comes later left it later. No clock could tell
these apart.
"""

import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol
from urllib.parse import urlsplit

import h11

from harness.history import Exchange, Frame, Stream, now_ms
from harness.sse import Comment, SseParser


class SetsOptions(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option."""


READ_BYTES = 64 * 1024
CONNECT_S = 5.0


def connect(url: str, *, timeout_s: float = CONNECT_S) -> socket.socket:
    """A blocking connection to the server of `url`, with TLS where the scheme asks for it."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    sock = socket.create_connection((parts.hostname or "", parts.port or (443 if is_tls else 80)), timeout=timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname) if is_tls else sock


def leave(sock: socket.socket, how: Literal["close", "reset"]) -> None:
    """Close a connection, orderly or by a reset."""
    if how == "reset":
        reset_when_closed(sock)
    sock.close()


def reset_when_closed(sock: SetsOptions) -> None:
    """Its close will be a reset, whatever is still on its way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class StreamReader:
    """Reads one answer into its record.

    Attributes:
        record: what has been read so far.
    """

    def __init__(self, url: str, path: str, headers: Sequence[tuple[str, str]], record: Stream) -> None:
        self.record = record
        self._headers = tuple((name.lower(), value) for name, value in headers)
        self._path = path
        self._sent_ms = now_ms()
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._events = SseParser()
        self._body = bytearray()
        self._sock = connect(url)
        request = h11.Request(method="GET", target=path, headers=[("host", urlsplit(url).netloc), *self._headers])
        self._sock.sendall((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        self._sock.settimeout(0)

    @property
    def is_open(self) -> bool:
        """More may come."""
        return self.record.end is None

    def fileno(self) -> int:
        """For `select`."""
        return self._sock.fileno()

    def pump(self) -> None:
        """Take in everything that has arrived."""
        while self.is_open:
            try:
                data = self._sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError as error:
                self._ended("cut", f"{type(error).__name__}: {error}")
                return
            try:
                self._http.receive_data(data)
                self._take()
            except (h11.RemoteProtocolError, UnicodeDecodeError) as error:
                self._ended("cut", f"{type(error).__name__}: {error}")

    def leave(self, how: Literal["close", "reset"] = "close") -> None:
        """Go away, whatever is still to come."""
        if self.is_open:
            self.record.end, self.record.ended_ms = "left", now_ms()
            leave(self._sock, how)

    def _take(self) -> None:
        while True:
            match self._http.next_event():
                case h11.Response() as head:
                    self.record.opening = self._exchange(head)
                case h11.Data(data=data):
                    self._take_data(bytes(data))
                case h11.EndOfMessage():
                    self._finish()
                    return
                case h11.ConnectionClosed():
                    self._ended("cut", "closed before the answer ended")
                    return
                case h11.NEED_DATA | h11.PAUSED:
                    return

    def _take_data(self, data: bytes) -> None:
        if self.record.opening is None or not self.record.opening.is_event_stream:
            self._body += data
            return
        at_ms = now_ms()
        for item in self._events.feed(data):
            if isinstance(item, Comment):
                self.record.keep_alives.append(at_ms)
            else:
                self.record.frames.append(Frame(event=item.event, data=item.data, id=item.id, at_ms=at_ms))

    def _finish(self) -> None:
        opening = self.record.opening
        if opening is not None and not opening.is_event_stream:
            self.record.opening = replace(opening, body=bytes(self._body))
        if self._events.has_rest:
            self._ended("cut", "the answer ended in the middle of an event")
        else:
            self._ended("complete", "")

    def _ended(self, end: Literal["complete", "cut"], why: str) -> None:
        self.record.end, self.record.why, self.record.ended_ms = end, why, now_ms()
        self._sock.close()

    def _exchange(self, head: h11.Response) -> Exchange:
        return Exchange(
            method="GET",
            path=self._path,
            request_headers=self._headers,
            request_body=b"",
            status=head.status_code,
            headers=tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers),
            body=b"",
            sent_ms=self._sent_ms,
            answered_ms=now_ms(),
        )
