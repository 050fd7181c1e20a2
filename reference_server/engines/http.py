"""What the adapters of HTTP engines have in common: one session, JSON, event streams, and what an answer means.

Event streams have a connection of their own (`stream`). No redirects, no limit on connections that nobody sees,
explicit limits for connecting and for every answer but a stream, whose watchdog is the runtime's. Every failure of the
transport leaves here as an `EngineLostError`.

Source: OC-ADAPT-5013, OC-ADAPT-5015, OC-ADAPT-5016.
"""

import asyncio
import hashlib
import math
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from reference_server.engines.base import (
    EngineBusyError,
    EngineError,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
)
from reference_server.engines.stream import StreamConnection

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 30.0  # for everything but a stream
ERROR_BYTES_MAX = 64 * 1024  # of an error's body, that are looked at
NAME_OF_ERROR = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

ErrorOf = Callable[[int, bytes], EngineError]


class HttpClient:
    """The connections to one engine.

    Args:
        url: `http://host:port`.
        error_of: what a status and a body mean, for an answer that is not 200.
    """

    def __init__(self, url: str, *, api_key: str | None, error_of: ErrorOf) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._error_of = error_of
        self._session: aiohttp.ClientSession | None = None

    async def status(self, path: str) -> int | None:
        """The status that `GET path` answers; None where nobody answers."""
        try:
            async with self.request("GET", path) as answer:
                return answer.status
        except EngineLostError:
            return None

    async def json(self, method: str, path: str, body: object = None, *, is_work: bool = False) -> Any:
        """The JSON of a 200.

        Args:
            is_work: it takes as long as it takes, like a stream; the runtime's watchdog has the limit.

        Raises:
            EngineError: any other status, or not JSON.
        """
        async with self.request(method, path, body, is_work=is_work) as answer:
            raw = await answer.read()
        if answer.status != 200:
            raise self._error_of(answer.status, raw)
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise EngineFaultError(f"{path} did not answer JSON") from None

    async def text(self, path: str) -> str:
        """The text of a 200; empty for any other status, as of an engine that does not have this path."""
        async with self.request("GET", path) as answer:
            return await answer.text(errors="replace") if answer.status == 200 else ""

    @asynccontextmanager
    async def stream(self, path: str, body: object) -> AsyncGenerator[StreamConnection, None]:
        """`POST path`, and its event stream. Leaving the block closes the connection."""
        connection = await self._connect(path, msgspec.json.encode(body))
        try:
            await connection.head()
            if connection.status != 200:
                raise self._error_of(connection.status, await connection.start_of_body(ERROR_BYTES_MAX))
            if connection.content_type != "text/event-stream":
                raise EngineFaultError(f"{path} answered {connection.content_type[:64]}, not an event stream")
            yield connection
        finally:
            connection.close()

    async def _connect(self, path: str, body: bytes) -> StreamConnection:
        """Ask on a connection of its own; the time limit is that of connecting."""
        address = urlsplit(self._url)
        headers = {
            "Host": address.netloc.rpartition("@")[2],
            **self._headers,
            "Accept": "text/event-stream",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        request = "\r\n".join(head).encode("latin-1") + body
        is_secure = address.scheme == "https"
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: StreamConnection(request),
                    address.hostname or "",
                    address.port or (443 if is_secure else 80),
                    ssl=ssl.create_default_context() if is_secure else None,
                )
        except OSError as error:  # TimeoutError is one
            raise EngineLostError(f"{path}: {type(error).__name__}") from None
        return connection

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: object = None, *, is_work: bool = False
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """Ask, and close the connection at the block's end."""
        if self._session is None:
            # A connection for each request: llama-server was seen (b11434) to reset one that had carried a stream, and
            # a completion that may have been received must not be sent again.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        total = None if is_work else ANSWER_LIMIT_S
        limit = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_LIMIT_S)
        try:
            request = self._session.request(method, self._url + path, json=body, timeout=limit, allow_redirects=False)
            async with request as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineLostError(f"{path}: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class PieceCounter:
    """Counts as the engine counts: its count runs ahead of the text while a character is incomplete."""

    def __init__(self) -> None:
        self._counted = 0

    def add(self, pieces: list[str], text: str, total: int) -> None:
        """Add the pieces of one frame: an empty one for each token that was held back, then the text.

        Args:
            total: tokens of the stream so far, this frame's among them.
        """
        if total == self._counted + 1:
            self._counted = total
            pieces.append(text)
            return
        held_back = total - self._counted - 1 if text else total - self._counted
        if held_back > 0:
            pieces.extend([""] * held_back)
        if text:
            pieces.append(text)
        self._counted = max(self._counted, total)


def frame_of(data: bytes) -> dict[str, Any]:
    """One event's data, which every engine sends as a JSON object.

    Raises:
        EngineFaultError: it is something else.
    """
    try:
        frame = msgspec.json.decode(data)
    except msgspec.DecodeError:
        raise EngineFaultError("a frame of the stream is not JSON") from None
    if not isinstance(frame, dict):
        raise EngineFaultError("a frame of the stream is not an object")
    return frame


def name_of_error(kind: object) -> str:
    """An engine's name for an error; `unknown` for what is no name, because it may quote the prompt (OC-ADAPT-5022)."""
    return kind if isinstance(kind, str) and NAME_OF_ERROR.fullmatch(kind) else "unknown"


def error_by_status(status: int, kind: str) -> EngineError:
    """What a status means on every engine; an engine's own text is not passed on, only its name for the error is."""
    text = f"{status} {name_of_error(kind)}"
    if status in {429, 503}:
        return EngineBusyError(text)
    if 400 <= status < 500 or status == 501:
        return EngineRefusedError(text, status=status)
    return EngineFaultError(text)


def samples(text: str, name: str, **labels: str) -> list[float]:
    """The values of a metric in Prometheus' text format that has at least these labels, in order."""
    lines = re.finditer(rf"^{re.escape(name)}(?:\{{(.*)\}})? ([0-9.eE+-]+)$", text, re.MULTILINE)
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return [float(line[2]) for line in lines if all(label in (line[1] or "") for label in wanted)]


def digest_of(path: str) -> str | None:
    """`sha256:…` of a file; None where it is not one that can be read here. Blocks: call it in a thread."""
    file = Path(path)
    if not path or not file.is_file():
        return None
    with file.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()


def numbers(values: object) -> tuple[float, ...]:
    """A list of numbers of an answer.

    Raises:
        EngineFaultError: it is none, or empty, or one of them is not finite.
    """
    if not isinstance(values, list) or not values:
        raise EngineFaultError("the answer has no list of numbers")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise EngineFaultError("the answer has something else among its numbers")
    return tuple(float(value) for value in values)


def in_order(entries: object, count: int, *, key: str) -> list[Any]:
    """`entry[key]` of a list of objects by their `index`, which has to run from 0 to `count` - 1.

    Raises:
        EngineFaultError: it does not, or a member is missing.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and key in entry for entry in entries):
        raise EngineFaultError(f"the answer has no list with {key}")
    found = {entry.get("index"): entry[key] for entry in entries}
    if len(entries) != count or set(found) != set(range(count)):
        raise EngineFaultError(f"the answer is not for the {count} texts that were sent")
    return [found[index] for index in range(count)]


def member(frame: Mapping[str, Any], *names: str) -> Any:
    """`frame[a][b]…`, or None where a level is missing or is no object."""
    value: Any = frame
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
