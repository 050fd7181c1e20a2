"""Has the store write down what the domain decided.

Source: OC-CORE-1050.
"""

from reference_server.domain.effects import Notice, TaskEnqueued, TaskFinished, TaskForgotten, TaskStarted
from reference_server.domain.task import Task
from reference_server.store.base import Admitted, Answer, Outcome, TaskStore


class Recorder:
    """Turns the domain's notices into writes."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Write one notice down."""
        del at_ms
        match notice:
            case TaskEnqueued(task):
                answer = Answer(task.queue_position, task.predicted_start_ms, task.backoff_ms)
                self._store.admit(Admitted(task.pool_id, task.request, answer))
            case TaskStarted(task):
                self._store.claim(task.id)
            case TaskFinished(task):
                (self._store.cancel if task.state == "canceled" else self._store.finish)(task.id, _outcome(task))
            case TaskForgotten(task_id):
                self._store.expire(task_id)
            case _:
                return


def _outcome(task: Task) -> Outcome:
    assert task.state in {"ended", "failed", "canceled"}, "only what has ended is told as finished"  # noqa: S101
    return Outcome(task.state, task.request, task.failure, task.transcript)
