"""An HTTP server on a real socket that says what it was asked, for what goes out through the gateway."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from reference_server.policy.connect import Ask, no_plugin
from reference_server.policy.gateway import Gateway
from reference_server.policy.outbound import Decision, Request, Snapshot

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class FarEnd:
    """A server and what it was asked.

    Attributes:
        answers: by path without its query; anything else is 404.
    """

    port: int = 0
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def far_end(*, tls: ssl.SSLContext | None = None) -> Iterator[FarEnd]:
    """A server for the length of the block; https with `tls`."""
    made = FarEnd()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            made.asked.append(asked)
            found = made.answers.get(self.path.partition("?")[0], (404, {}, b"no such path"))
            status, headers, body = found(asked) if callable(found) else found
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if int(headers.get("Content-Length", len(body))) > len(body):
                self.close_connection = True

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Names:
    """A resolver that answers from lists: each name's answers in turn, and the last one from then on.

    Attributes:
        looked_up: names, in order.
    """

    def __init__(self, **answers: list[str]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.looked_up: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        del port
        self.looked_up.append(host)
        if host.replace(".", "").isdecimal():
            return [host]
        if host not in self._answers:
            raise OSError(f"{host} is not known")
        left = self._answers[host]
        return [left.pop(0) if len(left) > 1 else left[0]]


@contextmanager
def gateway_under(
    snapshot: Snapshot, names: Names, *, ask: Ask = no_plugin
) -> Iterator[tuple[Gateway, list[tuple[Request, Decision]]]]:
    """A gateway with these rules, names and plugins, and what it decided."""
    decided: list[tuple[Request, Decision]] = []
    made = Gateway(
        lambda: snapshot, observe=lambda asked, decision: decided.append((asked, decision)), resolve=names, ask=ask
    )
    try:
        yield made, decided
    finally:
        made.close()
