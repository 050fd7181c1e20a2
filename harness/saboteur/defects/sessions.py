"""Sessions: turns, time to live, and what is left of budgets."""

from collections.abc import Iterator

from harness.saboteur.defect import STREAM, Exchange, Stream, Wire, answers, exchanges, frames
from harness.saboteur.message import Answer, Frame, Request

SESSION = "GET /v1/sessions/*"
TASKS = "POST /v1/tasks"
BUDGETS = ("X-Budget-Tokens-Remaining", "X-Budget-Time-Remaining-Ms", "X-Budget-Cost-Remaining")
FRESH = {"ttl_ms_remaining": 1000, "turns": 1, "kv_bytes": 0, "kv_warmth": False}


@answers("ORCH-3021", "ORCH-2004", at=SESSION)
def a_session_never_expires(answer: Answer, request: Request, wire: Wire) -> None:
    """A session that is gone is still there."""
    if answer.status == 404:
        answer.become(200, FRESH)


@answers("ORCH-2004", at=SESSION)
def a_session_forgets_a_turn(answer: Answer, request: Request, wire: Wire) -> None:
    """A session shows a turn less than it had."""
    if answer.status == 200:
        answer.set(turns=answer.json["turns"] - 1)


@answers("ORCH-3021", "ORCH-2004", at=SESSION)
def a_session_lives_for_a_day(answer: Answer, request: Request, wire: Wire) -> None:
    """A session has more time to live than it may have."""
    if answer.status == 200:
        answer.set(ttl_ms_remaining=86_400_000)


@answers("OC-CORE-1027", "ORCH-3021", at=SESSION)
def a_turn_gives_no_time(answer: Answer, request: Request, wire: Wire) -> None:
    """A session expires at the time that its first turn gave it."""
    if answer.status == 200:
        answer.refuse("NOT_FOUND")


@answers("ORCH-2004", at=SESSION)
def a_session_without_kv(answer: Answer, request: Request, wire: Wire) -> None:
    """A session does not tell what its KV cache holds."""
    answer.set(kv_bytes=None)


@exchanges("ORCH-2005", at="DELETE /v1/sessions/*")
def a_deletion_is_only_answered(request: Request, wire: Wire) -> Exchange:
    """A session that was deleted is still there."""
    yield Answer.to(request).become(204)


@answers("ORCH-2005", at="DELETE /v1/sessions/*")
def a_deletion_is_accepted(answer: Answer, request: Request, wire: Wire) -> None:
    """A deletion is answered 202."""
    answer.status = 202 if answer.status == 204 else answer.status


@answers("OC-CORE-1026", "ORCH-3021", at=TASKS)
def turns_without_bound(answer: Answer, request: Request, wire: Wire) -> None:
    """A session takes more turns than it may have."""
    if answer.status == 429:
        answer.accept(request)


@answers("OC-CORE-1026", at=TASKS)
def turns_refused_by_another_policy(answer: Answer, request: Request, wire: Wire) -> None:
    """A session that has had its turns is told that the queue is full."""
    if answer.status == 429:
        answer.set(policy_label="reject")


@answers("OC-CORE-1026", at=TASKS)
def turns_come_back_at_once(answer: Answer, request: Request, wire: Wire) -> None:
    """A session that has had its turns is told to come again before it has ended."""
    if answer.status == 429:
        answer.set(retry_after_ms=100)
        answer.put("X-Backoff-Ms", "100")
        answer.put("Retry-After", "1")


@answers("OC-CTRL-2068", at=TASKS)
def budgets_are_not_told(answer: Answer, request: Request, wire: Wire) -> None:
    """Admission does not tell what is left of the budgets."""
    answer.drop(*BUDGETS)


@answers("OC-CTRL-2068", at=TASKS)
def only_tokens_are_told(answer: Answer, request: Request, wire: Wire) -> None:
    """Admission does not tell what is left of the budgets of time and cost."""
    answer.drop(*BUDGETS[1:])


@answers("OC-CORE-1034", at="GET /v1/sessions/*")
def what_was_canceled_is_paid_for(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that was canceled before it ran gives nothing back."""
    if answer.status == 200 and "tokens_budget_remaining" in (answer.json or {}):
        answer.set(tokens_budget_remaining=min(answer.json["tokens_budget_remaining"], 2_500))


@answers("OC-CTRL-2068", at=STREAM)
def budgets_are_not_told_at_the_start(answer: Answer, request: Request, wire: Wire) -> None:
    """A stream does not tell what is left of the budgets."""
    answer.drop(*BUDGETS)


@answers("OC-CTRL-2068", at=TASKS)
def a_budget_that_is_not_there(answer: Answer, request: Request, wire: Wire) -> None:
    """A session without budgets is told of one."""
    answer.put(BUDGETS[0], "99999")


@frames("OC-METRICS-7111", "OC-CORE-1024", "ORCH-3100")
def frames_without_budget(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`metrics` frames do not show the budgets of their session."""
    yield frame.having(tokens_budget_remaining=None) if frame.event == "metrics" else frame


@frames("ORCH-3100", "OC-CORE-1034")
def nothing_is_given_back(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A budget is not given back what a task did not use."""
    left = frame.payload.get("tokens_budget_remaining")
    yield frame.having(tokens_budget_remaining=left - 3) if isinstance(left, int) else frame


@answers("OC-CORE-1023", "ORCH-3099", at=TASKS)
def budgets_are_no_bound(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that its session cannot afford is admitted."""
    if (answer.json or {}).get("policy_label") == "budget-tokens":
        answer.accept(request)


@answers("OC-CORE-1034", at=TASKS)
def a_budget_without_its_name(answer: Answer, request: Request, wire: Wire) -> None:
    """A refusal by a budget does not say which."""
    if (answer.json or {}).get("policy_label") == "budget-tokens":
        answer.set(policy_label="budget")


@answers("ORCH-3006", "ORCH-3036", "OC-CORE-1035", at=TASKS)
def a_token_may_ask_for_anything(answer: Answer, request: Request, wire: Wire) -> None:
    """Neither throttle nor bound holds for a token."""
    if (answer.json or {}).get("policy_label") in ("throttle", "open-tasks"):
        answer.accept(request)


@answers("OC-CORE-1035", "ORCH-3006", at="GET /v1/capabilities")
def limits_are_not_named(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities do not name the limits of a token."""
    found = answer.json
    for row in found["engines"]:
        row["rate_limits"] = {}
    answer.json = found
