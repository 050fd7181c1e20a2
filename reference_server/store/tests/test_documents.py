import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.store.database import Database
from reference_server.store.documents import SCHEMA, Documents, Kind, MemoryDocuments, SqliteDocuments

IDS = st.sampled_from(["a", "b", "c", "d"])
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["model", "artifact"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), KINDS, IDS, st.binary(max_size=3), st.integers(1, 3) | st.none()),
    max_size=20,
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database(None, schema=SCHEMA)
    yield database
    database.close()


async def _all(documents: Documents) -> dict[str, list[bytes]]:
    assert await documents.durable()
    return {kind: await documents.all(kind) for kind in ("model", "artifact")}


@pytest.mark.req("ORCH-3037", "ORCH-3097")
@given(steps=STEPS)
def test_both_backends_keep_the_same(database: Database, steps: list[tuple[str, Kind, str, bytes, int | None]]) -> None:
    sqlite = SqliteDocuments(database)
    database.write(lambda connection: connection.execute("DELETE FROM document"))
    memory = MemoryDocuments()
    for each in (sqlite, memory):
        for what, kind, document_id, body, keep in steps:
            if what == "put":
                each.put(kind, document_id, body, keep=keep)
            else:
                each.remove(kind, document_id)

    assert asyncio.run(_all(memory)) == asyncio.run(_all(sqlite))


@pytest.mark.req("ORCH-3037")
def test_documents_outlive_the_process(tmp_path: Path) -> None:
    for _ in range(2):
        database = Database(tmp_path, schema=SCHEMA)
        documents = SqliteDocuments(database)
        documents.put("model", "m", b"first")
        documents.put("model", "m", b"second")
        assert asyncio.run(documents.durable())
        database.close()

    database = Database(tmp_path, schema=SCHEMA)
    assert b"second" == asyncio.run(SqliteDocuments(database).get("model", "m"))
    assert asyncio.run(SqliteDocuments(database).get("artifact", "m")) is None
    database.close()
