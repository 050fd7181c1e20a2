"""The queue: who goes first, who has to go, and who is told."""

from collections.abc import Iterator

from harness.saboteur.defect import Exchange, Stream, Wire, answers, exchanges, frames
from harness.saboteur.message import Answer, Frame, Request

TASKS = "POST /v1/tasks"
SHED = "service-level"  # the policy label of load that is shed
OTHER_LANE = {"interactive": "batch", "batch": "interactive"}


@exchanges("OC-CORE-1003", "OC-CORE-1004", "ORCH-3004", at=TASKS)
def fifo_swap(request: Request, wire: Wire) -> Exchange:
    """An interactive task that comes right after a batch task is served after those that come later."""
    priority = (request.json or {}).get("priority")
    if priority == "interactive" and wire.memory.get("before") == "batch":
        _in_lane(request, "batch")
    wire.memory["before"] = priority
    yield None


@exchanges("OC-CORE-1004", "ORCH-3000", at=TASKS)
def interactive_waits_for_batch(request: Request, wire: Wire) -> Exchange:
    """Interactive tasks are served after the batch tasks."""
    priority = (request.json or {}).get("priority")
    if isinstance(priority, str) and priority in OTHER_LANE:
        _in_lane(request, OTHER_LANE[priority])
    yield None


def _in_lane(request: Request, priority: str) -> None:
    request.json = {**request.json, "priority": priority}


@exchanges("OC-CORE-1004", "ORCH-3004", at=TASKS)
def a_header_opens_the_other_lane(request: Request, wire: Wire) -> Exchange:
    """A batch task whose headers ask for it is served as interactive."""
    if request.header("x-priority") == "interactive":
        _in_lane(request, "interactive")
    yield None


@answers("OC-CORE-1003", "OC-CORE-1004", at=TASKS)
def one_place_for_all(answer: Answer, request: Request, wire: Wire) -> None:
    """Every task that waits is told the same place."""
    if answer.status == 202:
        answer.set(queue_position=1)


@answers("OC-CORE-1001", "OC-CORE-1002", at=TASKS)
def one_more_than_there_is_room_for(answer: Answer, request: Request, wire: Wire) -> None:
    """A full queue takes one more task."""
    if answer.status == 429 and not wire.count("full"):
        answer.accept(request)


@answers("ORCH-3005", "OC-CORE-1002", at=TASKS)
def another_policy_in_the_refusal(answer: Answer, request: Request, wire: Wire) -> None:
    """A refusal names another policy than the queue has."""
    if answer.status == 429:
        answer.set(policy_label="drop-lru" if answer.json.get("policy_label") == "reject" else "reject")


@answers("ORCH-3005", at="GET /v1/capabilities")
def another_policy_in_capabilities(answer: Answer, request: Request, wire: Wire) -> None:
    """Capabilities name another policy than the queue has."""
    found = answer.json
    for row in found["engines"]:
        named = row["features"].get("queue_full_policy")
        row["features"]["queue_full_policy"] = "drop-lru" if named == "reject" else "reject"
    answer.json = found


@frames("OC-CORE-1006", "OC-CORE-1002")
def a_victim_is_not_told(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that a full queue dropped ends as if it had been canceled."""
    dropped = frame.payload.get("code") in ("QUEUE_FULL_DROP_LRU", "ADMISSION_REJECT")
    yield frame.having(code="CANCELED", retriable=False) if dropped else frame


@frames("OC-CORE-1006")
def a_victim_may_not_come_again(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that a full queue dropped is told not to come again."""
    dropped = frame.payload.get("code") in ("QUEUE_FULL_DROP_LRU", "ADMISSION_REJECT")
    yield frame.having(retriable=False) if dropped else frame


@answers("OC-CORE-1002", "OC-CORE-1007", at="GET /v1/tasks/*")
def waiting_tasks_are_lost(answer: Answer, request: Request, wire: Wire) -> None:
    """A newcomer costs tasks their place that should have kept it."""
    if (answer.json or {}).get("state") == "queued" and wire.count("looks"):
        answer.set(state="failed", error={"code": "QUEUE_FULL_DROP_LRU", "message": "planted"})


@answers("OC-CORE-1007", "OC-CORE-1002", at=TASKS)
def batch_displaces_interactive(answer: Answer, request: Request, wire: Wire) -> None:
    """A batch task is admitted where it would have to displace an interactive one."""
    if answer.status == 429:
        answer.accept(request)


@answers("ORCH-3040", "OC-POOL-3016", at=TASKS)
def load_is_never_shed(answer: Answer, request: Request, wire: Wire) -> None:
    """Batch tasks are admitted however long interactive ones wait."""
    if (answer.json or {}).get("policy_label") == SHED:
        answer.accept(request)


@answers("OC-POOL-3016", at="GET /v1/pools/*/health")
def shedding_is_not_shown(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool does not say that it sheds load."""
    answer.set(shedding=None)


@answers("OC-POOL-3016", at="GET /v1/status")
def shedding_is_missing_from_the_status(answer: Answer, request: Request, wire: Wire) -> None:
    """The status does not say of any pool that it sheds load."""
    if rows := (answer.json or {}).get("pools"):
        answer.set(pools=[{name: value for name, value in row.items() if name != "shedding"} for row in rows])


@answers("ORCH-3040", "OC-POOL-3017", at=TASKS)
def interactive_tasks_are_shed(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that sheds load refuses interactive tasks, too."""
    refused = answer.json or {}
    if refused.get("policy_label") == SHED:
        wire.memory["shed"] = refused
    elif answer.status == 202 and (request.json or {}).get("priority") == "interactive" and "shed" in wire.memory:
        answer.refuse("ADMISSION_REJECT", policy_label=SHED)


@answers("ORCH-3040", "OC-POOL-3017", at=TASKS)
def shedding_never_ends(answer: Answer, request: Request, wire: Wire) -> None:
    """A pool that has shed load once refuses batch tasks for ever."""
    if (answer.json or {}).get("policy_label") == SHED:
        wire.memory["shed"] = True
    elif answer.status == 202 and (request.json or {}).get("priority") == "batch" and "shed" in wire.memory:
        answer.refuse("ADMISSION_REJECT", policy_label=SHED)


@exchanges("ORCH-3004", "OC-CORE-1002", at=TASKS)
def one_lane_for_all(request: Request, wire: Wire) -> Exchange:
    """A full batch lane refuses interactive tasks."""
    priority = (request.json or {}).get("priority")
    if priority == "interactive" and wire.memory.get("batch"):
        yield Answer.to(request).refuse("ADMISSION_REJECT")
    if priority == "batch":
        wire.memory["batch"] = True
    yield None
