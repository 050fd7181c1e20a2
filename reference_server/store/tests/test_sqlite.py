"""The file: its folder, its format, its text, and writes that fail."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.domain.tests.builders import request
from reference_server.domain.transcript import Transcript
from reference_server.store.base import Admitted, Answer
from reference_server.store.database import FILE, Database, StoreError, default_state_dir
from reference_server.store.sqlite import SCHEMA, SqliteStore, _frames, _transcript


@pytest.mark.req("OC-CORE-1051")
@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.text(), max_size=20))
def test_any_text_survives(pieces: list[str]) -> None:
    transcript = Transcript()
    transcript.append("started", {"seed": 2**64 - 1})
    transcript.append_tokens([*pieces, "水", "", "\n\u2028"])
    transcript.append("end", {"tokens_out": len(pieces)})

    assert list(transcript.since(0, 99)) == list(_transcript(_frames(transcript)).since(0, 99))


@pytest.mark.req("HME-001")
async def test_two_servers_cannot_share_a_state_folder(tmp_path: Path) -> None:
    database = Database(tmp_path, schema=SCHEMA)

    with pytest.raises(StoreError, match="another server"):
        Database(tmp_path, schema=SCHEMA)
    database.close()
    Database(tmp_path, schema=SCHEMA).close()


@pytest.mark.req("OC-CORE-1050")
async def test_a_write_that_fails_is_final_and_said(tmp_path: Path) -> None:
    database = Database(tmp_path, schema=SCHEMA)
    store = SqliteStore(database)

    def full(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    database.write(full)
    assert not await store.durable()
    assert not await store.durable()
    database.close()


@pytest.mark.req("OC-CORE-1050")
@pytest.mark.parametrize("what", ["garbage", "a-file-for-a-folder", "another-format"])
def test_a_state_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "state"
    match what:
        case "garbage":
            folder.mkdir()
            (folder / FILE).write_bytes(b"not a database at all, but long enough for a page" * 100)
        case "a-file-for-a-folder":
            folder.write_text("x")
        case _:
            folder.mkdir()
            other = sqlite3.connect(folder / FILE)
            other.execute("CREATE TABLE task (id TEXT)")
            other.close()

    with pytest.raises(StoreError, match="state"):
        Database(folder, schema=SCHEMA)


@pytest.mark.req("OC-CORE-1050")
@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/s", "/s/llama-orch"), ("", "/h/.local/state/llama-orch"), ("relative", "/h/.local/state/llama-orch")],
)
def test_the_default_state_folder_is_where_such_folders_are(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_STATE_HOME", variable)

    assert Path(expected) == default_state_dir()


@pytest.mark.req("OC-CORE-1050")
@pytest.mark.parametrize("count", [1, 3, 4, 35, 300])
async def test_a_crowd_that_shares_a_commit_keeps_its_order(tmp_path: Path, count: int) -> None:
    database = Database(tmp_path, schema=SCHEMA)
    store = SqliteStore(database)
    ids = [str(number) for number in range(count)]
    for task_id in ids:
        store.admit(Admitted("p", request(task_id), Answer(0, 0, 0)))
        store.claim(task_id)  # between two rows of one statement
    for task_id in ids:
        store.admit(Admitted("p", request(f"more-{task_id}"), Answer(0, 0, 0)))
    assert await store.durable()

    kept = await store.snapshot()
    database.close()
    assert [record.request.task_id for record in kept] == [*ids, *(f"more-{task_id}" for task_id in ids)]
    assert {record.state for record in kept[:count]} == {"running"}


@pytest.mark.req("OC-CORE-1050")
async def test_a_crowd_shares_few_commits_and_nobody_is_told_before_its_own(tmp_path: Path) -> None:
    """Each commit is one fsync: WAL, with `synchronous` FULL."""
    database = Database(tmp_path, schema=SCHEMA)
    store, seen = SqliteStore(database), sqlite3.connect(tmp_path / FILE)
    commits: list[str] = []
    missing: list[str] = []

    def traced(connection: sqlite3.Connection) -> tuple[str, int]:
        connection.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
        (mode,), (level,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")
        )
        return mode, level

    assert ("wal", 2) == await database.run(traced)
    commits.clear()

    async def admit(task_id: str) -> None:
        store.admit(Admitted("p", request(task_id), Answer(0, 0, 0)))
        assert await store.durable()
        if not seen.execute("SELECT 1 FROM task WHERE id = ?", (task_id,)).fetchone():  # of another connection
            missing.append(task_id)

    await asyncio.gather(*(admit(str(number)) for number in range(200)))
    made = len(commits)
    for number in range(3):
        await admit(f"alone-{number}")
    database.close()
    seen.close()

    assert [] == missing
    assert 1 <= made <= 5
    assert made + 3 == len(commits)


@pytest.mark.req("OC-CORE-1050")
async def test_one_write_that_fails_fails_all_who_share_its_commit(tmp_path: Path) -> None:
    database = Database(tmp_path, schema=SCHEMA)
    store = SqliteStore(database)
    store.admit(Admitted("p", request("a"), Answer(0, 0, 0)))
    database.write(lambda connection: connection.execute("no such statement"))

    assert (False, False) == (await store.durable(), await store.durable())
    database.close()
