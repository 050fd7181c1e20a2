"""What the domain asks for, and what it has to tell: the only ways out of it.

Orders (imperative) are for the runtime; notices (past tense) are for whoever observes: metrics, logs, readers.
They are handed out in the order in which they happened.
"""

from dataclasses import dataclass
from typing import Literal

from reference_server.domain.catalog import Verdict
from reference_server.domain.errors import Failure
from reference_server.domain.faults import Fault
from reference_server.domain.lifecycle import ReplicaState
from reference_server.domain.pool import OperationKind, Phase
from reference_server.domain.task import Task

CancelReason = Literal["client", "disconnect", "shutdown"]


@dataclass(frozen=True, slots=True)
class StartDecode:
    """Run this task on its replica; its slot is leased already."""

    task: Task


@dataclass(frozen=True, slots=True)
class StopDecode:
    """Stop the runner of this task; it still has to release the slot."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskEnqueued:
    """A task was admitted. It may have been dispatched in the same step."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskRejected:
    """A request was refused."""

    engine: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class BackpressureApplied:
    """A full queue refused a task, or dropped one."""

    engine: str
    policy: str


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A task was dispatched."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskReturned:
    """A replica failed a task before its first token: it waits for another one."""

    task: Task


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task reached a terminal state; its transcript is closed.

    Attributes:
        reason: of a cancel; None otherwise.
    """

    task: Task
    reason: CancelReason | None = None


@dataclass(frozen=True, slots=True)
class ReplicaChanged:
    """A replica became Ready, was tripped or lost, or is loading again.

    Attributes:
        was: its state before.
        fault: why it was lost or tripped; None otherwise.
    """

    pool_id: str
    replica_id: str
    state: ReplicaState
    was: ReplicaState
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class PoolChanged:
    """A drain or a reload of a pool came to its next phase.

    Attributes:
        error: why a reload is rolled back; None otherwise.
    """

    pool_id: str
    kind: OperationKind
    phase: Phase
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SheddingChanged:
    """A pool began to shed load, since its service level objective stays missed, or stopped."""

    pool_id: str
    is_shedding: bool


@dataclass(frozen=True, slots=True)
class TaskForgotten:
    """The retention of an ended task is over."""

    task_id: str


@dataclass(frozen=True, slots=True)
class ModelVerified:
    """A catalog entry was verified.

    Attributes:
        engine: of the pool that serves it; `none` where no pool does.
    """

    verdict: Verdict
    engine: str


@dataclass(frozen=True, slots=True)
class SlotQuarantined:
    """An engine did not confirm a stop in time."""

    pool_id: str
    replica_id: str


Notice = (
    TaskEnqueued
    | TaskRejected
    | BackpressureApplied
    | TaskStarted
    | TaskReturned
    | TaskFinished
    | TaskForgotten
    | ReplicaChanged
    | PoolChanged
    | SheddingChanged
    | SlotQuarantined
    | ModelVerified
)
Effect = StartDecode | StopDecode | Notice
