"""Who reads which task's stream: cursors over transcripts, and nothing that a reader could break.

Rules:
1. A reader copies frames; it owns no part of the task. Its leaving ends the reader alone.
2. Waiting costs no polling: a task's readers are woken when its transcript has grown.
3. A canceled task shows no token to anybody any more: readers go on with its control frames (ORCH-3026).

Source: ORCH-2002, ORCH-3026, OC-CTRL-2012, OC-CTRL-2020 … 2022.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.task import Task
from reference_server.domain.transcript import Frame, TokenFrame

FRAMES_PER_READ = 512  # at some 60 bytes a frame one write stays near 32 KiB

SETTLE_S = 0.25  # how long a cancel waits for its readers to have written all that came before


class Reader:
    """One reader of one task.

    Attributes:
        abort: set by the edge: cuts the connection of a reader that takes nothing.
    """

    def __init__(self, task: Task, *, start: int) -> None:
        self.task = task
        self.abort: Callable[[], None] | None = None
        self.closed = asyncio.Event()
        self._cursor = start
        self._wake: asyncio.Future[None] | None = None

    @property
    def is_done(self) -> bool:
        """All frames, the terminal one included, have been handed out."""
        return self.task.transcript.is_closed and self._cursor >= len(self.task.transcript)

    def take(self) -> list[tuple[int, Frame]]:
        """The frames that came since the last call, with their ids; empty when there are none yet."""
        while frames := self.task.transcript.since(self._cursor, FRAMES_PER_READ):
            numbered = list(enumerate(frames, self._cursor))
            self._cursor += len(frames)
            if self.task.state == "canceled":
                numbered = [entry for entry in numbered if not isinstance(entry[1], TokenFrame)]
            if numbered:
                return numbered
        return []

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be frames to take, or when the time is over."""
        if self._cursor < len(self.task.transcript):
            return
        loop = asyncio.get_running_loop()
        wake = self._wake = loop.create_future()
        timer = loop.call_later(timeout_s, self.wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    def wake(self) -> None:
        """Let `wait` return."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Readers:
    """All readers, by task."""

    def __init__(self, *, per_task_max: int) -> None:
        self.per_task_max = per_task_max
        self._by_task: dict[str, set[Reader]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_task.values()))

    @contextmanager
    def open(self, task: Task, *, start: int, on_last_left: Callable[[Task], None]) -> Iterator[Reader]:
        """Read a task from frame `start` on, for the length of the block.

        Args:
            on_last_left: called when the block ends and no other reader of the task is left.

        Raises:
            RefusedError: ADMISSION_REJECT: the task has as many readers as one may have.
        """
        readers = self._by_task.setdefault(task.id, set())
        if len(readers) >= self.per_task_max:
            message = f"the task has {self.per_task_max} readers already"
            raise RefusedError(
                Failure(
                    code="ADMISSION_REJECT",
                    message=message,
                    retriable=True,
                    retry_after_ms=1_000,
                    policy_label="readers",
                )
            )
        reader = Reader(task, start=start)
        readers.add(reader)
        try:
            yield reader
        finally:
            readers.discard(reader)
            reader.closed.set()
            if not readers:
                self._by_task.pop(task.id, None)
                on_last_left(task)

    def wake(self, task_id: str) -> None:
        """The transcript of this task has grown."""
        for reader in self._by_task.get(task_id, ()):
            reader.wake()

    async def settle(self, task_id: str) -> None:
        """Wait until every reader of a task that has ended is gone; cut those that take nothing.

        After this no byte of the task is on its way in this process.
        """
        readers = list(self._by_task.get(task_id, ()))
        if not readers:
            return
        gone = [asyncio.ensure_future(reader.closed.wait()) for reader in readers]
        _, late = await asyncio.wait(gone, timeout=SETTLE_S)
        for waiting in late:
            waiting.cancel()
        for reader in readers:
            if not reader.closed.is_set() and reader.abort is not None:
                reader.abort()
