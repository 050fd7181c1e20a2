"""Tasks in one SQLite file: what must outlive the process.

A task is here before its 202 leaves (OC-CORE-1050), and its start before its engine is asked, so that after a crash
nothing accepted is lost and nothing runs twice: what was queued is queued again in its order, what ran is over.
Tokens are not written while they come; the transcript is, once it is closed.

Source: OC-CORE-1050 … 1052.
"""

import logging
import sqlite3
from collections.abc import Sequence

import msgspec

from reference_server.domain.errors import Failure
from reference_server.domain.task import State, TaskRequest
from reference_server.domain.transcript import ControlFrame, Transcript
from reference_server.store.base import Admitted, Answer, Clock, Outcome, Record, wall_ms
from reference_server.store.database import Database, Insert, StoreError

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS task (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        pool_id TEXT NOT NULL,
        is_batch INTEGER NOT NULL,
        admitted_wall_ms INTEGER NOT NULL,
        ended_wall_ms INTEGER,
        request BLOB NOT NULL,
        answer BLOB NOT NULL,
        failure BLOB,
        frames BLOB
    ) STRICT""",
)

ADMIT = Insert(
    "INSERT OR IGNORE INTO task (id, state, pool_id, is_batch, admitted_wall_ms, request, answer)", columns=7
)

_json = msgspec.json.Encoder()

log = logging.getLogger(__name__)


class SqliteStore:
    """A `TaskStore` on a database."""

    def __init__(self, database: Database, *, clock: Clock = wall_ms) -> None:
        self._database = database
        self._clock = clock

    def admit(self, task: Admitted) -> None:
        """Insert a task that waits."""
        self._database.insert(
            ADMIT,
            task.id,
            "queued",
            task.pool_id,
            int(task.request.priority == "batch"),
            self._clock(),
            _json.encode(task.request),
            _json.encode(task.answer),
        )

    def claim(self, task_id: str) -> None:
        """A task that waits runs."""
        self._write("UPDATE task SET state = 'running' WHERE id = ? AND state = 'queued'", task_id)

    def cancel(self, task_id: str, outcome: Outcome) -> None:
        """End a task."""
        self.finish(task_id, outcome)

    def finish(self, task_id: str, outcome: Outcome) -> None:
        """End a task, once."""
        self._write(
            "UPDATE task SET state = ?, ended_wall_ms = ?, request = ?, failure = ?, frames = ?"
            " WHERE id = ? AND ended_wall_ms IS NULL",
            outcome.state,
            self._clock(),
            _json.encode(outcome.request),
            _json.encode(outcome.failure),
            _frames(outcome.transcript),
            task_id,
        )

    def expire(self, task_id: str) -> None:
        """Delete a task that has ended."""
        self._write("DELETE FROM task WHERE id = ? AND ended_wall_ms IS NOT NULL", task_id)

    async def position(self, task_id: str) -> int | None:
        """How many of its pool are claimed before it."""
        return await self._database.run(lambda connection: _position(connection, task_id))

    async def snapshot(self) -> list[Record]:
        """All tasks, by admission."""
        now = self._clock()
        rows = await self._database.run(_rows)
        return [_record(row, now) for row in rows]

    async def durable(self) -> bool:
        """Wait for the commit that everything written so far is in."""
        try:
            await self._database.durable()
        except StoreError:
            log.exception("the state cannot be written; free the disk and restart")
            return False
        return True

    def _write(self, statement: str, *values: object) -> None:
        self._database.write(lambda connection: connection.execute(statement, values))


def _position(connection: sqlite3.Connection, task_id: str) -> int | None:
    row = connection.execute(
        "SELECT (SELECT count(*) FROM task AS other WHERE other.state = 'queued' AND other.pool_id = own.pool_id"
        " AND (other.is_batch, other.seq) < (own.is_batch, own.seq))"
        " FROM task AS own WHERE own.id = ? AND own.state = 'queued'",
        (task_id,),
    ).fetchone()
    return None if row is None else int(row[0])


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
    return _json.encode(transcript.since(0, len(transcript)))


def _transcript(raw: bytes) -> Transcript:
    made = Transcript()
    for entry in msgspec.json.decode(raw, type=list[str | ControlFrame]):
        if isinstance(entry, str):
            made.append_tokens([entry])
        else:
            made.append(entry.event, entry.data)
    return made
