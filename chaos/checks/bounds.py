"""Rules of bounds: no more waits than may wait, and whoever has to go is the right one and is told."""

from bisect import bisect_right
from collections.abc import Iterator

from chaos.checks.finding import Finding
from chaos.facts import FOREVER, Facts, Task
from harness.checks.metrics import parse
from harness.checks.violation import Violation
from harness.history import Exchange

PRIORITIES = ("interactive", "batch")


def bounds_held(facts: Facts) -> Iterator[Finding]:
    """No scrape ever shows a lane beyond its capacity."""
    capacity = facts.run["capacity"]
    for exchange in scrapes(facts):
        found = parse(exchange.body.decode())
        for priority in PRIORITIES:
            depth = found.total("queue_depth", priority=priority)
            if depth > capacity:
                violation = Violation("OC-CORE-1001", f"at most {capacity} {priority} tasks waiting", f"{depth:.0f}")
                yield Finding("bounds_held", "run", violation, exchange.answered_ms)
                return


def places_are_within_bounds(facts: Facts) -> Iterator[Finding]:
    """Nobody is told a place that the bounds do not have."""
    capacity = facts.run["capacity"]
    for task in facts.accepted:
        assert task.accepted is not None  # noqa: S101 - `accepted` lists those
        place = task.accepted.json.get("queue_position")
        most = (capacity if task.priority == "interactive" else 2 * capacity) - 1
        if not isinstance(place, int) or not 0 <= place <= most:
            violation = Violation("OC-CORE-1001", f"a place of 0 to {most} in the {task.priority} lane", f"{place!r}")
            yield Finding("places_are_within_bounds", task.id, violation, task.accepted_ms)


def victims_waited_longest(facts: Facts) -> Iterator[Finding]:
    """Under `drop-lru` nobody stays who came before the one that was dropped."""
    dropped = [task for task in facts.accepted if task.error == "QUEUE_FULL_DROP_LRU"]
    starts = [one.at_ms for one in facts.asked]
    for victim in dropped:
        known_ms = victim.ended_by_ms
        # What an engine was asked for right after may have been on its way to it already, one for each slot.
        waited_until_ms = next(iter(starts[bisect_right(starts, known_ms) :][facts.run["slots"] - 1 :]), FOREVER)
        stayed = next((t for t in facts.accepted if _stayed(t, victim, waited_until_ms)), None)
        if stayed is not None:
            expected = f"task {stayed.id} dropped, which had waited longer"
            shown = (
                f"task {victim.id} was dropped by {known_ms:.0f} ms, and the older one served at {stayed.asked_ms:.0f}"
            )
            yield Finding("victims_waited_longest", victim.id, Violation("OC-CORE-1002", expected, shown), known_ms)


def victims_are_told(facts: Facts) -> Iterator[Finding]:
    """Who is dropped learns it by a retriable error frame."""
    for task in facts.accepted:
        for at_ms, event, data in task.terminals:
            is_victim = event == "error" and data.get("code") in ("QUEUE_FULL_DROP_LRU", "ADMISSION_REJECT")
            if is_victim and data.get("retriable") is not True:
                violation = Violation("OC-CORE-1006", "a victim told that it may come again", f"{data}")
                yield Finding("victims_are_told", task.id, violation, at_ms)
                break


def overflow_drops(facts: Facts) -> Iterator[Finding]:
    """Under `drop-lru` a full lane drops for each newcomer, which is let in."""
    if facts.run["policy"] != "drop-lru":
        return
    refused = next((t for t in facts.tasks.values() if any(e.status == 429 for e in t.submits)), None)
    if refused is not None:
        violation = Violation("OC-CORE-1002", "a newcomer that is let in, for one that is dropped", "it was refused")
        yield Finding("overflow_drops", refused.id, violation, refused.first_sent_ms)


def scrapes(facts: Facts) -> list[Exchange]:
    """Every answer of `GET /metrics`, in order."""
    return [e for e in facts.exchanges if e.path == "/metrics" and e.status == 200]


def _stayed(task: Task, victim: Task, waited_until_ms: float) -> bool:
    """It came before the victim, waited beside it, and still waited when the victim was known to be dropped."""
    came_before = task.priority == victim.priority and task.accepted_ms < victim.first_sent_ms
    return came_before and bool(task.asked) and task.asked_ms > waited_until_ms
