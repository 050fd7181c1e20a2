"""What one API token may ask for, before anything reaches a queue: a rate of admissions, and a number of open tasks.

Source: ORCH-3006, ORCH-3036.
"""

import math
from dataclasses import dataclass

from reference_server.domain.errors import Failure, RefusedError

ROUNDING = 1e-6  # of the floats that the level is made of


@dataclass(slots=True)
class Throttle:
    """A token bucket.

    Attributes:
        per_s: admissions a second in the long run, > 0.
        burst: admissions at once after a pause, ≥ 1.
    """

    per_s: float
    burst: int
    _level: float | None = None
    _at_ms: int = 0

    def try_take(self, now_ms: int) -> int:
        """Take one admission.

        Returns:
            0 when it was there; otherwise the milliseconds until it will be, ≥ 1, and nothing was taken.
        """
        if self._level is None:
            self._level = float(self.burst)
        else:
            self._level = min(self.burst, self._level + max(0, now_ms - self._at_ms) * self.per_s / 1000)
        self._at_ms = now_ms
        if self._level >= 1 - ROUNDING:
            self._level -= 1
            return 0
        return max(1, math.ceil((1 - self._level) * 1000 / self.per_s - ROUNDING))


@dataclass(slots=True)
class TokenLimits:
    """The limits of the API token; None = unlimited.

    Attributes:
        open_tasks_max: admitted and not ended.
        open_tasks: now.
    """

    throttle: Throttle | None = None
    open_tasks_max: int | None = None
    open_tasks: int = 0

    def replace(self, limits: "TokenLimits") -> None:
        """Take over other limits; what is open stays counted."""
        self.throttle, self.open_tasks_max = limits.throttle, limits.open_tasks_max

    def require_admission(self, now_ms: int) -> None:
        """Let one more task through.

        Raises:
            RefusedError: ADMISSION_REJECT, policy `open-tasks` or `throttle`.
        """
        if self.open_tasks_max is not None and self.open_tasks >= self.open_tasks_max:
            raise RefusedError(_rejection("open-tasks", f"{self.open_tasks} tasks of this token are open", 1_000))
        wait_ms = 0 if self.throttle is None else self.throttle.try_take(now_ms)
        if wait_ms and self.throttle is not None:
            raise RefusedError(_rejection("throttle", f"more than {self.throttle.per_s:g} tasks a second", wait_ms))

    def opened(self) -> None:
        """A task was admitted."""
        self.open_tasks += 1

    def closed(self) -> None:
        """A task has ended."""
        self.open_tasks -= 1


def _rejection(policy: str, message: str, wait_ms: int) -> Failure:
    return Failure(
        code="ADMISSION_REJECT", message=message, retriable=True, retry_after_ms=wait_ms, policy_label=policy
    )
