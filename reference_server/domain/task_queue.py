"""A bounded queue with two lanes: interactive goes before batch, and each lane is first in, first out.

What happens when there is no room is the full policy's:

- `reject`: the newcomer is refused.
- `drop-lru`: the task that has waited longest makes room: in the newcomer's own lane when that lane is full; when
  only the two lanes together are full, in the batch lane first, and in the interactive lane only for an interactive
  newcomer.
- `shed-low-priority`: an interactive newcomer takes the place of the batch task that came last; a batch newcomer is
  refused.

Source: ORCH-3004, ORCH-3005, OC-CORE-1001 … 1005.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from reference_server.domain.task import Priority

FullPolicy = Literal["reject", "drop-lru", "shed-low-priority"]


class QueueFullError(Exception):
    """There is no room, and the policy makes none. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may wait.

    Attributes:
        total: both lanes together.
    """

    interactive: int
    batch: int
    total: int
    policy: FullPolicy = "reject"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a task went.

    Attributes:
        position: how many tasks will be served before it; 0 means next.
        dropped: the task that had to leave for it, already out of the queue.
    """

    position: int
    dropped: str | None = None


class TaskQueue:
    """Ids of waiting tasks. Every operation but `position` is O(1)."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._lanes: dict[Priority, OrderedDict[str, int]] = {"interactive": OrderedDict(), "batch": OrderedDict()}
        self._tokens: dict[Priority, int] = {"interactive": 0, "batch": 0}

    def __len__(self) -> int:
        return len(self._lanes["interactive"]) + len(self._lanes["batch"])

    def depth(self, priority: Priority) -> int:
        """How many wait in one lane."""
        return len(self._lanes[priority])

    def tokens_ahead(self, priority: Priority) -> int:
        """Expected tokens of all that would be served before a newcomer of this priority."""
        own = self._tokens["interactive"]
        return own if priority == "interactive" else own + self._tokens["batch"]

    def ahead(self, priority: Priority) -> int:
        """How many would be served before a newcomer of this priority."""
        return self.depth("interactive") if priority == "interactive" else len(self)

    def put(self, task_id: str, priority: Priority, *, tokens: int) -> Placed:
        """Add a task at the tail of its lane.

        Args:
            tokens: how long its answer is expected to be; only used for predictions.

        Raises:
            QueueFullError: no room, and the policy makes none; nothing changed.
        """
        dropped = None
        if not self._has_room(priority):
            dropped = self._victim(priority)
            if dropped is None:
                raise QueueFullError
            self.remove(dropped)
        position = self.ahead(priority)
        self._lanes[priority][task_id] = tokens
        self._tokens[priority] += tokens
        return Placed(position, dropped)

    def restore(self, task_id: str, priority: Priority, *, tokens: int) -> None:
        """Add a task that was accepted before a restart, at the tail of its lane: the bounds had let it in then."""
        self._lanes[priority][task_id] = tokens
        self._tokens[priority] += tokens

    def put_back(self, task_id: str, priority: Priority, *, tokens: int) -> None:
        """Add a task that was not served well, or not yet, at the head of its lane: the bounds had let it in before."""
        self.restore(task_id, priority, tokens=tokens)
        self._lanes[priority].move_to_end(task_id, last=False)

    def pop(self) -> str | None:
        """Take the next task to serve, or None when nothing waits."""
        for priority, lane in self._lanes.items():
            if lane:
                task_id, tokens = lane.popitem(last=False)
                self._tokens[priority] -= tokens
                return task_id
        return None

    def remove(self, task_id: str) -> bool:
        """Take a task out of whichever lane it waits in; False when it waits in none."""
        for priority, lane in self._lanes.items():
            tokens = lane.pop(task_id, None)
            if tokens is not None:
                self._tokens[priority] -= tokens
                return True
        return False

    def position(self, task_id: str) -> int | None:
        """How many will be served before this task, or None when it does not wait. O(n), for status reads only."""
        before = 0
        for lane in self._lanes.values():
            if task_id in lane:
                return before + next(i for i, waiting in enumerate(lane) if waiting == task_id)
            before += len(lane)
        return None

    def ids(self) -> list[str]:
        """All that wait, in the order they would be served."""
        return [task_id for lane in self._lanes.values() for task_id in lane]

    def _lane_is_full(self, priority: Priority) -> bool:
        bound = self.bounds.interactive if priority == "interactive" else self.bounds.batch
        return self.depth(priority) >= bound

    def _has_room(self, priority: Priority) -> bool:
        return not self._lane_is_full(priority) and len(self) < self.bounds.total

    def _victim(self, newcomer: Priority) -> str | None:
        interactive, batch = self._lanes["interactive"], self._lanes["batch"]
        match self.bounds.policy:
            case "reject":
                return None
            case "drop-lru":
                if self._lane_is_full(newcomer):
                    return next(iter(self._lanes[newcomer]))
                return next(iter(batch), None) or (next(iter(interactive), None) if newcomer == "interactive" else None)
            case "shed-low-priority":
                sheds = newcomer == "interactive" and not self._lane_is_full("interactive")
                return next(reversed(batch), None) if sheds else None
