"""Points in time at which something should be looked at: a heap that is cleaned when most of it is stale."""

import heapq
from collections.abc import Callable

SLACK = 1024  # entries that are not worth a clean-up


class Deadlines:
    """Ids by due time. An id that no longer matters simply comes up, and its owner ignores it."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due_ms: int, task_id: str) -> None:
        """Have `task_id` come up at `due_ms`."""
        heapq.heappush(self._heap, (due_ms, task_id))

    def keep(self, matters: Callable[[str], bool], *, expected: int) -> None:
        """Forget what no longer matters, once that is most of what is here, so that the heap stays bounded."""
        if len(self._heap) > 2 * expected + SLACK:
            self._heap = [entry for entry in self._heap if matters(entry[1])]
            heapq.heapify(self._heap)

    def due(self, now_ms: int) -> list[str]:
        """Take out everything that is due, earliest first."""
        ids = []
        while self._heap and self._heap[0][0] <= now_ms:
            ids.append(heapq.heappop(self._heap)[1])
        return ids
