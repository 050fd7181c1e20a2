"""`vanishing-readers`: many readers of open tasks that are gone before they are answered, or right after."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.scene import Scene

READERS = 60


class VanishingReaders:
    """Opens and leaves, by a reset or an orderly close."""

    def __init__(self) -> None:
        self._gone = 0

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Come and go."""
        caller = Caller(scene, "vanishing-readers")
        tasks = scene.some_open(rng, READERS)
        for _ in range(READERS if tasks else 0):
            self._visit(caller, rng.choice(tasks), frames=rng.choice((0, 0, 1, 3)), is_reset=rng.random() < 0.5)
        caller.close()

    def _visit(self, caller: Caller, task_id: str, *, frames: int, is_reset: bool) -> None:
        if (reader := caller.open(task_id)) is None:
            return
        if frames:
            caller.follow(reader, lambda: len(reader.record.frames) >= frames)
        self._gone += reader.is_open
        reader.leave("reset" if is_reset else "close")

    def heal(self, scene: Scene) -> Blow:
        """It is over when they are gone."""
        del scene
        return Blow(self._gone, f"{self._gone} readers left a stream that was still open")
