"""`stuck-drain`: the pool is drained while its engine stands still in the middle of its work.

The engine never goes on: what it holds ends by the drain's deadline or not at all, and the reload has to get rid of it.
"""

import os
import random
import signal
import time
from contextlib import suppress
from typing import Any

from chaos.faults.fault import Blow
from chaos.faults.pause_process import PauseProcess
from chaos.faults.pools import bring_back, drain, wait_health
from chaos.scene import Scene

DEADLINE_MS = (200, 800)  # well before the watchdog, which ends a call that stands still, too
DRAINED_MS = 15_000  # a drain that takes longer is held for ever
TRIES_MAX = 100
LOOK_S = 0.02


class StuckDrain:
    """One drain. When it was over, and what it met, goes into the history."""

    def __init__(self) -> None:
        self._pid = self._status = 0
        self._stuck: list[str] = []

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Stop an engine that works, drain, and see the end of that."""
        self._catch(scene, rng)
        deadline_ms, at_ms = rng.randint(*DEADLINE_MS), scene.recorder.now()
        self._status = drain(scene, "stuck-drain", deadline_ms=deadline_ms)
        if self._status == 202:
            is_over = wait_health(scene, "stuck-drain", _is_drained, deadline_ms=DRAINED_MS)
            drained_ms = scene.recorder.now() if is_over else None
            scene.recorder.add(
                "drain", at_ms=at_ms, deadline_ms=deadline_ms, drained_ms=drained_ms, stuck=list(self._stuck)
            )

    def heal(self, scene: Scene) -> Blow:
        """Bring the pool back, on another engine."""
        is_back = bring_back(scene, "stuck-drain", scene.offer["model_ref"])
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        hits = len(self._stuck) if self._status == 202 and is_back else 0
        told = f"{len(self._stuck)} tasks in an engine that stood still; the drain was answered with {self._status}"
        return Blow(hits, f"{told}; the pool came back: {is_back}")

    def _catch(self, scene: Scene, rng: random.Random) -> None:
        """Stop an engine in the middle of its work; between two tasks it is let go and stopped again."""
        for _ in range(TRIES_MAX):
            pause = PauseProcess("engine")
            pause.strike(scene, rng)
            self._pid, self._stuck = pause.pid, scene.engines.at_work(pause.pid)
            if self._stuck or not self._pid:
                return
            pause.heal(scene)
            time.sleep(LOOK_S)


def _is_drained(health: Any) -> bool:
    return bool(health.get("operation", {}).get("phase") == "drained")
