"""A token bucket: so many admissions a second, with a burst, before anything reaches a queue.

Source: ORCH-3006, ORCH-3036.
"""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Throttle:
    """One API token's bucket.

    Attributes:
        per_s: admissions a second in the long run, > 0.
        burst: admissions at once after a pause, ≥ 1.
    """

    per_s: float
    burst: int
    _level: float = -1.0
    _at_ms: int = 0

    def try_take(self, now_ms: int) -> int:
        """Take one admission.

        Returns:
            0 when it was there; otherwise the milliseconds until it will be, ≥ 1, and nothing was taken.
        """
        if self._level < 0:
            self._level = float(self.burst)
        else:
            self._level = min(self.burst, self._level + max(0, now_ms - self._at_ms) * self.per_s / 1000)
        self._at_ms = now_ms
        if self._level >= 1:
            self._level -= 1
            return 0
        return max(1, math.ceil((1 - self._level) * 1000 / self.per_s))
