"""`flood`: ten times as many tasks as the pool can hold, at once (saturation)."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.scene import Scene
from chaos.workloads.workload import body

TIMES = 10


class Flood:
    """A burst that nobody reads; what was accepted is judged at the end."""

    def __init__(self) -> None:
        self._accepted = self._refused = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Send them all."""
        caller = Caller(scene, "flood")
        pool = scene.workload.pool
        for _ in range(TIMES * (pool.slots + pool.capacity)):
            answer = caller.submit(body(rng, tokens=rng.randint(2, 12), priority=rng.choice(("batch", "interactive"))))
            if answer is not None:
                self._accepted += answer.status == 202
                self._refused += answer.status == 429
        caller.close()

    def heal(self, scene: Scene) -> Blow:
        """It is over when it is sent. Under `drop-lru` nothing is refused: what was dropped shows in its own end."""
        is_dropping = scene.workload.pool.policy == "drop-lru"
        hits = self._accepted if is_dropping else self._refused
        return Blow(hits, f"{self._accepted} accepted, {self._refused} refused")
