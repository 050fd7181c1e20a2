"""`pause-server`, `pause-engine`: SIGSTOP, and SIGCONT after a while."""

import os
import random
import signal
import time
from contextlib import suppress
from typing import Literal

from chaos.engines import state_of
from chaos.faults.fault import Blow
from chaos.scene import Scene

SEEN_S = 2.0  # for the kernel to stop every thread of it
LOOK_S = 0.005


class PauseProcess:
    """One process that stands still.

    Attributes:
        pid: of the process; 0 = there was none.
    """

    def __init__(self, whose: Literal["server", "engine"]) -> None:
        self._whose = whose
        self.pid = 0
        self._was_stopped = False

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Stop it, and see that it stands."""
        pids = [scene.server.pid] if self._whose == "server" else sorted(scene.engines.some_alive())
        if not pids:
            return
        self.pid = rng.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)
        until = time.monotonic() + SEEN_S
        while not self._was_stopped and time.monotonic() < until:
            self._was_stopped = state_of(self.pid) == "T"
            time.sleep(LOOK_S)

    def heal(self, scene: Scene) -> Blow:
        """Let it go on."""
        del scene
        if not self.pid:
            return Blow(0, f"there was no {self._whose} to stop")
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        return Blow(int(self._was_stopped), f"process {self.pid} ({self._whose}) was seen stopped: {self._was_stopped}")
