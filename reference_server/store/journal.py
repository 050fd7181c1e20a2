"""What must outlive the process: every admitted task, that it was started, and how it ended.

A task is in the journal before its 202 leaves (OC-CORE-1050), and its start before its engine is asked, so that after a
crash nothing accepted is lost and nothing runs twice: what was queued is queued again in its order, what ran is over.
Tokens are not journaled while they come; the transcript is, once it is closed.

Source: OC-CORE-1050 … 1052.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from reference_server.domain.effects import Notice, TaskEnqueued, TaskFinished, TaskForgotten, TaskStarted
from reference_server.domain.errors import Failure
from reference_server.domain.task import State, TaskRequest
from reference_server.domain.transcript import ControlFrame, Frame, TokenFrame, Transcript
from reference_server.store.database import Database, StoreError

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS task (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        pool_id TEXT NOT NULL,
        admitted_wall_ms INTEGER NOT NULL,
        ended_wall_ms INTEGER,
        request BLOB NOT NULL,
        answer BLOB NOT NULL,
        failure BLOB,
        frames BLOB
    ) STRICT""",
)

_json = msgspec.json.Encoder()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client was told at admission."""

    queue_position: int
    predicted_start_ms: int
    backoff_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """One journaled task.

    Attributes:
        age_ms: since its admission, by the wall clock, never negative.
        ended_age_ms: since its end; None while it has not ended.
    """

    state: State
    pool_id: str
    request: TaskRequest
    answer: Answer
    age_ms: int
    ended_age_ms: int | None
    failure: Failure | None
    transcript: Transcript | None


def wall_ms() -> int:
    """Milliseconds of the wall clock: the only clock that goes on over a restart."""
    return time.time_ns() // 1_000_000


class Journal:
    """Writes the domain's notices down, and reads them back after a restart."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = wall_ms) -> None:
        self._database = database
        self._clock = clock

    async def durable(self) -> bool:
        """Return when everything observed so far is on disk; False when it cannot be written."""
        try:
            await self._database.durable()
        except StoreError:
            log.exception("the journal cannot be written; free the disk and restart")
            return False
        return True

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Have one notice written with the next commit."""
        del at_ms
        match notice:
            case TaskEnqueued(task):
                self._write(
                    "INSERT INTO task (id, state, pool_id, admitted_wall_ms, request, answer)"
                    " VALUES (?, 'queued', ?, ?, ?, ?)",
                    task.id,
                    task.pool_id,
                    self._clock(),
                    _json.encode(task.request),
                    _json.encode(Answer(task.queue_position, task.predicted_start_ms, task.backoff_ms)),
                )
            case TaskStarted(task):
                self._write("UPDATE task SET state = 'running' WHERE id = ?", task.id)
            case TaskFinished(task):
                self._write(
                    "UPDATE task SET state = ?, ended_wall_ms = ?, request = ?, failure = ?, frames = ? WHERE id = ?",
                    task.state,
                    self._clock(),
                    _json.encode(task.request),
                    _json.encode(task.failure),
                    _frames(task.transcript),
                    task.id,
                )
            case TaskForgotten(task_id):
                self._write("DELETE FROM task WHERE id = ?", task_id)
            case _:
                return

    async def load(self) -> list[Record]:
        """All journaled tasks, in the order of their admission."""
        now = self._clock()
        rows = await self._database.run(_rows)
        return [_record(row, now) for row in rows]

    def _write(self, statement: str, *values: object) -> None:
        self._database.write(lambda connection: connection.execute(statement, values))


def _rows(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT state, pool_id, request, answer, admitted_wall_ms, ended_wall_ms, failure, frames"
        " FROM task ORDER BY seq"
    ).fetchall()


def _record(row: Sequence[object], now: int) -> Record:
    state, pool_id, request, answer, admitted, ended, failure, frames = row
    return Record(
        state=msgspec.convert(state, State),
        pool_id=str(pool_id),
        request=msgspec.json.decode(_bytes(request), type=TaskRequest),
        answer=msgspec.json.decode(_bytes(answer), type=Answer),
        age_ms=max(0, now - int(str(admitted))),
        ended_age_ms=None if ended is None else max(0, now - int(str(ended))),
        failure=None if failure is None else msgspec.json.decode(_bytes(failure), type=Failure | None),
        transcript=None if frames is None else _transcript(_bytes(frames)),
    )


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101 - the schema is STRICT
    return value


def _frames(transcript: Transcript) -> bytes:
    """Frames as JSON: a string is a token, a pair is a control frame. # ["Hel", "lo", ["end", {"tokens_out": 2}]]"""
    return _json.encode([_frame(frame) for frame in transcript.since(0, len(transcript))])


def _frame(frame: Frame) -> object:
    return frame.t if isinstance(frame, TokenFrame) else [frame.event, frame.data]


def _transcript(raw: bytes) -> Transcript:
    made = Transcript()
    for entry in msgspec.json.decode(raw, type=list[str | ControlFrame]):
        if isinstance(entry, str):
            made.append_tokens([entry])
        else:
            made.append(entry.event, entry.data)
    return made
