"""Canaries: which tasks a new version is tried on, and the way back."""

import uuid
from collections.abc import Iterator

from harness.saboteur.defect import Exchange, Stream, Wire, answers, exchanges, frames
from harness.saboteur.message import Answer, Frame, Request

TASKS = "POST /v1/tasks"
DRAIN = "POST /v1/pools/next/drain"


@frames("ORCH-3033", "OC-POOL-3018")
def nothing_is_tried(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The canary gets no task: they run in the pool that is asked for."""
    is_tried = frame.event == "started" and frame.payload.get("pool_id") == "next"
    yield frame.having(pool_id="default") if is_tried else frame


@frames("ORCH-3033", "OC-POOL-3018")
def everything_is_tried(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The canary gets every task, whatever its share."""
    is_stable = frame.event == "started" and frame.payload.get("pool_id") == "default"
    yield frame.having(pool_id="next") if is_stable else frame


@exchanges("ORCH-3033", "OC-POOL-3018", at=TASKS)
def labels_are_passed_over(request: Request, wire: Wire) -> Exchange:
    """A task with the label of a canary goes by its session all the same."""
    if "label" in (request.json or {}):
        request.set(label=None)
    yield None


@exchanges("ORCH-3033", "OC-POOL-3018", at=TASKS)
def sessions_change_sides(request: Request, wire: Wire) -> Exchange:
    """Each task draws its side anew, so that a session meets both versions."""
    if isinstance(request.json, dict) and "session_id" in request.json:
        session_id = uuid.UUID(request.json["session_id"])
        request.set(session_id=str(uuid.uuid5(session_id, str(wire.count("tasks")))))
    yield None


@answers("ORCH-3033", "OC-POOL-3018")
def a_drained_canary_keeps_its_share(answer: Answer, request: Request, wire: Wire) -> None:
    """Tasks of a canary's share are refused while it drains."""
    if request.line == DRAIN and answer.status == 202:
        wire.memory["drained"] = True
    elif request.line == TASKS and wire.memory.get("drained"):
        answer.refuse("POOL_UNREADY")


@answers("OC-POOL-3019", at="GET /v1/pools/*/health")
def a_canary_in_secret(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool does not show its canary."""
    if "canary" in (answer.json or {}):
        answer.set(canary=None)


@answers("OC-POOL-3019", at="GET /v1/pools/*/health")
def a_canary_that_is_always_ready(answer: Answer, request: Request, wire: Wire) -> None:
    """The health of a pool says of a drained canary that it takes work."""
    if canary := (answer.json or {}).get("canary"):
        answer.set(canary={**canary, "ready": True})
