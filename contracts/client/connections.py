"""What the generated clients stand on: one HTTP connection pool, the token, and the way of a call.

Redirects are not followed, so that the token goes to no other host, and proxies of the environment are not used: give a
`transport` of httpx for either.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec

from contracts.client.answers import Answer, Operation, headers_of, path_of, read
from contracts.client.streams import Ask, AsyncTaskStream, TaskStream

T = TypeVar("T")
S = TypeVar("S", bound="Connection")
A = TypeVar("A", bound="AsyncConnection")

ANSWER_S = 30.0  # no answer of the API is work; the slowest, a verification, hashes a model's file
STREAM_IDLE_S = 60.0  # four of the server's keep-alive intervals: then the connection is taken for dead, and resumed
EVENT_STREAM = "text/event-stream"


class Connection:
    """A blocking client of one server; close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        answer_s: float = ANSWER_S,
        stream_idle_s: float = STREAM_IDLE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: of the server, such as `http://127.0.0.1:8080`.
            token: the API token; None sends none.
            answer_s: how long an answer may take.
            stream_idle_s: how long a stream may send nothing at all, keep-alive comments included.
            transport: httpx's, for proxies, certificates and tests.
        """
        self._stream_idle_s = stream_idle_s
        self._http = httpx.Client(
            base_url=url, headers=_authorization(token), timeout=answer_s, trust_env=False, transport=transport
        )

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _call(
        self,
        operation: Operation[T],
        *,
        id: str | None = None,  # noqa: A002 - the contract's own name
        body: msgspec.Struct | None = None,
        headers: Mapping[str, object],
    ) -> Answer[T]:
        return read(operation, self._http.send(_request(self._http, operation, id, body, headers)))

    def _stream(
        self,
        operation: Operation[None],
        *,
        id: str,  # noqa: A002 - the contract's own name
        last_event_id: int | None,
        headers: Mapping[str, object],
    ) -> TaskStream:
        ask = _asking(self._http, operation, id, headers, self._stream_idle_s)
        return TaskStream(self._http, ask, last_event_id)


class AsyncConnection:
    """A client for asyncio and trio; close it, or use it in an `async with`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        answer_s: float = ANSWER_S,
        stream_idle_s: float = STREAM_IDLE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet; the arguments are those of `Connection`."""
        self._stream_idle_s = stream_idle_s
        self._http = httpx.AsyncClient(
            base_url=url, headers=_authorization(token), timeout=answer_s, trust_env=False, transport=transport
        )

    async def __aenter__(self: A) -> A:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _call(
        self,
        operation: Operation[T],
        *,
        id: str | None = None,  # noqa: A002 - the contract's own name
        body: msgspec.Struct | None = None,
        headers: Mapping[str, object],
    ) -> Answer[T]:
        return read(operation, await self._http.send(_request(self._http, operation, id, body, headers)))

    def _stream(
        self,
        operation: Operation[None],
        *,
        id: str,  # noqa: A002 - the contract's own name
        last_event_id: int | None,
        headers: Mapping[str, object],
    ) -> AsyncTaskStream:
        ask = _asking(self._http, operation, id, headers, self._stream_idle_s)
        return AsyncTaskStream(self._http, ask, last_event_id)


def _authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _request(
    http: httpx.Client | httpx.AsyncClient,
    operation: Operation[T],
    id: str | None,  # noqa: A002 - the contract's own name
    body: msgspec.Struct | None,
    headers: Mapping[str, object],
) -> httpx.Request:
    content = None if body is None else msgspec.json.encode(body)
    path = path_of(operation, id)
    return http.build_request(operation.method, path, content=content, headers=headers_of(headers, body))


def _asking(
    http: httpx.Client | httpx.AsyncClient,
    operation: Operation[None],
    id: str,  # noqa: A002 - the contract's own name
    headers: Mapping[str, object],
    idle_s: float,
) -> Ask:
    """What asks for the rest of a stream: the same request, after another frame."""
    path = path_of(operation, id)
    shared = {**headers, "Accept": EVENT_STREAM, "Cache-Control": "no-store"}

    def ask(after: int | None) -> httpx.Request:
        sent = headers_of({**shared, "Last-Event-ID": after}, None)
        return http.build_request(operation.method, path, headers=sent, timeout=idle_s)

    return ask
