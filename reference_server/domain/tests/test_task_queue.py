"""The queue against a naive model, and each full policy by example."""

from typing import ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reference_server.domain.task import Priority
from reference_server.domain.task_queue import Bounds, FullPolicy, QueueFullError, TaskQueue

PRIORITIES = st.sampled_from(["interactive", "batch"])


class QueueMachine(RuleBasedStateMachine):
    """The queue beside two plain lists."""

    policies: ClassVar = ["reject", "drop-lru", "shed-low-priority"]

    @initialize(
        policy=st.sampled_from(policies),
        interactive=st.integers(1, 3),
        batch=st.integers(1, 3),
        total=st.integers(1, 6),
    )
    def start(self, policy: FullPolicy, interactive: int, batch: int, total: int) -> None:
        self.bounds = Bounds(interactive=interactive, batch=batch, total=total, policy=policy)
        self.queue = TaskQueue(self.bounds)
        self.lanes: dict[str, list[tuple[str, int]]] = {"interactive": [], "batch": []}
        self.count = 0

    def model_victim(self, newcomer: Priority) -> str | None:
        own, batch = self.lanes[newcomer], self.lanes["batch"]
        lane_full = len(own) >= getattr(self.bounds, newcomer)
        match self.bounds.policy:
            case "drop-lru" if lane_full:
                return own[0][0]
            case "drop-lru" if batch:
                return batch[0][0]
            case "drop-lru" if newcomer == "interactive" and own:
                return own[0][0]
            case "shed-low-priority" if newcomer == "interactive" and not lane_full and batch:
                return batch[-1][0]
            case _:
                return None

    @rule(priority=PRIORITIES, tokens=st.integers(1, 9))
    def put(self, priority: Priority, tokens: int) -> None:
        self.count += 1
        task_id = f"t{self.count}"
        waiting = sum(map(len, self.lanes.values()))
        room = len(self.lanes[priority]) < getattr(self.bounds, priority) and waiting < self.bounds.total
        victim = None if room else self.model_victim(priority)
        if not room and victim is None:
            before = self.queue.ids()
            with pytest.raises(QueueFullError):
                self.queue.put(task_id, priority, tokens=tokens)
            assert before == self.queue.ids()
            return
        for lane in self.lanes.values():
            lane[:] = [entry for entry in lane if entry[0] != victim]
        ahead = len(self.lanes["interactive"]) + (len(self.lanes["batch"]) if priority == "batch" else 0)
        placed = self.queue.put(task_id, priority, tokens=tokens)
        self.lanes[priority].append((task_id, tokens))
        assert (ahead, victim) == (placed.position, placed.dropped)

    @rule()
    def pop(self) -> None:
        lane = self.lanes["interactive"] or self.lanes["batch"]
        expected = lane.pop(0)[0] if lane else None
        assert expected == self.queue.pop()

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        ids = [task_id for lane in self.lanes.values() for task_id, _ in lane]
        chosen = data.draw(st.sampled_from([*ids, "unknown"]))
        for lane in self.lanes.values():
            lane[:] = [entry for entry in lane if entry[0] != chosen]
        assert (chosen in ids) == self.queue.remove(chosen)

    @invariant()
    def same_order_positions_and_sums(self) -> None:
        ids = [task_id for lane in self.lanes.values() for task_id, _ in lane]
        assert ids == self.queue.ids()
        assert list(range(len(ids))) == [self.queue.position(task_id) for task_id in ids]
        assert sum(t for _, t in self.lanes["interactive"]) == self.queue.tokens_ahead("interactive")
        assert sum(t for lane in self.lanes.values() for _, t in lane) == self.queue.tokens_ahead("batch")

    @invariant()
    def bounds_hold(self) -> None:
        assert self.queue.depth("interactive") <= self.bounds.interactive
        assert self.queue.depth("batch") <= self.bounds.batch
        assert len(self.queue) <= self.bounds.total


TestQueue = pytest.mark.req("OC-CORE-1001", "OC-CORE-1002", "OC-CORE-1004", "OC-CORE-1005", "OC-CORE-1007")(
    QueueMachine.TestCase
)
TestQueue.settings = settings(max_examples=200, deadline=None)


def full(policy: FullPolicy, *, total: int = 4) -> TaskQueue:
    queue = TaskQueue(Bounds(interactive=2, batch=2, total=total, policy=policy))
    queue.put("b1", "batch", tokens=1)
    queue.put("b2", "batch", tokens=1)
    return queue


@pytest.mark.req("ORCH-3005")
def test_drop_lru_drops_the_one_that_waited_longest_in_its_own_lane() -> None:
    placed = full("drop-lru").put("b3", "batch", tokens=1)

    assert ("b1", 1) == (placed.dropped, placed.position)


@pytest.mark.req("OC-CORE-1007")
def test_drop_lru_never_drops_interactive_for_batch() -> None:
    queue = TaskQueue(Bounds(interactive=2, batch=2, total=2, policy="drop-lru"))
    queue.put("i1", "interactive", tokens=1)
    queue.put("i2", "interactive", tokens=1)

    with pytest.raises(QueueFullError):
        queue.put("b1", "batch", tokens=1)
    assert ["i1", "i2"] == queue.ids()


@pytest.mark.req("ORCH-3005")
def test_shedding_takes_the_youngest_batch_task_for_an_interactive_one() -> None:
    placed = full("shed-low-priority", total=2).put("i1", "interactive", tokens=1)

    assert "b2" == placed.dropped


@pytest.mark.req("OC-CORE-1003")
def test_a_hundred_thousand_tasks_go_through_in_order() -> None:
    queue = TaskQueue(Bounds(interactive=1, batch=100_000, total=100_001))
    ids = [str(n) for n in range(100_000)]
    for task_id in ids:
        queue.put(task_id, "batch", tokens=1)

    assert ids == [queue.pop() for _ in ids]


@pytest.mark.req("OC-CORE-1007")
def test_drop_lru_takes_batch_first_for_an_interactive_newcomer_and_interactive_where_no_batch_waits() -> None:
    queue = full("drop-lru", total=2)
    assert "b1" == queue.put("i1", "interactive", tokens=1).dropped
    assert "b2" == queue.put("i2", "interactive", tokens=1).dropped

    total = TaskQueue(Bounds(interactive=3, batch=3, total=2, policy="drop-lru"))
    total.put("i1", "interactive", tokens=1)
    total.put("i2", "interactive", tokens=1)
    assert "i1" == total.put("i3", "interactive", tokens=1).dropped
    assert ["i2", "i3"] == total.ids()


@pytest.mark.req("OC-CORE-1002")
def test_a_queue_that_rejects_drops_nobody() -> None:
    queue = full("reject", total=2)

    with pytest.raises(QueueFullError):
        queue.put("i1", "interactive", tokens=1)
    assert ["b1", "b2"] == queue.ids()


@pytest.mark.req("ORCH-3005", "OC-CORE-1007")
@pytest.mark.parametrize("newcomer", ["batch", "interactive"])
def test_shedding_makes_no_room_for_batch_nor_in_a_full_interactive_lane(newcomer: Priority) -> None:
    queue = full("shed-low-priority")
    queue.put("i1", "interactive", tokens=1)
    queue.put("i2", "interactive", tokens=1)

    with pytest.raises(QueueFullError):
        queue.put("new", newcomer, tokens=1)
    assert ["i1", "i2", "b1", "b2"] == queue.ids()


@pytest.mark.req("OC-CORE-1007")
def test_shedding_finds_nobody_where_no_batch_waits() -> None:
    queue = TaskQueue(Bounds(interactive=3, batch=3, total=1, policy="shed-low-priority"))
    queue.put("i1", "interactive", tokens=1)

    with pytest.raises(QueueFullError):
        queue.put("i2", "interactive", tokens=1)


@pytest.mark.req("OC-CORE-1005", "OC-CORE-1053", "ORCH-3029")
def test_sums_and_positions_follow_whatever_comes_and_goes() -> None:
    queue = TaskQueue(Bounds(interactive=2, batch=2, total=2))
    for name, tokens in (("b1", 10), ("b2", 20), ("b3", 30)):
        queue.restore(name, "batch", tokens=tokens)  # also above the bounds
    queue.restore("i1", "interactive", tokens=1)

    assert (61, 1) == (queue.tokens_ahead("batch"), queue.tokens_ahead("interactive"))
    assert [0, 1, 3, None] == [queue.position(name) for name in ("i1", "b1", "b3", "none")]
    assert (True, False) == (queue.remove("b2"), queue.remove("b2"))
    assert (41, 2) == (queue.tokens_ahead("batch"), queue.position("b3"))
    assert ["i1", "b1"] == [queue.pop(), queue.pop()]
    assert (30, 0, 1) == (queue.tokens_ahead("batch"), queue.position("b3"), queue.ahead("batch"))
    assert ["b3", None] == [queue.pop(), queue.pop()]


@pytest.mark.req("OC-CORE-1018")
def test_what_is_put_back_goes_first_in_its_lane() -> None:
    queue = full("reject")
    queue.put("i1", "interactive", tokens=1)
    assert "i1" == queue.pop()
    queue.put_back("b0", "batch", tokens=5)

    assert (["b0", "b1", "b2"], 7) == (queue.ids(), queue.tokens_ahead("batch"))


@pytest.mark.req("ORCH-3004", "OC-CORE-1004")
def test_each_newcomer_is_told_how_many_go_before_it() -> None:
    queue = TaskQueue(Bounds(interactive=2, batch=3, total=5))
    places = [
        queue.put(name, "batch" if name[0] == "b" else "interactive", tokens=1) for name in ("b1", "i1", "b2", "i2")
    ]

    assert [0, 0, 2, 1] == [placed.position for placed in places]
