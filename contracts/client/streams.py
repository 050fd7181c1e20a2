"""A task's stream as an iterator, blocking and async, that takes up a cut connection after the last frame it saw.

Source: ORCH-2002, ORCH-2011.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from types import TracebackType

import anyio
import httpx
from httpx_sse import EventSource, SSEError

from contracts.client.answers import Answer, error_of
from contracts.client.failures import ApiError, UnexpectedAnswerError
from contracts.client.resume import Resume, StreamEvent

NAME = "streamTask"
EARLY = "it ended before its terminal frame"
Ask = Callable[[int | None], httpx.Request]
"""The request for what comes after a frame."""


class TaskStream:
    """The frames of one task, from the first or after one, to the terminal one.

    Use it in a `with`, or read it to its end: either closes the connection. The first request is sent once, by `with`
    or by the first frame that is asked for, and what goes wrong with it is raised; what breaks off later is resumed.

    Attributes:
        opening: the status and headers of the stream's first answer; None before it is open.
    """

    def __init__(self, http: httpx.Client, ask: Ask, last_event_id: int | None) -> None:
        self.opening: Answer[None] | None = None
        self._http = http
        self._ask = ask
        self._resume = Resume(last_event_id)
        self._response: httpx.Response | None = None
        self._events = self._read()

    @property
    def last_event_id(self) -> int | None:
        """Of the last frame that was received: a later `stream_task` can go on after it."""
        return self._resume.last_event_id

    def __enter__(self) -> "TaskStream":
        """Open it.

        Raises:
            ApiError: the server refused, by code.
        """
        if self.opening is None:
            self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        """The next frame.

        Raises:
            ApiError: the server refused, by code.
            StreamCutError: the connection broke, and could not be made again.
            UnexpectedAnswerError: what came is not in the contract.
        """
        return next(self._events)

    def close(self) -> None:
        """Leave; the task itself goes on, unless it was admitted with `on_disconnect: cancel`."""
        self._events.close()
        self._hang_up()

    def _read(self) -> Generator[StreamEvent, None, None]:
        if self.opening is None:
            self._open()
        while not self._resume.is_done:
            try:
                yield from self._frames(self._response or self._open())
                cause: Exception | str = EARLY
            except (ApiError, httpx.TransportError) as error:
                cause = error
            finally:
                self._hang_up()
            if not self._resume.is_done:
                time.sleep(self._resume.after_cut(cause))

    def _frames(self, response: httpx.Response) -> Generator[StreamEvent, None, None]:
        try:
            for sse in EventSource(response).iter_sse():
                event = self._resume.take(sse.event, sse.data, sse.id)
                if event is not None:
                    yield event
                if self._resume.is_done:
                    return
        except SSEError as error:
            raise UnexpectedAnswerError(NAME, 200, str(error)) from None

    def _open(self) -> httpx.Response:
        response = self._http.send(self._ask(self._resume.last_event_id), stream=True)
        if response.status_code not in (200, 204):
            response.read()
            response.close()
            raise _refusal(response)
        self._response = response
        self.opening = self.opening or Answer(status=response.status_code, headers=response.headers, body=None)
        self._resume.is_done = response.status_code == 204
        return response

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


class AsyncTaskStream:
    """`TaskStream` for `async with` and `async for`."""

    def __init__(self, http: httpx.AsyncClient, ask: Ask, last_event_id: int | None) -> None:
        self.opening: Answer[None] | None = None
        self._http = http
        self._ask = ask
        self._resume = Resume(last_event_id)
        self._response: httpx.Response | None = None
        self._events = self._read()

    @property
    def last_event_id(self) -> int | None:
        """Of the last frame that was received: a later `stream_task` can go on after it."""
        return self._resume.last_event_id

    async def __aenter__(self) -> "AsyncTaskStream":
        """Open it.

        Raises:
            ApiError: the server refused, by code.
        """
        if self.opening is None:
            await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        """The next frame; raises what `TaskStream` raises."""
        return await anext(self._events)

    async def aclose(self) -> None:
        """Leave; the task itself goes on, unless it was admitted with `on_disconnect: cancel`."""
        await self._events.aclose()
        await self._hang_up()

    async def _read(self) -> AsyncGenerator[StreamEvent, None]:
        if self.opening is None:
            await self._open()
        while not self._resume.is_done:
            try:
                async with aclosing(self._frames(self._response or await self._open())) as events:
                    async for event in events:
                        yield event
                cause: Exception | str = EARLY
            except (ApiError, httpx.TransportError) as error:
                cause = error
            finally:
                await self._hang_up()
            if not self._resume.is_done:
                await anyio.sleep(self._resume.after_cut(cause))

    async def _frames(self, response: httpx.Response) -> AsyncGenerator[StreamEvent, None]:
        try:
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for sse in events:
                    event = self._resume.take(sse.event, sse.data, sse.id)
                    if event is not None:
                        yield event
                    if self._resume.is_done:
                        return
        except SSEError as error:
            raise UnexpectedAnswerError(NAME, 200, str(error)) from None

    async def _open(self) -> httpx.Response:
        response = await self._http.send(self._ask(self._resume.last_event_id), stream=True)
        if response.status_code not in (200, 204):
            await response.aread()
            await response.aclose()
            raise _refusal(response)
        self._response = response
        self.opening = self.opening or Answer(status=response.status_code, headers=response.headers, body=None)
        self._resume.is_done = response.status_code == 204
        return response

    async def _hang_up(self) -> None:
        if self._response is not None:
            response, self._response = self._response, None
            await response.aclose()


def _refusal(response: httpx.Response) -> ApiError | UnexpectedAnswerError:
    if response.status_code < 400:
        return UnexpectedAnswerError(NAME, response.status_code, "is no answer of it", response.content)
    return error_of(NAME, response)
