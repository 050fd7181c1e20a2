"""Rules of ends: every accepted task has one, the same for everybody and for good, and it has a cause.

A life of the server keeps its transcripts; over a kill only what had ended is kept, with its end.
"""

from collections.abc import Iterator, Mapping

from chaos.checks.finding import Finding
from chaos.facts import Facts, Task, canonical
from harness.checks.violation import Violation
from harness.history import parsed

KILLS = frozenset({"kill-server", "full-disk"})
ENGINE_FAULTS = frozenset(
    {
        *("kill-engine", "pause-engine", "stuck-drain", "cuda-error", "vram-oom", "host-oom"),
        *("cut", "drop", "half-close", "delay", "slice"),
    }
)
CLOSING = frozenset({"drain", "reload", "stuck-drain"})

CAUSES: Mapping[str, frozenset[str]] = {
    "WORKER_RESET": KILLS | ENGINE_FAULTS,
    "REPLICA_EXHAUSTED": ENGINE_FAULTS,
    "DECODE_TIMEOUT": ENGINE_FAULTS | {"pause-server"},
    "POOL_UNREADY": CLOSING | ENGINE_FAULTS | KILLS,
    "POOL_UNAVAILABLE": ENGINE_FAULTS | KILLS,
    "INTERNAL": frozenset({"full-disk"}),
}
"""Which faults excuse which error; what is not here is never excused by a fault."""

CUTTERS = KILLS | {"cut", "half-close", "drop"}
CUT_SLACK_MS = 2_000  # from a kill to the last client that has noticed


def one_end(facts: Facts) -> Iterator[Finding]:
    """Everybody who sees a task end sees the same end, whenever he looks, over restarts too."""
    for task in facts.tasks.values():
        seen = {(event, str(data.get("code", ""))) for _, event, data in task.terminals}
        if len(seen) > 1:
            shown = " and ".join(f"{event} {code}".strip() for event, code in sorted(seen))
            violation = Violation("OC-CORE-1054", "one end of a task, the same for all its readers", shown, _at(task))
            yield Finding("one_end", task.id, violation, task.terminals[-1][0])


def nothing_lost(facts: Facts) -> Iterator[Finding]:
    """Every accepted task comes to an end that can be read afterwards."""
    for task in facts.accepted:
        if not task.terminals:
            last = task.statuses[-1] if task.statuses else None
            shown = f"status {last.status} {last.body[:120]!r}" if last else "no end in any stream"
            violation = Violation("OC-CORE-1051", "an end of every task that was accepted", shown, _at(task))
            yield Finding("nothing_lost", task.id, violation, task.accepted_ms)


def readers_agree(facts: Facts) -> Iterator[Finding]:
    """In one life of the server a frame's id always stands for the same frame."""
    for task in facts.tasks.values():
        known: dict[tuple[int, str | None], str] = {}
        for reading in task.readings:
            for frame in reading.stream.frames:
                key = (facts.life_at(reading.opened_ms), frame.id)
                text = f"{frame.event} {canonical(frame.data)}"
                if known.setdefault(key, text) != text:
                    violation = Violation("ORCH-2011", f"frame {frame.id}: {known[key]}", text, _at(task))
                    yield Finding("readers_agree", task.id, violation, frame.at_ms)
                    break


def ends_have_a_cause(facts: Facts) -> Iterator[Finding]:
    """No task ends with an error that nothing in the run explains."""
    for task in facts.tasks.values():
        code = task.error
        if code is None or _is_explained(code, task, facts):
            continue
        violation = Violation("ORCH-2006", "an error that something in this run explains", code, _at(task))
        yield Finding("ends_have_a_cause", task.id, violation, task.ended_by_ms)


def server_errors_have_a_cause(facts: Facts) -> Iterator[Finding]:
    """However much comes at once, no request is answered 5xx but for what a fault of the run explains."""
    openings = (r.stream.opening for task in facts.tasks.values() for r in task.readings)
    for exchange in (*facts.exchanges, *(opening for opening in openings if opening is not None)):
        if exchange.status < 500:
            continue
        answer = parsed(exchange.body)
        code = str(answer.get("code")) if isinstance(answer, dict) else "no code"
        if not CAUSES.get(code, frozenset()) & facts.faults:
            expected = "no 5xx, or one that a fault of this run explains"
            violation = Violation("ORCH-2006", expected, f"{exchange.status} {code}", str(exchange))
            yield Finding("server_errors_have_a_cause", exchange.path, violation, exchange.answered_ms)


def cuts_have_a_cause(facts: Facts) -> Iterator[Finding]:
    """The server ends its streams itself; only a kill, a network fault or a reader's own slowness breaks one off."""
    for task in facts.tasks.values():
        for reading in task.readings:
            is_cut = reading.stream.end == "cut" and not reading.is_slow
            if is_cut and not facts.is_during(reading.closed_ms, CUTTERS, slack_ms=CUT_SLACK_MS):
                at = str(reading.stream)
                violation = Violation(
                    "OC-CTRL-2022", "a stream that ends after its terminal frame", reading.stream.why, at
                )
                yield Finding("cuts_have_a_cause", task.id, violation, reading.closed_ms)


def nothing_hangs(facts: Facts) -> Iterator[Finding]:
    """Every request is answered in time, or its connection ends."""
    for record in facts.of("hang"):
        violation = Violation("OC-TEST-7008", "an answer", record["what"])
        yield Finding("nothing_hangs", record["who"], violation, record["at_ms"])


def comes_back(facts: Facts) -> Iterator[Finding]:
    """A server that was killed starts again on what it left behind."""
    for record in facts.of("down"):
        violation = Violation("OC-CORE-1051", "a server that starts again on its state", record["what"])
        yield Finding("comes_back", "run", violation, record["at_ms"])


def _is_explained(code: str, task: Task, facts: Facts) -> bool:
    match code:
        case "CANCELED":
            return bool(task.cancels) or task.body.get("on_disconnect") == "cancel"
        case "QUEUE_FULL_DROP_LRU":
            return bool(facts.run["policy"] == "drop-lru")
        case "ADMISSION_REJECT":
            return bool(facts.run["policy"] == "shed-low-priority")
        case _:
            return bool(CAUSES.get(code, frozenset()) & facts.faults)


def _at(task: Task) -> str:
    return "\n".join([f"task {task.id} ({task.priority})", *(str(reading.stream) for reading in task.readings[-3:])])
