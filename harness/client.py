"""The harness's client: sends, records every exchange and every frame, and waits with deadlines.

Synchronous and without threads. Streams are read whenever the client waits, so that a scenario is one line of events.
"""

import select
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import httpx

from harness import raw, trust
from harness.history import Exchange, History, Origin, Stream, now_ms
from harness.lateness import Stopwatch
from harness.outcome import HangError, LateError
from harness.stream_reader import StreamReader

T = TypeVar("T")

ANSWER_S = 15.0  # no answer of the API is work: whatever takes longer hangs
OPEN_MS = 5_000
LATE_MS = 30_000  # for how long a wait goes on when it is the machine that is late, not the server
POLL_MS = 5.0  # between looks; a fraction of the shortest time that a scenario asks about
SETTLE_MS = 25.0  # how long bytes that left the server before its answer may still be in the loopback's queues

NO_ANSWER = 599  # stands for a connection that broke, where a number is needed

ANONYMOUS = ""
"""As `token`: send no Authorization header."""


class Client:
    """Speaks to one server, for one scenario.

    Args:
        stopwatch: takes the times of waits; by default one that knows of no process of the server's.

    Attributes:
        url: without a trailing slash.
        history: where everything is written down.
        readers: every stream that was opened, in order.
    """

    def __init__(
        self, url: str, *, token: str | None, history: History, stopwatch: Callable[[], Stopwatch] = Stopwatch
    ) -> None:
        self.url = url.rstrip("/")
        self.history = history
        self.readers: list[StreamReader] = []
        self._token, self._stopwatch = token, stopwatch
        # trust_env: a proxy of the environment must not stand between the harness and the server it judges
        self._http = httpx.Client(
            base_url=self.url, timeout=ANSWER_S, follow_redirects=False, trust_env=False, verify=trust.tls()
        )

    def close(self) -> None:
        """Leave all streams and close all connections."""
        for reader in self.readers:
            reader.leave()
        self._http.close()

    # ── requests ──

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        origin: Origin = "harness",
    ) -> Exchange:
        """Send one request and record it with its answer; status 0 when the connection broke without one.

        Args:
            json: the body, encoded as JSON; or give `body` as it is, with a content type in `headers`.
            token: instead of the run's own; `ANONYMOUS` for none.

        Raises:
            HangError: no answer within `ANSWER_S`.
        """
        sent = {**self.authorization(token), **(headers or {})}
        request = self._http.build_request(method, path, json=json, content=body, headers=sent)
        sent_ms = now_ms()
        try:
            answer = self._http.send(request)
        except httpx.TimeoutException:
            raise HangError(f"{method} {path}: no answer within {ANSWER_S:.0f} s") from None
        except httpx.TransportError:
            answer = httpx.Response(NO_ANSWER)
        return self._record(
            Exchange(
                method=method,
                path=path,
                request_headers=tuple((k.lower(), v) for k, v in request.headers.items() if k != "authorization"),
                request_body=request.content,
                status=0 if answer.status_code == NO_ANSWER else answer.status_code,
                headers=tuple((k.lower(), v) for k, v in answer.headers.multi_items()),
                body=answer.content,
                sent_ms=sent_ms,
                answered_ms=now_ms(),
                origin=origin,
            )
        )

    def send_raw(self, data: bytes, *, origin: Origin = "hostile") -> Exchange:
        """Send bytes as they are on a connection of their own, and read one answer (status 0 when there is none)."""
        return self._record(raw.exchange(self.url, data, origin=origin, timeout_s=ANSWER_S))

    def raw_head(self, method: str, path: str) -> bytes:
        """The beginning of a handmade request: request line, Host, and the token."""
        return raw.head(self.url, method, path, self.authorization(None))

    def authorization(self, token: str | None) -> dict[str, str]:
        """The Authorization header: of the run, of this token, or none for `ANONYMOUS`."""
        token = self._token if token is None else token
        return {"Authorization": f"Bearer {token}"} if token else {}

    # ── tasks ──

    def submit(self, task: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Exchange:
        """`POST /v1/tasks`."""
        return self.request("POST", "/v1/tasks", json=task, headers=headers)

    def status(self, task_id: str) -> Exchange:
        """`GET /v1/tasks/{id}`."""
        return self.request("GET", f"/v1/tasks/{task_id}")

    def cancel(self, task_id: str) -> Exchange:
        """`POST /v1/tasks/{id}/cancel`; then mark in every stream of the task what had left the server by then."""
        exchange = self.request("POST", f"/v1/tasks/{task_id}/cancel")
        if exchange.status == 204:
            until_ms, is_over = now_ms() + SETTLE_MS, False
            while not is_over:
                is_over = now_ms() >= until_ms  # a look after that, too: the harness may have slept all the time
                self.pump(wait_ms=POLL_MS)
            for stream in self.history.streams:
                if stream.task_id == task_id and stream.frames_at_cancel is None:
                    stream.frames_at_cancel = len(stream.frames)
        return exchange

    def open_stream(
        self, task_id: str, *, after: str | None = None, headers: Mapping[str, str] | None = None
    ) -> StreamReader:
        """`GET /v1/tasks/{id}/stream`, up to the head of the answer.

        Args:
            after: sent as `Last-Event-ID`.

        Raises:
            HangError: no answer within `OPEN_MS`.
        """
        reader = self.start_stream(task_id, after=after, headers=headers)
        self.wait_until(
            lambda: reader.record.opening is not None or not reader.is_open,
            deadline_ms=OPEN_MS,
            what=f"an answer to GET /v1/tasks/{task_id}/stream",
        )
        return reader

    def start_stream(
        self, task_id: str, *, after: str | None = None, headers: Mapping[str, str] | None = None
    ) -> StreamReader:
        """Send the request of a stream and wait for nothing."""
        extra = {"Last-Event-ID": after} if after is not None else {}
        sent = {"Accept": "text/event-stream", **self.authorization(None), **extra, **(headers or {})}
        record = Stream(task_id=task_id, after=after)
        reader = StreamReader(self.url, f"/v1/tasks/{task_id}/stream", tuple(sent.items()), record)
        self.history.streams.append(record)
        self.readers.append(reader)
        return reader

    # ── waiting ──

    def pump(self, *, wait_ms: float = 0.0) -> None:
        """Read what has arrived on all open streams, waiting at most so long for the first of it."""
        open_readers = [reader for reader in self.readers if reader.is_open]
        ready, _, _ = select.select(open_readers, [], [], wait_ms / 1000)
        for reader in ready:
            reader.pump()

    def wait_until(
        self, condition: Callable[[], T], *, deadline_ms: float, what: str, watch: Stopwatch | None = None
    ) -> T:
        """Read streams until `condition` gives something true, and return that.

        A machine that stood still is no deadline that passed: what the harness was late by is not counted, and after
        the deadline there is one more look at what has arrived (OC-TEST-7034).

        Args:
            what: for the report: what did not come.
            watch: counts the time; one that begins now by default.

        Raises:
            HangError: it did not come by the deadline.
            LateError: it did not come, and the harness was late all the time.
        """
        if value := condition():
            return value  # a stopwatch reads the kernel's account of every thread: for this it need not
        watch, was_over = watch or self._stopwatch(), False
        while not (value := condition()):
            is_over = watch.is_over(deadline_ms)
            if is_over and was_over:
                raise watch.hang(what, within_ms=deadline_ms)
            if watch.elapsed_ms > deadline_ms + LATE_MS:
                raise LateError(str(watch.hang(what, within_ms=deadline_ms)))
            was_over = is_over
            self.pump(wait_ms=POLL_MS)
        return value

    def read_to_end(self, readers: Sequence[StreamReader], *, deadline_ms: float) -> None:
        """Read streams until the server has ended every one of them.

        Raises:
            HangError: one went on.
        """
        self.wait_until(
            lambda: not any(reader.is_open for reader in readers),
            deadline_ms=deadline_ms,
            what=f"the end of {', '.join(str(r.record) for r in readers)}",
        )

    def leave(self, reader: StreamReader, how: Literal["close", "reset"] = "close") -> None:
        """Go away from one stream."""
        reader.leave(how)

    def _record(self, exchange: Exchange) -> Exchange:
        self.history.exchanges.append(exchange)
        return exchange


def fresh_id() -> str:
    """A new task or session id."""
    return str(uuid.uuid4())
