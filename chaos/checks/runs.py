"""Rules of decoding, with the engine's own witness as the second opinion."""

from collections.abc import Iterator

from chaos.checks.finding import Finding
from chaos.engine import digest_of
from chaos.facts import Facts, Task
from harness.checks.violation import Violation

STOPPED_MS = 1_000.0  # within which an engine is left alone by a canceled task (ORCH-3017)


def runs_once(facts: Facts) -> Iterator[Finding]:
    """No engine is asked twice for one task, over restarts too."""
    for task in facts.tasks.values():
        if len(task.asked) > 1:
            shown = "engines were asked at " + ", ".join(f"{one.at_ms:.0f} ms" for one in task.asked)
            yield _found("runs_once", "OC-CORE-1052", task, "one decode of a task", shown, task.asked[1].at_ms)


def refused_never_runs(facts: Facts) -> Iterator[Finding]:
    """What was refused and told so is not decoded."""
    for task in facts.tasks.values():
        if task.is_refused and task.asked:
            shown = f"an engine was asked for it at {task.asked_ms:.0f} ms"
            yield _found("refused_never_runs", "ORCH-2013", task, "nothing of a refused task", shown, task.asked_ms)


def canceled_stays_canceled(facts: Facts) -> Iterator[Finding]:
    """After a cancel was answered no engine is asked for the task any more, in no life of the server."""
    for task in facts.tasks.values():
        if task.canceled_ms == float("inf") or not task.asked:
            continue
        late = [
            one
            for one in task.asked
            if one.at_ms > task.canceled_ms + STOPPED_MS
            or (one.at_ms > task.canceled_ms and facts.life_at(one.at_ms) > facts.life_at(task.canceled_ms))
        ]
        if late:
            shown = f"an engine was asked {late[0].at_ms - task.canceled_ms:.0f} ms after it"
            expected = "no decode after the cancel was answered"
            yield _found("canceled_stays_canceled", "OC-CORE-1005", task, expected, shown, late[0].at_ms)


def dropped_never_runs(facts: Facts) -> Iterator[Finding]:
    """What a full queue drops has not started."""
    for task in facts.tasks.values():
        if task.error == "QUEUE_FULL_DROP_LRU" and task.asked:
            shown = f"an engine was asked for it at {task.asked_ms:.0f} ms"
            yield _found("dropped_never_runs", "OC-CORE-1006", task, "only waiting tasks dropped", shown, task.asked_ms)


def ends_were_earned(facts: Facts) -> Iterator[Finding]:
    """A task that ended well was decoded, and its readers got the text that its engine sent."""
    for task in facts.tasks.values():
        if not any(event == "end" for _, event, _ in task.terminals):
            continue
        sent = next((one for one in task.asked if one.digest is not None), None)
        if sent is None:
            expected = "an engine that decoded it to its end"
            yield _found("ends_were_earned", "ORCH-3054", task, expected, "no engine did", task.ended_by_ms)
            continue
        for reading in task.readings:
            stream = reading.stream
            is_whole = stream.after is None and stream.end == "complete" and stream.terminal is not None
            if is_whole and stream.of("end") and digest_of(stream.text) != sent.digest:
                expected, shown = f"the text that the engine sent, in {sent.tokens} tokens", str(stream)
                yield _found("ends_were_earned", "ORCH-3054", task, expected, shown, task.ended_by_ms)
                break


def slots_kept(facts: Facts) -> Iterator[Finding]:
    """No engine is asked for more at a time than it has slots."""
    slots = facts.run["slots"]
    crowd = next((one for one in facts.asked if one.busy > slots), None)
    if crowd is not None:
        violation = Violation("OC-CORE-1014", f"at most {slots} tasks in an engine at a time", f"{crowd.busy}")
        yield Finding("slots_kept", str(crowd.task), violation, crowd.at_ms)


def _found(rule: str, req: str, task: Task, expected: str, actual: str, at_ms: float) -> Finding:  # noqa: PLR0917
    submitted = ", ".join(f"{e.sent_ms:.0f} ms: {e.status}" for e in task.submits)
    return Finding(rule, task.id, Violation(req, expected, actual, f"task {task.id}, submitted at {submitted}"), at_ms)
