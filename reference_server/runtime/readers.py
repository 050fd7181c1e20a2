"""Who reads which task's stream: cursors over transcripts, and nothing that a reader could break.

Rules:
1. A reader copies frames; it owns no part of the task. Its leaving ends the reader alone.
2. Waiting costs no polling: a task's readers are told when its transcript has grown, in the call that made it grow.
3. A canceled task shows no token to anybody any more: readers go on with its control frames (ORCH-3026).

Source: ORCH-2002, ORCH-3026, OC-CTRL-2012, OC-CTRL-2020 … 2022.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.task import Task
from reference_server.domain.transcript import Frame

FRAMES_PER_READ = 512  # at some 60 bytes a frame one write stays near 32 KiB

log = logging.getLogger(__name__)

Batch = tuple[int, int, Sequence[Frame | None]]
"""Frames in a row: the id of the first, the index of the next token, and the frames. None is one that is not shown."""

SETTLE_S = 0.25  # how long a cancel waits for its readers to have written all that came before


class Reader:
    """One reader of one task.

    Attributes:
        abort: set by the edge: cuts the connection of a reader that takes nothing.
        on_growth: set by the edge: called when there may be frames to take. What it raises ends this reader alone.
    """

    def __init__(self, task: Task, *, start: int) -> None:
        self.task = task
        self.abort: Callable[[], None] | None = None
        self.on_growth: Callable[[], None] | None = None
        self.closed = asyncio.Event()
        self._cursor = start

    @property
    def is_done(self) -> bool:
        """All frames, the terminal one included, have been handed out."""
        return self.task.transcript.is_closed and self._cursor >= len(self.task.transcript)

    @property
    def is_at_end(self) -> bool:
        """Nothing is left but the terminal frame."""
        transcript = self.task.transcript
        return transcript.is_closed and self._cursor >= len(transcript) - 1

    def take(self, *, hold_end: bool = False) -> Batch | None:
        """The frames that came since the last call, at most `FRAMES_PER_READ`; None when there are none yet.

        Args:
            hold_end: leave the terminal frame for later.
        """
        transcript, first = self.task.transcript, self._cursor
        frames: Sequence[Frame | None] = transcript.since(first, FRAMES_PER_READ, hold_end=hold_end)
        if not frames:
            return None
        self._cursor = first + len(frames)
        if self.task.state == "canceled":
            frames = [None if isinstance(frame, str) else frame for frame in frames]
        return first, transcript.tokens_before(first), frames

    def wake(self) -> None:
        """There may be frames to take."""
        if self.on_growth is None:
            return
        try:
            self.on_growth()
        except Exception:  # rule 1: it is the decoding of all readers that called this
            log.exception("defect while writing to a reader")
            self.on_growth = None
            if self.abort is not None:
                self.abort()


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
