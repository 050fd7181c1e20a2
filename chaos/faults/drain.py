"""`drain`: the pool is drained under load, and brought back by a reload."""

import random

from chaos.faults.fault import Blow
from chaos.faults.pools import bring_back, drain
from chaos.scene import Scene

DEADLINE_MS = (0, 1_500)


class Drain:
    """One drain, with a deadline that some of the work meets."""

    def __init__(self) -> None:
        self._status = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Drain."""
        self._status = drain(scene, "drain", deadline_ms=rng.randint(*DEADLINE_MS))

    def heal(self, scene: Scene) -> Blow:
        """Bring the pool back."""
        is_back = bring_back(scene, "drain", scene.offer["model_ref"])
        hits = int(self._status == 202 and is_back)
        return Blow(hits, f"the drain was answered with {self._status}; the pool came back: {is_back}")
