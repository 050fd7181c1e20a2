"""Requests that no HTTP library would send: bytes as they are, on a connection of their own."""

import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import h11

from harness.history import Exchange, Headers, Origin, now_ms
from harness.stream_reader import READ_BYTES, connect

RESET = (ConnectionResetError, BrokenPipeError)


def head(url: str, method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """A request line and the headers that every request needs; the caller ends the block."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def exchange(url: str, data: bytes, *, origin: Origin, timeout_s: float) -> Exchange:
    """Send `data`, read one answer. Status 0: the server closed without one, or stayed silent until the timeout."""
    sent_ms = now_ms()
    with connect(url, timeout_s=timeout_s) as sock:
        with suppress(*RESET):  # a server may answer and close before it has read everything
            sock.sendall(data)
        status, headers, body = _answer(sock)
    method, _, rest = data.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    return Exchange(
        method=method or "?",
        path=rest.removesuffix(" HTTP/1.1") or "?",
        request_headers=_sent_headers(data),
        request_body=data.partition(b"\r\n\r\n")[2],
        status=status,
        headers=headers,
        body=body,
        sent_ms=sent_ms,
        answered_ms=now_ms(),
        origin=origin,
    )


def _answer(sock: socket.socket) -> tuple[int, Headers, bytes]:
    http = h11.Connection(our_role=h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "any")]))  # so that it expects an answer
    http.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    headers: Headers = ()
    with suppress(TimeoutError, h11.RemoteProtocolError, *RESET):
        while True:
            match http.next_event():
                case h11.Response() as answer:
                    status = answer.status_code
                    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in answer.headers)
                case h11.Data(data=piece):
                    body += piece
                case h11.NEED_DATA:
                    http.receive_data(sock.recv(READ_BYTES))
                case _:
                    break
    return status, headers, bytes(body)


def _sent_headers(data: bytes) -> Headers:
    """As a recipient would read them; a line that begins with a blank goes on from the one before."""
    lines = data.partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b"\n\t").replace(b"\r\n ", b"\n ").split(b"\r\n")[1:]
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return tuple((name.lower(), value.strip(" ")) for name, _, value in pairs if name.lower() != "authorization")


def go_away(url: str, data: bytes) -> bool:
    """Send `data` and close the connection without waiting for an answer.

    Returns:
        Whether nothing had come by then, neither an answer nor the server's own end of the connection.
    """
    with connect(url) as sock:
        try:
            sock.sendall(data)
        except RESET:
            return False
        ready, _, _ = select.select([sock], [], [], 0)
        return not ready
