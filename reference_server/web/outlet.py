"""The hot path, on the reader's side: frames are written in the very call that added them to the transcript.

Why not a loop task for each reader that waits, wakes, writes and waits again: for every token of every stream that is a
switch of tasks, a timer and a chain of calls before the one that matters, `transport.write`. Here the transcript's
growth calls `push`, and `push` writes. The handler's task sleeps until the end, or until its one timer says that the
connection has been silent, or its reader slow, for too long; tokens do not touch that timer, they only note the time.

How it stays right: nothing is written while the connection takes nothing (`writing_paused`): what a stalled reader
costs is the transcript that is there anyway. The terminal frame is never pushed: it is told when it is durable.

Source: ORCH-2002, OC-CTRL-2028, OC-CTRL-2046, OC-CORE-1054.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from reference_server.runtime.readers import FRAMES_PER_READ, Reader
from reference_server.web import sse


@runtime_checkable
class Connection(Protocol):
    """What an outlet has to know of the connection that it writes to."""

    on_writable: Callable[[], None] | None
    """Called when the connection takes something again."""

    @property
    def writing_paused(self) -> bool:
        """What was written has not been taken yet."""


class Outlet:
    """Copies one task's frames to one connection, up to the terminal one."""

    def __init__(
        self,
        reader: Reader,
        connection: Connection,
        transport: asyncio.WriteTransport,
        *,
        is_chunked: bool,
        keep_alive_s: float,
        slow_s: float,
    ) -> None:
        self._reader = reader
        self._connection = connection
        self._transport = transport
        self._is_chunked = is_chunked
        self._keep_alive_s = keep_alive_s
        self._slow_s = slow_s
        self._loop = asyncio.get_running_loop()
        self._wrote_at = self._loop.time()
        self._is_stalled = False
        self._wake: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Return when nothing is left but the terminal frame, or the connection is gone.

        Raises:
            TimeoutError: the reader took nothing for `slow_s`.
        """
        self._reader.on_growth = self._connection.on_writable = self.push
        try:
            self.push()
            while not self._is_over:
                await self._sleep(self._wrote_at + self._limit_s - self._loop.time())
                silent_s = self._loop.time() - self._wrote_at
                if self._connection.writing_paused:
                    if silent_s >= self._slow_s:
                        raise TimeoutError
                elif silent_s >= self._keep_alive_s:
                    self._write(sse.KEEP_ALIVE)
        finally:
            self._reader.on_growth = self._connection.on_writable = None

    def push(self) -> None:
        """Write what there is, as long as the connection takes it."""
        reader = self._reader
        is_stalled = self._connection.writing_paused
        while not is_stalled and (batch := reader.take(hold_end=True)) is not None:
            first, token, frames = batch
            if data := sse.encode(first, token, frames):
                self._write(data)
                is_stalled = self._connection.writing_paused
            if len(frames) < FRAMES_PER_READ:
                break
        if is_stalled != self._is_stalled or reader.task.transcript.is_closed:
            self._is_stalled = is_stalled
            self._woken()

    @property
    def _is_over(self) -> bool:
        at_end = self._reader.is_at_end and not self._connection.writing_paused
        return at_end or self._transport.is_closing()

    @property
    def _limit_s(self) -> float:
        return self._slow_s if self._connection.writing_paused else self._keep_alive_s

    def _write(self, data: bytes) -> None:
        self._wrote_at = self._loop.time()
        if not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    async def _sleep(self, limit_s: float) -> None:
        self._wake = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, limit_s), self._woken)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _woken(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
