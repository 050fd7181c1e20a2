"""A pool's service level objective, and the breaker that sheds load while it stays missed.

    closed ── of `tasks_min` or more measured, fewer than `percent` in time ──▶ shedding
           ◀── of what the window holds now, `percent` in time, or nothing measured ──

Rules:
1. Measured is the queue time of interactive tasks, from admission to dispatch: the part of their latency that less load
   shortens. One that leaves the queue undispatched counts once it has waited too long.
2. Only batch tasks are shed. What bounds interactive ones is the queue, with its policy.
3. A window that has emptied closes the breaker: nobody waits too long any more, so it needs no probe, and cannot stay
   shut.

Source: ORCH-3040, OC-POOL-3016, OC-POOL-3017.
"""

from collections import deque
from dataclasses import dataclass, field

RETRY_MS_MAX = 60_000  # as with every other refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """So many of a hundred interactive tasks wait no longer than `queue_ms`.

    Attributes:
        queue_ms: from admission to dispatch; None = no objective.
        percent: 1 … 100.
        window_ms: how long a measurement counts.
        tasks_min: measurements in the window, below which it is not missed yet.
    """

    queue_ms: int | None = None
    percent: int = 90
    window_ms: int = 30_000
    tasks_min: int = 5

    def is_met(self, *, measured: int, missed: int) -> bool:
        """In whole numbers, so that no rounding decides."""
        return (measured - missed) * 100 >= self.percent * measured


@dataclass(slots=True)
class ServiceLevel:
    """What was measured against the objective, and whether load is shed for it."""

    objective: Objective = field(default_factory=Objective)
    is_shedding: bool = False
    _measured: deque[tuple[int, bool]] = field(default_factory=deque)
    _missed: int = 0

    def limit(self, objective: Objective) -> None:
        """Take over another objective; what was measured against the one before is gone."""
        if objective != self.objective:
            self.objective, self._missed = objective, 0
            self._measured.clear()

    def is_late(self, queue_time_ms: int) -> bool:
        """A task that has waited for so long has missed the objective."""
        return self.objective.queue_ms is not None and queue_time_ms > self.objective.queue_ms

    def observe(self, queue_time_ms: int, now_ms: int) -> None:
        """Take in one interactive task that has left the queue."""
        if self.objective.queue_ms is None:
            return
        is_missed = self.is_late(queue_time_ms)
        self._measured.append((now_ms, is_missed))
        self._missed += is_missed

    def review(self, now_ms: int) -> bool:
        """Look whether load is to be shed, by what the window holds now. True when that has changed."""
        was = self.is_shedding
        while self._measured and self._measured[0][0] <= now_ms - self.objective.window_ms:
            self._missed -= self._measured.popleft()[1]
        if self.objective.is_met(measured=len(self._measured), missed=self._missed):
            self.is_shedding = False
        elif len(self._measured) >= self.objective.tasks_min:
            self.is_shedding = True
        return was != self.is_shedding

    def retry_after_ms(self, now_ms: int) -> int:
        """When shedding ends if nothing more is measured, 1 … 60 000: sooner when tasks are in time again."""
        measured, missed, wait_ms = len(self._measured), self._missed, 1
        for at_ms, is_missed in self._measured:
            if self.objective.is_met(measured=measured, missed=missed):
                break
            measured, missed, wait_ms = measured - 1, missed - is_missed, at_ms + self.objective.window_ms - now_ms
        return min(max(wait_ms, 1), RETRY_MS_MAX)
