"""The one interface to a backend that keeps tasks: small, so that a distributed one can join.

Rules that every backend holds (`tests/test_stores.py` drives all of them with one suite):
1. Writes never wait, and take effect in the order of the calls; `durable` tells when they are safe. Reads see them.
2. A write that does not fit a task's state changes nothing: a task is admitted once, claimed once and ended once.
3. `snapshot` gives back what was written, in the order of admission; after a restart too, if the backend outlives it.

Source: OC-CORE-1050 … 1052.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from reference_server.domain.errors import Failure
from reference_server.domain.task import State, TaskRequest
from reference_server.domain.transcript import Transcript

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client was told at admission."""

    queue_position: int
    predicted_start_ms: int
    backoff_ms: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A task at its admission."""

    pool_id: str
    request: TaskRequest
    answer: Answer

    @property
    def id(self) -> str:
        return self.request.task_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        request: what is kept of it: the prompt is done with.
        transcript: closed; nobody writes to it any more.
    """

    state: Literal["ended", "failed", "canceled"]
    request: TaskRequest
    failure: Failure | None
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Record:
    """One task as it is kept.

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


class TaskStore(Protocol):
    """Keeps tasks."""

    def admit(self, task: Admitted) -> None:
        """A task waits now; an id that is known already stays as it is."""

    def claim(self, task_id: str) -> None:
        """A task that waits is given to an engine."""

    def cancel(self, task_id: str, outcome: Outcome) -> None:
        """A task that has not ended is canceled."""

    def finish(self, task_id: str, outcome: Outcome) -> None:
        """A task that has not ended has ended, well or not."""

    def expire(self, task_id: str) -> None:
        """A task that has ended is forgotten."""

    async def position(self, task_id: str) -> int | None:
        """How many of its pool will be claimed before a task that waits: interactive first, then by admission."""

    async def snapshot(self) -> list[Record]:
        """All tasks, in the order of their admission."""

    async def durable(self) -> bool:
        """Return when everything written so far is safe; False when it cannot be made so."""


def wall_ms() -> int:
    """Milliseconds of the wall clock: the only clock that goes on over a restart."""
    return time.time_ns() // 1_000_000
