"""One SQLite file on a thread of its own, with group commit: many writes, one fsync.

Writes are handed over without waiting; whoever needs them to be on disk awaits `durable`, and all who wait share the
next commit. A commit that fails is final: what is in memory is ahead of the file then, and going on would let a task
run twice after a restart. The file is locked for one process: a second server on the same state folder is refused.

How it stays cheap: each step of SQLite gives the interpreter's lock away and has to win it back from a busy event loop,
so rows of one statement that follow each other are one step; and one call into the event loop tells all who wait.

Source: OC-CORE-1050; SQLite: https://www.sqlite.org/wal.html.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

FILE = "orchestrator.sqlite3"
FORMAT = 2  # of the tables; one more with every change of theirs
BUSY_S = 5.0

Write = Callable[[sqlite3.Connection], object]

# After a commit for many the next one waits a little for more: where many write, few commits serve all of them sooner.
# A lone task's commits, its admission's and its start's, never wait.
CROWD, CROWD_WAIT_S = 8, 0.002

ROWS_A_STEP = (256, 32, 4, 1)  # few sizes, so that SQLite's prepared statements are few


@dataclass(frozen=True, slots=True)
class Insert:
    """Of rows: everything before `VALUES`, and the values of one row.

    Attributes:
        columns: how many values a row has.
    """

    head: str
    columns: int

    def of(self, rows: int) -> str:
        """The statement for so many rows at once."""
        row = f"({', '.join('?' * self.columns)})"
        return f"{self.head} VALUES {', '.join([row] * rows)}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Work whose result somebody waits for."""

    work: Write
    done: "asyncio.Future[Any]"


_Write = Write | tuple[Insert, tuple[object, ...]] | _Asked
_Entry = _Write | asyncio.Future[Any]  # a future waits only for what is before it to be on disk


class StoreError(Exception):
    """The state folder cannot be used, or a write failed: the text says which and why."""


class Database:
    """One connection. Made and closed in the event loop; everything between runs on its thread.

    Attributes:
        failure: set after a commit failed; from then on every `durable` raises it.
    """

    def __init__(self, folder: Path | None, *, schema: Sequence[str]) -> None:
        """Open the file in `folder`, or a database in memory when there is no folder.

        Raises:
            StoreError: the folder cannot be written, is in use by another server, or holds no database of ours.
        """
        self.failure: StoreError | None = None
        self._lock = _lock(folder) if folder is not None else None
        path = str(folder / FILE) if folder is not None else ":memory:"
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=BUSY_S)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._require_format(path)
            for statement in schema:
                self._connection.execute(statement)
        except (sqlite3.Error, StoreError) as error:
            self._connection.close()
            if self._lock is not None:
                self._lock.close()
            raise error if isinstance(error, StoreError) else StoreError(f"{path}: {error}") from error
        self._batch: list[_Entry | None] = []
        self._handing_over = threading.Lock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def _require_format(self, path: str) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and found != FORMAT:
            raise StoreError(
                f"{path}: this is the state of another version of llama-orch (format {found}, not {FORMAT}): "
                "let that version finish its tasks, or choose another --state-dir"
            )
        self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def write(self, write: Write) -> None:
        """Have `write` run in the next commit. It gets the connection, and must not commit itself."""
        self._hand_over(write)

    def insert(self, insert: Insert, *values: object) -> None:
        """Have a row inserted in the next commit."""
        self._hand_over((insert, values))

    async def durable(self) -> None:
        """Return when everything written so far is on disk.

        Raises:
            StoreError: it could not be written, for example because the disk is full.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._hand_over(done)
        await done
        if self.failure is not None:
            raise self.failure

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread, after all writes so far, and give its result once that is committed.

        Raises:
            StoreError: the work or the commit failed.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._hand_over(_Asked(work, done))
        result: T = await done
        return result

    def close(self) -> None:
        """Write what is left, and close the file. Idempotent."""
        if self._thread.is_alive():
            self._hand_over(None)
            self._wake.put(None)
            self._thread.join()
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _hand_over(self, entry: _Entry | None) -> None:
        """Put `entry` into the batch that the thread takes next.

        The first of a batch wakes the thread when this turn of the event loop is over: what one turn writes, such as a
        task's admission and its start, is then one commit and not two.
        """
        with self._handing_over:
            is_first = not self._batch
            self._batch.append(entry)
        if is_first and entry is not None:
            try:
                asyncio.get_running_loop().call_soon(self._wake.put, None)
            except RuntimeError:  # outside the loop
                self._wake.put(None)

    def _work(self) -> None:
        batch: list[_Entry | None] = []
        while None not in batch:
            self._wake.get()
            if len(batch) >= CROWD:
                time.sleep(CROWD_WAIT_S)
            with self._handing_over:
                batch, self._batch = self._batch, []
            self._commit([entry for entry in batch if entry is not None])

    def _commit(self, batch: Sequence[_Entry]) -> None:
        waiting = [entry for entry in batch if isinstance(entry, asyncio.Future)]
        told: list[tuple[asyncio.Future[Any], object]] = [(done, None) for done in waiting]
        if len(waiting) < len(batch):
            told += self._write([entry for entry in batch if not isinstance(entry, asyncio.Future)])
        if told:
            told[0][0].get_loop().call_soon_threadsafe(_settle, told)

    def _write(self, batch: Sequence[_Write]) -> list[tuple["asyncio.Future[Any]", object]]:
        """Carry out and commit; the results of what somebody has asked for."""
        results: list[tuple[asyncio.Future[Any], object]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for insert, entries in groupby(batch, lambda entry: entry[0] if isinstance(entry, tuple) else None):
                if insert is not None:
                    self._insert(insert, [entry[1] for entry in entries if isinstance(entry, tuple)])
                    continue
                for entry in entries:
                    if isinstance(entry, _Asked):
                        results.append((entry.done, entry.work(self._connection)))
                    elif not isinstance(entry, tuple):
                        entry(self._connection)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self.failure = StoreError(f"the state could not be written: {error}")
            return [(entry.done, self.failure) for entry in batch if isinstance(entry, _Asked)]
        return results

    def _insert(self, insert: Insert, rows: list[tuple[object, ...]]) -> None:
        start = 0
        while start < len(rows):
            count = next(size for size in ROWS_A_STEP if size <= len(rows) - start)
            values = [value for row in rows[start : start + count] for value in row]
            self._connection.execute(insert.of(count), values)
            start += count


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/llama-orch`, which is `~/.local/state/llama-orch` where that is not set.

    Source: XDG Base Directory Specification 0.8: a relative path there is to be ignored.
    """
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "llama-orch"


def _settle(results: Sequence[tuple["asyncio.Future[Any]", object]]) -> None:
    for done, result in results:
        if done.done():  # nobody waits any more
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def _lock(folder: Path) -> Any:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (folder / "lock").open("w")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be used as the state folder: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StoreError(
            f"{folder}: another server uses this state folder; choose another --state-dir, or --ephemeral"
        ) from error
    return handle
