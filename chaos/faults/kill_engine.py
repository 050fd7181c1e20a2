"""`kill-engine`: SIGKILL to an engine of the server's."""

import os
import random
import signal
from contextlib import suppress

from chaos.engines import is_dead_soon
from chaos.faults.fault import Blow
from chaos.scene import Scene


class KillEngine:
    """One kill. To start it again is the server's affair."""

    def __init__(self) -> None:
        self._pid = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Kill one that lives."""
        pids = sorted(scene.engines.some_alive())
        if pids:
            self._pid = rng.choice(pids)
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def heal(self, scene: Scene) -> Blow:
        """It stays dead."""
        del scene
        if not self._pid:
            return Blow(0, "no engine was alive")
        return Blow(int(is_dead_soon(self._pid)), f"engine {self._pid} was killed")
