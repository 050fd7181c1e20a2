"""The one way out: a forward proxy on loopback that asks the policy about every connection.

Libraries and programs that make connections of their own are pointed at it, each with a pass of its own: it resolves
names for them, so that there is no second answer between check and use; it sees every hop of a redirect as a new
connection; and TLS stays between the library and the far end. Only who holds a pass may use it.

Source: ORCH-3080, ORCH-3205, OC-POLICY-4040 … 4045.
"""

import base64
import binascii
import ipaddress
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import h11

from reference_server.policy import connect, relay
from reference_server.policy.connect import Ask, RefusedConnectionError, Resolve
from reference_server.policy.outbound import Decision, Request, Snapshot, host_of

CONNECTIONS_MAX = 64
DEFAULT_PORTS = {"http": 80, "https": 443}

Observe = Callable[[Request, Decision], None]


@dataclass(slots=True)
class Pass:
    """What one fetch goes out with.

    Attributes:
        proxy_url: for libraries and programs; holds a password that ends with the pass.
        set_up: `host:port` of mirrors that the operator set tools up with.
        refusals: what was refused to it, in order.
        unreached: what was allowed and did not answer, in words.
    """

    purpose: str
    proxy_url: str
    set_up: tuple[str, ...] = ()
    refusals: list[Decision] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)


class Gateway:
    """A running gateway; `close` ends it."""

    def __init__(
        self,
        rules: Callable[[], Snapshot],
        *,
        observe: Observe,
        resolve: Resolve = connect.addresses_of,
        ask: Ask = connect.no_plugin,
    ) -> None:
        """Listen.

        Args:
            rules: the policy as it stands; asked for each connection.
            observe: told of each decision, from several threads.
            ask: the plugins.
        """
        self._rules, self._observe, self._resolve, self._ask = rules, observe, resolve, ask
        self._passes: dict[str, Pass] = {}
        self._room = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._server = _Server(("127.0.0.1", 0), self._serve)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="outbound", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; tunnels that stand end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def admit(self, purpose: str, *, set_up: tuple[str, ...] = ()) -> Iterator[Pass]:
        """A pass for the length of the block."""
        secret = secrets.token_urlsafe(16)
        url = f"http://{purpose}:{secret}@127.0.0.1:{self._server.server_address[1]}"
        self._passes[secret] = made = Pass(purpose, url, set_up)
        try:
            yield made
        finally:
            del self._passes[secret]

    def _serve(self, client: socket.socket) -> None:
        with self._room, suppress(OSError, h11.ProtocolError):
            client.settimeout(connect.IDLE_S)
            near, asked = relay.read_request(client)
            if (held := self._pass_of(asked)) is None:
                relay.refuse(client, near, 407, "this gateway serves the process that started it")
                return
            try:
                self._carry(client, near, asked, held)
            except RefusedConnectionError as error:
                held.refusals.append(error.decision)
                relay.refuse(client, near, 403, f"outbound policy: {error}")
            except ValueError as error:
                relay.refuse(client, near, 400, str(error))

    def _carry(self, client: socket.socket, near: h11.Connection, asked: h11.Request, held: Pass) -> None:
        request = _request(asked, held.purpose)
        rules = replace(self._rules(), set_up=held.set_up)
        try:
            far = connect.connect(request, rules, resolve=self._resolve, record=self._observe, ask=self._ask)
        except OSError as error:
            held.unreached.append(f"{request.host}:{request.port} cannot be reached: {error.strerror or error}")
            relay.refuse(client, near, 502, held.unreached[-1])
            return
        with far:
            if asked.method == b"CONNECT":
                relay.tunnel(client, near, far)
            else:
                relay.forward(client, near, asked, far)

    def _pass_of(self, asked: h11.Request) -> Pass | None:
        for name, value in asked.headers:
            if name == b"proxy-authorization" and value[:6].lower() == b"basic ":
                with suppress(binascii.Error, UnicodeDecodeError):
                    _, _, secret = base64.b64decode(value[6:]).decode("ascii").partition(":")
                    return self._passes.get(secret)
        return None


def _request(asked: h11.Request, purpose: str) -> Request:
    """What a client wants to reach.

    Raises:
        ValueError: it does not say, or not as a proxy is asked.
    """
    target = asked.target.decode("ascii")
    is_tunnel = asked.method == b"CONNECT"
    url = urlsplit(_bracketed(f"https://{target}" if is_tunnel else target))
    if url.scheme not in DEFAULT_PORTS or url.hostname is None or (url.scheme == "https") != is_tunnel:
        raise ValueError("ask with CONNECT host:port, or with the whole http address")
    port = url.port if url.port is not None else DEFAULT_PORTS[url.scheme]
    return Request(purpose=purpose, scheme=url.scheme, host=host_of(url.hostname), port=port)


def _bracketed(url: str) -> str:
    """httpcore writes IPv6 addresses without their brackets: `https://::1:443`."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    if place.count(":") < 2 or "[" in place:
        return url
    if scheme == "http":  # with its default port left out; a tunnel always names it
        with suppress(ValueError):
            return f"http://[{ipaddress.IPv6Address(place)}]{slash}{path}"
    host, _, port = place.rpartition(":")
    return f"{scheme}://[{host}]:{port}{slash}{path}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], serve: Callable[[socket.socket], None]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                serve(self.request)

        super().__init__(address, Handler)
