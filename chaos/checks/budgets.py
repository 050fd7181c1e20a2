"""Budgets add up: what a session has left is its budget less what its tasks used, whatever happened to them."""

from collections import defaultdict
from collections.abc import Iterator

from chaos.checks.finding import Finding
from chaos.facts import Facts, Task
from harness.checks.violation import Violation

SPECIAL_TOKENS = 4  # what an upper bound of a prompt's tokens adds to its bytes (OC-CORE-1025)


def budgets_add_up(facts: Facts) -> Iterator[Finding]:
    """The last answer of `GET /v1/sessions/{id}` against all ends of its tasks."""
    budget = facts.run["budget_tokens"]
    if budget is None:
        return
    by_session: dict[str, list[Task]] = defaultdict(list)
    for task in facts.accepted:
        by_session[task.body["session_id"]].append(task)
    last = {e.path.rpartition("/")[2]: e for e in facts.exchanges if e.path.startswith("/v1/sessions/")}
    for session, tasks in by_session.items():
        answer = last.get(session)
        if answer is None or answer.status != 200:
            continue
        used = [used_tokens(task) for task in tasks]
        least, most = budget - sum(high for _, high in used), budget - sum(low for low, _ in used)
        left = answer.json.get("tokens_budget_remaining")
        if not isinstance(left, int) or not least <= left <= most:
            expected = f"{least} to {most} tokens left of {budget}, after {len(tasks)} tasks"
            violation = Violation("OC-CORE-1034", expected, f"{left!r}", f"session {session}")
            yield Finding("budgets_add_up", session, violation, answer.answered_ms)


def nothing_overdrawn(facts: Facts) -> Iterator[Finding]:
    """No session is let in beyond its budget, however many of its tasks come at once."""
    for exchange in facts.exchanges:
        left = exchange.header("x-budget-tokens-remaining")
        if left is not None and int(left) < 0:
            violation = Violation("OC-CORE-1023", "a session that has 0 tokens left or more", left, str(exchange))
            yield Finding("nothing_overdrawn", exchange.path, violation, exchange.answered_ms)
            return


def used_tokens(task: Task) -> tuple[int, int]:
    """The least and the most that a task used, as its frames tell it: exact where it ended well or never started."""
    for _, event, data in task.terminals:
        if event == "end":
            exact = int(data.get("tokens_in", 0)) + int(data["tokens_out"])
            return exact, exact
    shown = [len(reading.stream.tokens) for reading in task.readings]
    # A canceled task shows its late readers no token, but its `metrics` frame counts them.
    frames = (frame for reading in task.readings for frame in reading.stream.of("metrics"))
    shown += [int(frame.payload.get("tokens_out", 0)) for frame in frames if isinstance(frame.payload, dict)]
    has_started = any(reading.stream.of("started") for reading in task.readings)
    if not task.asked and not has_started:
        return 0, 0
    whole = [len(r.stream.tokens) for r in task.readings if r.stream.end == "complete" and r.stream.after is None]
    prompt_most = len(task.body["prompt"].encode()) + SPECIAL_TOKENS
    return (whole[-1] if whole else 0), prompt_most + max(shown, default=0)
