"""A circuit breaker and the pauses between restarts: how often a failing engine is tried again.

    closed ── failures_max failures within window_ms ──▶ open ── open_ms ──▶ half-open ── probe well ──▶ closed
                                                          ▲                     │
                                                          └── probe failed, open_ms doubled

Rules:
1. Only failures of the engine count: a 4xx, a cancel and a full queue never do (OC-POOL-3014).
2. Half-open lets exactly one probe through; whoever asks meanwhile is told to wait.
3. Pauses grow exponentially and are spread by jitter, so that replicas that died together do not come back together.

Time and randomness come in as arguments. Source: ORCH-3038, OC-POOL-3010, OC-POOL-3011.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """Milliseconds, and a count.

    Attributes:
        failures_max: so many within `window_ms` open the breaker.
        open_ms: of the first opening; doubled with each probe that fails, up to `open_max_ms`.
        pause_ms: before the first restart; doubled with each failure in a row, up to `pause_max_ms`.
    """

    failures_max: int = 5
    window_ms: int = 60_000
    open_ms: int = 5_000
    open_max_ms: int = 300_000
    pause_ms: int = 500
    pause_max_ms: int = 30_000


@dataclass(slots=True)
class Breaker:
    """One replica's breaker."""

    settings: BreakerSettings = field(default_factory=BreakerSettings)
    _failures: deque[int] = field(default_factory=deque)
    _opened: int = 0
    _in_a_row: int = 0
    _open_until_ms: int | None = None
    _probing: bool = False

    @property
    def is_closed(self) -> bool:
        """Neither `open` nor `half-open`, which differ by time alone."""
        return self._open_until_ms is None

    def state(self, now_ms: int) -> BreakerState:
        """`open` becomes `half-open` by time alone."""
        if self._open_until_ms is None:
            return "closed"
        return "open" if now_ms < self._open_until_ms else "half-open"

    def try_probe(self, now_ms: int) -> bool:
        """Whether the engine may be tried now. In `half-open` the first who asks gets the one probe."""
        match self.state(now_ms):
            case "closed":
                return True
            case "half-open" if not self._probing:
                self._probing = True
                return True
            case _:
                return False

    def failed(self, now_ms: int) -> bool:
        """Count one failure of the engine. True when it opened the breaker."""
        self._in_a_row += 1
        if self._open_until_ms is not None:
            if not self._probing:
                return False  # what was on its way when it opened
            self._open(now_ms)
            return True
        self._failures.append(now_ms)
        while self._failures[0] <= now_ms - self.settings.window_ms:
            self._failures.popleft()
        if len(self._failures) < self.settings.failures_max:
            return False
        self._open(now_ms)
        return True

    def succeeded(self) -> None:
        """The engine works. Closes a half-open breaker whose probe this was; in `closed` the failures stay counted."""
        self._in_a_row = 0
        if self._probing:
            self._open_until_ms, self._probing, self._opened = None, False, 0
            self._failures.clear()

    def wait_ms(self, now_ms: int) -> int:
        """How long until a probe may be tried; 0 = now."""
        return 0 if self._open_until_ms is None else max(0, self._open_until_ms - now_ms)

    def pause_ms(self, now_ms: int, *, jitter: float) -> int:
        """How long to wait before the engine is started again.

        Args:
            jitter: 0 … 1, drawn anew for each call; spreads the pause over its upper half.
        """
        settings = self.settings
        doublings = min(max(0, self._in_a_row - 1), 30)
        grown = min(settings.pause_max_ms, settings.pause_ms * 2**doublings)
        return max(self.wait_ms(now_ms), int(grown * (0.5 + 0.5 * jitter)))

    def _open(self, now_ms: int) -> None:
        settings = self.settings
        length = min(settings.open_max_ms, settings.open_ms * 2 ** min(self._opened, 30))
        self._opened += 1
        self._open_until_ms, self._probing = now_ms + length, False
        self._failures.clear()
