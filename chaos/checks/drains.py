"""Rules of drains: the deadline ends what an engine is stuck with, and nothing else has to."""

from collections.abc import Iterator

from chaos.checks.finding import Finding
from chaos.facts import Facts
from harness.checks.violation import Violation


def drains_meet_their_deadline(facts: Facts) -> Iterator[Finding]:
    """A drain comes to its end beside a call that does not.

    Judged by what ended the call rather than by the clock: a busy machine may be late, but only a drain that waited for
    it leaves it to the watchdog.
    """
    for record in facts.of("drain"):
        expected = f"a drain that is over by its deadline of {record['deadline_ms']} ms"
        if record["drained_ms"] is None:
            violation = Violation("OC-CTRL-2002", expected, "one that did not come to its end")
            yield Finding("drains_meet_their_deadline", "run", violation, record["at_ms"])
        for task_id in record["stuck"]:
            task = facts.tasks.get(task_id)
            if task is not None and task.error == "DECODE_TIMEOUT":
                violation = Violation("OC-CTRL-2002", expected, f"task {task_id} held it until its own limit")
                yield Finding("drains_meet_their_deadline", task_id, violation, task.ended_by_ms)
