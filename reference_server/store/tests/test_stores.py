"""One suite for every backend: it does what a list of tasks would do, also over a restart where it outlives one."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reference_server.domain.errors import Failure
from reference_server.domain.task import Priority
from reference_server.domain.tests.builders import request
from reference_server.domain.transcript import Transcript
from reference_server.store.base import Admitted, Answer, Outcome, TaskStore
from reference_server.store.database import Database
from reference_server.store.memory import MemoryStore
from reference_server.store.sqlite import SCHEMA, SqliteStore

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
PRIORITIES = st.sampled_from(["interactive", "batch"])


@dataclass
class Row:
    """The model of one task."""

    task: Admitted
    admitted: int
    state: str = "queued"
    outcome: Outcome | None = None
    ended: int = 0


class Stores(RuleBasedStateMachine):
    """Drives a backend beside a list of rows."""

    outlives = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.now = 1_000
        self.rows: list[Row] = []
        self.store = self.opened()

    def opened(self) -> TaskStore:
        """The backend, over what it kept."""
        return MemoryStore(clock=lambda: self.now)

    def closed(self) -> None:
        """End it as a clean stop does."""

    def teardown(self) -> None:
        self.closed()
        self.loop.close()

    def row(self, task_id: str, *states: str) -> Row | None:
        return next((row for row in self.rows if row.task.id == task_id and row.state in states), None)

    @rule(task_id=IDS, priority=PRIORITIES, pool_id=st.sampled_from(["p", "q"]), number=st.integers(0, 9))
    def admit(self, task_id: str, priority: Priority, pool_id: str, number: int) -> None:
        task = Admitted(pool_id, request(task_id, priority), Answer(number, number, number))
        self.store.admit(task)
        if not any(row.task.id == task_id for row in self.rows):
            self.rows.append(Row(task, self.now))

    @rule(task_id=IDS)
    def claim(self, task_id: str) -> None:
        self.store.claim(task_id)
        if (row := self.row(task_id, "queued")) is not None:
            row.state = "running"

    @rule(task_id=IDS, pieces=st.lists(st.text(max_size=3), max_size=3), how=st.sampled_from(["ended", "failed"]))
    def finish(self, task_id: str, pieces: list[str], how: Literal["ended", "failed"]) -> None:
        self.store.finish(task_id, outcome := self.outcome(task_id, how, pieces))
        self.end(task_id, outcome)

    @rule(task_id=IDS)
    def cancel(self, task_id: str) -> None:
        self.store.cancel(task_id, outcome := self.outcome(task_id, "canceled", []))
        self.end(task_id, outcome)

    @rule(task_id=IDS)
    def expire(self, task_id: str) -> None:
        self.store.expire(task_id)
        self.rows = [r for r in self.rows if r.task.id != task_id or r.state in {"queued", "running"}]

    @rule(ms=st.integers(1, 1_000))
    def wait(self, ms: int) -> None:
        self.now += ms

    @precondition(lambda self: self.outlives)
    @rule()
    def restart(self) -> None:
        self.closed()
        self.store = self.opened()

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        assert self.loop.run(self.store.durable())
        records = self.loop.run(self.store.snapshot())
        assert [(row.task.id, row.state, row.task.pool_id, row.task.answer) for row in self.rows] == [
            (r.request.task_id, r.state, r.pool_id, r.answer) for r in records
        ]
        for row, record in zip(self.rows, records, strict=True):
            assert row.outcome is not None or row.task.request == record.request
            assert self.now - row.admitted == record.age_ms
            assert (self.now - row.ended if row.outcome else None) == record.ended_age_ms
            assert (row.outcome.failure if row.outcome else None) == record.failure
            assert frames(row.outcome.transcript if row.outcome else None) == frames(record.transcript)

    @invariant()
    def positions_are_those_of_the_queue(self) -> None:
        for pool in ("p", "q"):
            waiting = [row.task for row in self.rows if row.state == "queued" and row.task.pool_id == pool]
            order = [t.id for lane in ("interactive", "batch") for t in waiting if t.request.priority == lane]
            assert [*range(len(order))] == [self.loop.run(self.store.position(task_id)) for task_id in order]
        for row in self.rows:
            assert row.state == "queued" or self.loop.run(self.store.position(row.task.id)) is None

    def end(self, task_id: str, outcome: Outcome) -> None:
        if (row := self.row(task_id, "queued", "running")) is not None:
            row.state, row.outcome, row.ended = outcome.state, outcome, self.now

    @staticmethod
    def outcome(task_id: str, state: Literal["ended", "failed", "canceled"], pieces: list[str]) -> Outcome:
        transcript = Transcript()
        transcript.append_tokens(pieces)
        transcript.append("end" if state == "ended" else "error", {"tokens_out": len(pieces)})
        failure = None if state == "ended" else Failure(code="CANCELED", message="x")
        return Outcome(state, replace(request(task_id), inputs=()), failure, transcript)


class SqliteFile(Stores):
    """The file, closed and opened again at any moment."""

    outlives = True

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="store-"))
        super().__init__()

    def opened(self) -> TaskStore:
        self.database = Database(self.folder, schema=SCHEMA)
        return SqliteStore(self.database, clock=lambda: self.now)

    def closed(self) -> None:
        self.database.close()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


def frames(transcript: Transcript | None) -> object:
    return None if transcript is None else (list(transcript.since(0, 99)), transcript.is_closed)


class Forgetful(MemoryStore):
    """Broken: a second claim and a second end count."""

    def claim(self, task_id: str) -> None:
        if task_id in self._kept:
            self._kept[task_id].state = "running"


class ForgetfulStores(Stores):
    """The suite on the broken backend."""

    def opened(self) -> TaskStore:
        return Forgetful(clock=lambda: self.now)


BUDGET = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)


@pytest.mark.req("OC-CORE-1051", "OC-CORE-1055")
@pytest.mark.parametrize("machine", [Stores, SqliteFile], ids=["memory", "sqlite"])
def test_a_backend_does_what_a_list_of_tasks_would_do(machine: type[Stores]) -> None:
    case = machine.TestCase
    case.settings = BUDGET
    case("runTest").runTest()


@pytest.mark.req("OC-CORE-1055")
def test_the_suite_catches_a_backend_that_claims_twice() -> None:
    case = ForgetfulStores.TestCase
    case.settings = BUDGET

    with pytest.raises(AssertionError):
        case("runTest").runTest()
