"""`slow-readers`: many readers of open tasks that take nothing for a while."""

import random

from chaos.clients import Caller
from chaos.faults.fault import Blow
from chaos.scene import Scene
from harness.stream_reader import StreamReader

READERS = 24


class SlowReaders:
    """Opens, waits, and reads on at the end."""

    def __init__(self) -> None:
        self._caller: Caller | None = None
        self._readers: list[StreamReader] = []

    def strike(self, scene: Scene, rng: random.Random) -> None:
        """Open them, and read nothing."""
        caller = self._caller = Caller(scene, "slow-readers")
        opened = (caller.open(task_id) for task_id in scene.some_open(rng, READERS))
        self._readers = [reader for reader in opened if reader is not None]
        for reader in self._readers:
            caller.dawdle(reader, 0)

    def heal(self, scene: Scene) -> Blow:
        """Read what came meanwhile, to the end."""
        del scene
        assert self._caller is not None  # noqa: S101
        self._caller.follow_all(self._readers)
        read = sum(bool(reader.record.frames) for reader in self._readers)
        self._caller.close()
        return Blow(read, f"{read} of {len(self._readers)} slow readers got their frames late")
