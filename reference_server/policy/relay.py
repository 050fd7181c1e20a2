"""Carries bytes between a client and the far end that the policy has allowed: one request, or one tunnel.

A plain request is read and written anew, and both connections end with its answer: a client that wants to ask another
host has to come back, and is judged again.

Source: ORCH-3080, OC-POLICY-4043.
"""

import selectors
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import h11

CHUNK = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
_HOP_BY_HOP = {b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"te", b"upgrade"}  # RFC 9110


def read_request(client: socket.socket) -> tuple[h11.Connection, h11.Request]:
    """The head of what a client asks. Raises `h11.RemoteProtocolError` or `OSError`."""
    near = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
    while True:
        event = near.next_event()
        if isinstance(event, h11.Request):
            return near, event
        if event is not h11.NEED_DATA:
            raise h11.RemoteProtocolError("the client left before it asked")
        near.receive_data(client.recv(CHUNK))


def refuse(client: socket.socket, near: h11.Connection, status: int, text: str) -> None:
    """Answer in plain text and be done."""
    body = text.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if status == 407:
        headers.append(("Proxy-Authenticate", "Basic"))
    answer = h11.Response(status_code=status, headers=[*headers, ("Connection", "close")])
    for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
        client.sendall(near.send(event) or b"")


def tunnel(client: socket.socket, near: h11.Connection, far: socket.socket) -> None:
    """Say that the tunnel stands, and copy both ways until either side ends."""
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    early, _ = near.trailing_data
    if early:
        far.sendall(early)
    with selectors.DefaultSelector() as waiting:
        waiting.register(client, selectors.EVENT_READ, (client, far))
        waiting.register(far, selectors.EVENT_READ, (far, client))
        while ready := waiting.select(far.gettimeout()):
            for key, _ in ready:
                here, there = key.data
                if not (data := here.recv(CHUNK)):
                    return
                there.sendall(data)


def forward(client: socket.socket, near: h11.Connection, request: h11.Request, far: socket.socket) -> None:
    """Carry one plain request and its answer. An answer that breaks off is broken off here too."""
    upstream = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    url = urlsplit(request.target.decode("ascii"))
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    sent = h11.Request(method=request.method, target=target, headers=_without_hops(request.headers))
    far.sendall(upstream.send(sent) or b"")
    while not isinstance(event := _next(near, client), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            far.sendall(upstream.send(event) or b"")
    far.sendall(upstream.send(h11.EndOfMessage()) or b"")
    while True:
        event = _next(upstream, far, unless_leaves=client)
        if isinstance(event, h11.Response):
            headers = _without_hops(event.headers)
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        elif isinstance(event, h11.InformationalResponse):
            continue
        client.sendall(near.send(event) or b"")
        if isinstance(event, h11.EndOfMessage):
            return


def _next(side: h11.Connection, wire: socket.socket, *, unless_leaves: socket.socket | None = None) -> h11.Event:
    while (event := side.next_event()) is h11.NEED_DATA:
        if unless_leaves is not None:
            _wait(wire, unless_leaves)
        side.receive_data(wire.recv(CHUNK))
    if isinstance(event, h11.PAUSED | h11.ConnectionClosed) or not isinstance(event, h11.Event):
        raise h11.RemoteProtocolError("broken off")
    return event


def _wait(far: socket.socket, client: socket.socket) -> None:
    """Until the far end says something; a client that leaves meanwhile frees its place here at once.

    Raises:
        h11.RemoteProtocolError: the client has left.
        TimeoutError: neither says anything.
    """
    with selectors.DefaultSelector() as waiting:
        waiting.register(far, selectors.EVENT_READ)
        waiting.register(client, selectors.EVENT_READ)
        ready = {key.fileobj for key, _ in waiting.select(far.gettimeout())}
    if not ready:
        raise TimeoutError("neither side says anything")
    if client in ready and far not in ready and not client.recv(1, socket.MSG_PEEK):
        raise h11.RemoteProtocolError("the client left")


def _without_hops(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
    return [*kept, (b"Connection", b"close")]
