"""`full-disk`: the server can write no further byte to any file, until there is room again.

RLIMIT_FSIZE of the running process, set from outside (prlimit(2)): a write beyond it fails with EFBIG, as one on a full
disk fails with ENOSPC. It needs no privilege, and the soft limit may be raised again. A commit that has failed is final
for a server, so that its next life begins when there is room.
"""

import random
import resource
from contextlib import suppress

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.faults.kill_server import KillServer
from chaos.scene import Scene
from chaos.workloads.workload import body

BYTES_LEFT = 4096  # less than a journal that was ever written to, whose every write is beyond it


class FullDisk:
    """One time of want."""

    def __init__(self) -> None:
        self._was: tuple[int, int] | None = None
        self._rng = random.Random()
        self._restart = KillServer()

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """No more room."""
        self._rng = rng
        pid = scene.server.pid
        self._was = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (BYTES_LEFT, self._was[1]))

    def heal(self, scene: Scene) -> Blow:
        """Room again, and a new life."""
        assert self._was is not None  # noqa: S101
        caller = Caller(scene, "full-disk")
        answer = caller.request("POST", "/v1/tasks", json=scene.body(body(self._rng, tokens=2)))
        caller.close()
        status = answer.status if answer else 0
        with suppress(ProcessLookupError):  # it may have chosen to end itself
            resource.prlimit(scene.server.pid, resource.RLIMIT_FSIZE, self._was)
        self._restart.strike(scene, self._rng)
        self._restart.heal(scene)
        has_failed = status not in {202, 429}  # a full lane refuses before anything is written
        return Blow(int(has_failed), f"a task that could not be journaled was answered with {status}")
