"""`inversion`: a lane full of long batch tasks, and interactive ones that come after them (priority inversion)."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.scene import Scene
from chaos.workloads.workload import body

URGENT = 3


class Inversion:
    """The urgent ones may not wait for what has not started."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._urgent: list[str] = []

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Fill the batch lane, then come with something urgent."""
        caller = Caller(scene, "inversion")
        for _ in range(scene.workload.pool.capacity):
            caller.submit(body(rng, tokens=rng.randint(30, 60)))
        self._before = scene.open_in("batch")
        for _ in range(URGENT):
            task = body(rng, tokens=4, priority="interactive")
            answer = caller.submit(task)
            if answer is not None and answer.status == 202:
                self._urgent.append(task["task_id"])
        opened = (caller.open(task_id) for task_id in self._urgent)
        caller.follow_all([reader for reader in opened if reader is not None])
        caller.close()

    def heal(self, scene: Scene) -> Blow:
        """It hit when something urgent overtook something that had come before it."""
        asked = [line["task"] for line in scene.engines.lines() if line["event"] == "asked"]
        place = {task: number for number, task in enumerate(asked)}
        late = [place.get(task, len(asked)) for task in self._before]
        overtaken = sum(place[task] < at for task in self._urgent if task in place for at in late)
        return Blow(overtaken, f"{len(self._urgent)} urgent tasks overtook batch tasks {overtaken} times")
