"""One SQLite file on a thread of its own, with group commit: many writes, one fsync.

Writes are handed over without waiting; whoever needs them to be on disk awaits `durable`, and all who wait share the
next commit. A commit that fails is final: what is in memory is ahead of the file then, and going on would let a task
run twice after a restart. The file is locked for one process: a second server on the same state folder is refused.

Source: OC-CORE-1050; SQLite: https://www.sqlite.org/wal.html.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

FILE = "orchestrator.sqlite3"
FORMAT = 2  # of the tables; one more with every change of theirs
BUSY_S = 5.0

Write = Callable[[sqlite3.Connection], object]


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
        self._queue: queue.SimpleQueue[tuple[Write | None, Callable[[object], None] | None]] = queue.SimpleQueue()
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
        self._queue.put((write, None))

    async def durable(self) -> None:
        """Return when everything written so far is on disk.

        Raises:
            StoreError: it could not be written, for example because the disk is full.
        """
        await self.run(lambda _: None)
        if self.failure is not None:
            raise self.failure

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread, after all writes so far, and give its result once that is committed.

        Raises:
            StoreError: the work or the commit failed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def report(result: object) -> None:
            loop.call_soon_threadsafe(_settle, done, result)

        self._queue.put((work, report))
        result: T = await done
        return result

    def close(self) -> None:
        """Write what is left, and close the file. Idempotent."""
        if self._thread.is_alive():
            self._queue.put((None, None))
            self._thread.join()
            self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            is_open = all(write is not None for write, _ in batch)
            self._commit([(write, report) for write, report in batch if write is not None])

    def _commit(self, batch: Sequence[tuple[Write, Callable[[object], None] | None]]) -> None:
        results: list[object] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results += [write(self._connection) for write, _ in batch]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self.failure = StoreError(f"the state could not be written: {error}")
            results = [self.failure] * len(batch)
        for (_, report), result in zip(batch, results, strict=True):
            if report is not None:
                report(result)


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/llama-orch`, which is `~/.local/state/llama-orch` where that is not set.

    Source: XDG Base Directory Specification 0.8: a relative path there is to be ignored.
    """
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "llama-orch"


def _settle(done: "asyncio.Future[Any]", result: object) -> None:
    if done.done():  # nobody waits any more
        return
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
