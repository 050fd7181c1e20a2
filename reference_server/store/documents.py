"""Small documents under a kind and an id, for what is not a task: catalog entries and artifacts.

Writes never wait and take effect in the order of the calls; `durable` tells when they are safe.

Source: ORCH-3037, ORCH-3097.
"""

import logging
import sqlite3
from collections import OrderedDict
from typing import Literal, Protocol

from reference_server.store.database import Database, StoreError

Kind = Literal["model", "artifact"]

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS document (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (kind, id)
    ) STRICT""",
)

log = logging.getLogger(__name__)


class Documents(Protocol):
    """Keeps documents."""

    def put(self, kind: Kind, document_id: str, body: bytes, *, keep: int | None = None) -> None:
        """Keep a document, in the place of the one of its id; of its kind, only the newest `keep` stay."""

    def remove(self, kind: Kind, document_id: str) -> None:
        """Forget a document."""

    async def get(self, kind: Kind, document_id: str) -> bytes | None:
        """A document's body."""

    async def all(self, kind: Kind) -> list[bytes]:
        """The bodies of a kind, oldest first."""

    async def durable(self) -> bool:
        """Return when everything written so far is safe; False when it cannot be made so."""


class MemoryDocuments:
    """`Documents` that end with the process."""

    def __init__(self) -> None:
        self._kept: dict[Kind, OrderedDict[str, bytes]] = {"model": OrderedDict(), "artifact": OrderedDict()}

    def put(self, kind: Kind, document_id: str, body: bytes, *, keep: int | None = None) -> None:
        """Keep a document."""
        kept = self._kept[kind]
        kept[document_id] = body
        while keep is not None and len(kept) > keep:
            kept.popitem(last=False)

    def remove(self, kind: Kind, document_id: str) -> None:
        """Forget a document."""
        self._kept[kind].pop(document_id, None)

    async def get(self, kind: Kind, document_id: str) -> bytes | None:
        """A document's body."""
        return self._kept[kind].get(document_id)

    async def all(self, kind: Kind) -> list[bytes]:
        """The bodies of a kind, oldest first."""
        return list(self._kept[kind].values())

    async def durable(self) -> bool:
        """There is nothing safer than here."""
        return True


class SqliteDocuments:
    """`Documents` in the table `document`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, kind: Kind, document_id: str, body: bytes, *, keep: int | None = None) -> None:
        """Keep a document."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO document (kind, id, body) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, document_id, body),
            )
            if keep is not None:
                connection.execute(
                    "DELETE FROM document WHERE kind = ? AND seq <="
                    " (SELECT seq FROM document WHERE kind = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                    (kind, kind, keep),
                )

        self._database.write(write)

    def remove(self, kind: Kind, document_id: str) -> None:
        """Forget a document."""
        self._database.write(
            lambda connection: connection.execute("DELETE FROM document WHERE kind = ? AND id = ?", (kind, document_id))
        )

    async def get(self, kind: Kind, document_id: str) -> bytes | None:
        """A document's body."""
        rows = await self._rows("SELECT body FROM document WHERE kind = ? AND id = ?", kind, document_id)
        return rows[0] if rows else None

    async def all(self, kind: Kind) -> list[bytes]:
        """The bodies of a kind, oldest first."""
        return await self._rows("SELECT body FROM document WHERE kind = ? ORDER BY seq", kind)

    async def durable(self) -> bool:
        """Wait for the commit that everything written so far is in."""
        try:
            await self._database.durable()
        except StoreError:
            log.exception("the state cannot be written; free the disk and restart")
            return False
        return True

    async def _rows(self, statement: str, *values: str) -> list[bytes]:
        return await self._database.run(lambda connection: [row[0] for row in connection.execute(statement, values)])
