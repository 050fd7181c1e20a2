"""`cancel-storm`: everything that is open is canceled at once, some of it twice."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.scene import Scene

TASKS_MAX = 200
TWICE = 0.2


class CancelStorm:
    """Cancels other clients' tasks, which all share one token."""

    def __init__(self) -> None:
        self._answered = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Cancel."""
        caller = Caller(scene, "cancel-storm")
        for task_id in scene.some_open(rng, TASKS_MAX):
            for _ in range(2 if rng.random() < TWICE else 1):
                answer = caller.request("POST", f"/v1/tasks/{task_id}/cancel")
                self._answered += answer is not None and answer.status == 204
        caller.close()

    def heal(self, scene: Scene) -> Blow:
        """It is over when it is sent."""
        del scene
        return Blow(self._answered, f"{self._answered} cancels were answered")
