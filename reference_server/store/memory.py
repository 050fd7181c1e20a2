"""Tasks in memory: for `--ephemeral`, and the plain reading of what every backend does.

Source: OC-CORE-1052.
"""

from dataclasses import dataclass

from reference_server.domain.task import TERMINAL_STATES, State
from reference_server.store.base import Admitted, Clock, Outcome, Record, wall_ms


@dataclass(slots=True)
class _Kept:
    task: Admitted
    admitted_wall_ms: int
    state: State = "queued"
    outcome: Outcome | None = None
    ended_wall_ms: int = 0


class MemoryStore:
    """A `TaskStore` that ends with the process."""

    def __init__(self, *, clock: Clock = wall_ms) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def admit(self, task: Admitted) -> None:
        """Keep a task that waits."""
        self._kept.setdefault(task.id, _Kept(task, self._clock()))

    def claim(self, task_id: str) -> None:
        """A task that waits runs."""
        kept = self._kept.get(task_id)
        if kept is not None and kept.state == "queued":
            kept.state = "running"

    def cancel(self, task_id: str, outcome: Outcome) -> None:
        """End a task."""
        self.finish(task_id, outcome)

    def finish(self, task_id: str, outcome: Outcome) -> None:
        """End a task, once."""
        kept = self._kept.get(task_id)
        if kept is not None and kept.outcome is None:
            kept.state, kept.outcome, kept.ended_wall_ms = outcome.state, outcome, self._clock()

    def expire(self, task_id: str) -> None:
        """Forget a task that has ended."""
        kept = self._kept.get(task_id)
        if kept is not None and kept.state in TERMINAL_STATES:
            del self._kept[task_id]

    async def position(self, task_id: str) -> int | None:
        """How many of its pool are claimed before it."""
        own = self._kept.get(task_id)
        if own is None or own.state != "queued":
            return None
        waiting = [k for k in self._kept.values() if k.state == "queued" and k.task.pool_id == own.task.pool_id]
        waiting.sort(key=lambda kept: kept.task.request.priority != "interactive")  # stable: by admission within a lane
        return waiting.index(own)

    async def snapshot(self) -> list[Record]:
        """All tasks, by admission."""
        now = self._clock()
        return [_record(kept, now) for kept in self._kept.values()]

    async def durable(self) -> bool:
        """Nothing is waited for: there is nothing safer than here."""
        return True


def _record(kept: _Kept, now: int) -> Record:
    outcome = kept.outcome
    return Record(
        state=kept.state,
        pool_id=kept.task.pool_id,
        request=outcome.request if outcome else kept.task.request,
        answer=kept.task.answer,
        age_ms=max(0, now - kept.admitted_wall_ms),
        ended_age_ms=max(0, now - kept.ended_wall_ms) if outcome else None,
        failure=outcome.failure if outcome else None,
        transcript=outcome.transcript if outcome else None,
    )
