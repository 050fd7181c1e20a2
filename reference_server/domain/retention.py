"""How long ended tasks stay readable: for a time, and within a number and a size; the oldest go first.

Source: architecture rule "everything that waits is bounded"; ORCH-2002 (late readers).
"""

from collections import OrderedDict


class Retention:
    """Ids of ended tasks in the order in which they ended."""

    def __init__(self, *, ttl_ms: int, tasks_max: int, bytes_max: int) -> None:
        self._ttl_ms = ttl_ms
        self._tasks_max = tasks_max
        self._bytes_max = bytes_max
        self._ended: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._bytes = 0

    def limit(self, *, ttl_ms: int, tasks_max: int, bytes_max: int) -> None:
        """Change the limits, for what has ended already too."""
        longer_ms = ttl_ms - self._ttl_ms
        for task_id, (expires_ms, size) in self._ended.items():
            self._ended[task_id] = (expires_ms + longer_ms, size)
        self._ttl_ms, self._tasks_max, self._bytes_max = ttl_ms, tasks_max, bytes_max

    def __len__(self) -> int:
        return len(self._ended)

    def ended(self, task_id: str, *, size: int, now_ms: int) -> None:
        """Start the time of a task that has ended, with so many bytes of transcript."""
        self._ended[task_id] = (now_ms + self._ttl_ms, size)
        self._bytes += size

    def expired(self, now_ms: int) -> list[str]:
        """Take out what is over its time, or must go for the bounds to hold."""
        ids = []
        while self._ended:
            task_id, (expires_ms, size) = next(iter(self._ended.items()))
            within = len(self._ended) <= self._tasks_max and self._bytes <= self._bytes_max
            if within and expires_ms > now_ms:
                break
            del self._ended[task_id]
            self._bytes -= size
            ids.append(task_id)
        return ids
