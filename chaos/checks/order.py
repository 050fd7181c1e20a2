"""Rules of order, told by when the engine was asked.

Only what is certain counts: a task came before another when its 202 was there before the other's request was sent, and
a slot was given away no earlier than the one before it on that slot was over. With several slots a fault on the way to
the engine lets a request overtake another one that was sent before it: what was under way then is not judged.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator

from chaos.checks.finding import Finding
from chaos.facts import Facts, Task
from harness.checks.violation import Violation

HELD_BACK_MS = 200  # a delay's longest, and some more for it to arrive


def first_come_first_served(facts: Facts) -> Iterator[Finding]:
    """Inside a priority, who came first is served first."""
    is_single = facts.run["slots"] == 1
    for priority in ("interactive", "batch"):
        before: list[Task] = []  # of those served so far, by when they were sent
        for task in sorted(_served(facts, priority), key=lambda task: task.asked_ms):
            later = before[bisect_right(before, task.accepted_ms, key=_sent) :]
            by = next((other for other in later if is_single or _is_certain(facts, other, task)), None)
            insort(before, task, key=_sent)
            if by is not None:
                late_ms = by.first_sent_ms - task.accepted_ms
                expected = f"task {task.id} served before {by.id}, which came {late_ms:.0f} ms later"
                shown = f"it was served {task.asked_ms - by.asked_ms:.0f} ms after it"
                violation = Violation("OC-CORE-1003", expected, shown, f"both {priority}")
                yield Finding("first_come_first_served", task.id, violation, task.asked_ms)


def _is_certain(facts: Facts, first: Task, then: Task) -> bool:
    """Whether it was the server that had the engine serve one before the other."""
    return first.asked[0].over_ms < then.asked_ms and not any(
        record["name"].endswith("@engine")
        and record["at_ms"] <= then.asked_ms
        and first.asked_ms <= record["until_ms"] + HELD_BACK_MS
        for record in facts.of("fault")
    )


def urgent_first(facts: Facts) -> Iterator[Finding]:
    """A free slot goes to what is interactive and waits. Judged with one slot, which is known to be free."""
    if facts.run["slots"] != 1:
        return
    urgent = _served(facts, "interactive")
    up_ms = {record["pid"]: record["at_ms"] for record in facts.of("engine") if record["event"] == "up"}
    for before, now in zip(facts.asked, facts.asked[1:], strict=False):
        task = facts.tasks.get(now.task or "")
        if task is None or task.priority != "batch" or now is not task.asked[0]:
            continue
        free_ms = max(task.first_sent_ms, up_ms.get(now.pid, 0.0), before.over_ms if before.pid == now.pid else 0.0)
        if free_ms > now.at_ms:
            continue  # the one before went without a trace: nobody knows when
        waiting = next((u for u in urgent if u.accepted_ms < free_ms and u.asked_ms > now.at_ms), None)
        if waiting is not None:
            expected = f"interactive task {waiting.id} served, accepted {free_ms - waiting.accepted_ms:.0f} ms before"
            violation = Violation("OC-CORE-1004", expected, f"batch task {task.id} was served")
            yield Finding("urgent_first", waiting.id, violation, now.at_ms)


def _served(facts: Facts, priority: str) -> list[Task]:
    return [task for task in facts.accepted if task.priority == priority and task.asked]


def _sent(task: Task) -> float:
    return task.first_sent_ms
