"""The journal: what went in comes out, in order; and a store that fails says so."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.domain.effects import TaskEnqueued, TaskFinished, TaskForgotten, TaskStarted
from reference_server.domain.errors import Failure
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import request
from reference_server.store.database import FILE, Database, StoreError
from reference_server.store.journal import SCHEMA, Journal


def task(name: str, **changes: object) -> Task:
    return Task(request=request(name), pool_id="p", admitted_ms=0, **changes)  # type: ignore[arg-type]


@pytest.mark.req("OC-CORE-1051")
async def test_what_was_journaled_comes_back_in_its_order(tmp_path: Path) -> None:
    database = Database(tmp_path, schema=SCHEMA)
    journal = Journal(database, clock=lambda: 1_000)
    first, second, third = task("b", queue_position=3, backoff_ms=7), task("a"), task("c")
    for one in (first, second, third):
        journal.observe(TaskEnqueued(one), 0)
    journal.observe(TaskStarted(second), 0)
    third.transcript.append("started", {"seed": 2**64 - 1})
    third.transcript.append_tokens(["水", "", "\n\u2028"])
    third.transcript.append("error", {"code": "CANCELED", "message": "x"})
    third.state, third.failure = "canceled", Failure(code="CANCELED", message="x")
    journal.observe(TaskFinished(third), 0)
    assert await journal.durable()
    database.close()

    again = Database(tmp_path, schema=SCHEMA)
    records = await Journal(again, clock=lambda: 1_500).load()
    again.close()

    assert [("b", "queued"), ("a", "running"), ("c", "canceled")] == [(r.request.task_id, r.state) for r in records]
    assert (first.request, 3, 7) == (records[0].request, records[0].answer.queue_position, records[0].answer.backoff_ms)
    assert [500, None, 500] == [records[0].age_ms, records[1].ended_age_ms, records[2].ended_age_ms]
    assert third.failure == records[2].failure
    restored = records[2].transcript
    assert restored is not None
    assert list(third.transcript.since(0, 99)) == list(restored.since(0, 99))
    assert restored.is_closed


@pytest.mark.req("OC-CORE-1009")
async def test_a_forgotten_task_is_gone() -> None:
    database = Database(None, schema=SCHEMA)
    journal = Journal(database)
    journal.observe(TaskEnqueued(task("a")), 0)
    journal.observe(TaskForgotten("a"), 0)

    assert [] == await journal.load()
    database.close()


@pytest.mark.req("OC-CORE-1051")
@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.text(), max_size=20))
def test_any_text_survives(pieces: list[str]) -> None:
    from reference_server.store.journal import _frames, _transcript

    one = task("a")
    one.transcript.append_tokens(pieces)
    one.transcript.append("end", {"tokens_out": len(pieces)})

    assert list(one.transcript.since(0, 99)) == list(_transcript(_frames(one.transcript)).since(0, 99))


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
    journal = Journal(database)

    def full(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    database.write(full)
    assert not await journal.durable()
    assert not await journal.durable()
    database.close()


@pytest.mark.req("OC-CORE-1050")
@pytest.mark.parametrize("what", ["garbage", "a-file-for-a-folder"])
def test_a_state_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "state"
    if what == "garbage":
        folder.mkdir()
        (folder / FILE).write_bytes(b"not a database at all, but long enough for a page" * 100)
    else:
        folder.write_text("x")

    with pytest.raises(StoreError, match="state"):
        Database(folder, schema=SCHEMA)
