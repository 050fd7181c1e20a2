"""Cancels: tokens that come too late, answers that are not true, and ends that are two."""

from collections.abc import Iterator
from dataclasses import replace

from harness.saboteur.defect import Exchange, Stream, Wire, answers, exchanges, frames
from harness.saboteur.message import Answer, Frame, Request

CANCEL = "POST /v1/tasks/*/cancel"
STATUS = "GET /v1/tasks/*"
LATE_MS = 200.0  # well behind what the harness allows for bytes that are on their way


def _is_canceled(frame: Frame) -> bool:
    return frame.payload.get("code") == "CANCELED"


@frames("ORCH-3026")
def a_token_after_the_cancel(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A token leaves the server after the cancel was answered."""
    if frame.event == "token":
        stream.memory["next"] = frame.payload["i"] + 1
    if _is_canceled(frame) and "next" in stream.memory:
        late = replace(frame, event="token", data="{}", hold_ms=LATE_MS).having(t="late", i=stream.memory["next"])
        yield late
        frame = replace(frame, id=str(int(frame.id or 0) + 1))
    yield frame


@frames("ORCH-3026", "OC-CTRL-2024")
def a_late_reader_sees_canceled_tokens(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A reader who comes after the cancel is shown tokens."""
    seen = stream.wire.memory.setdefault(stream.request.path, [])
    if frame.event == "token" and len(seen) < 3 and not stream.memory.get("is late"):
        seen.append(frame)
    stream.memory.setdefault("is late", bool(seen) and frame.event != "token")
    if _is_canceled(frame) and stream.memory["is late"]:
        yield from seen
    yield frame


@frames("OC-CTRL-2024", "ORCH-3017")
def a_cancel_looks_like_a_crash(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The stream of a canceled task ends with another code."""
    yield frame.having(code="WORKER_RESET", retriable=True) if _is_canceled(frame) else frame


@frames("OC-CORE-1005")
def a_canceled_task_starts(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that was canceled while it waited is started all the same."""
    stream.memory["has started"] = stream.memory.get("has started", False) or frame.event == "started"
    if _is_canceled(frame) and not stream.memory["has started"]:
        started = replace(frame, event="started", data='{"queue_position":0,"predicted_start_ms":0}')
        yield started
        frame = replace(frame, id=str(int(frame.id or 0) + 1))
    yield frame


@frames("OC-CORE-1016", "OC-CTRL-2012")
def two_readers_see_two_ends(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task has one end for its first reader and another one for the next."""
    if stream.number(stream.request.path) and frame.is_terminal:
        was_end = frame.event == "end"
        data = '{"code":"CANCELED","message":"planted"}' if was_end else '{"tokens_out":0,"decode_ms":1}'
        frame = replace(frame, event="error" if was_end else "end", data=data)
    yield frame


@answers("ORCH-2003", at=CANCEL)
def a_cancel_is_not_found(answer: Answer, request: Request, wire: Wire) -> None:
    """The cancel of a task that is there is answered 404."""
    if answer.status == 204:
        answer.refuse("NOT_FOUND")


@answers("ORCH-2003", at=CANCEL)
def a_second_cancel_is_a_conflict(answer: Answer, request: Request, wire: Wire) -> None:
    """A cancel that is sent again is refused."""
    if wire.count(request.path):
        answer.refuse("CONFLICT")


@answers("ORCH-2003", "OC-CTRL-2033", at=CANCEL)
def anything_can_be_canceled(answer: Answer, request: Request, wire: Wire) -> None:
    """The cancel of a task that nobody knows succeeds."""
    if answer.status == 404:
        answer.become(204)


@exchanges("ORCH-3017", "OC-CTRL-2012", at=CANCEL)
def a_cancel_is_only_answered(request: Request, wire: Wire) -> Exchange:
    """A cancel is answered, and nothing happens."""
    yield Answer.to(request).become(204)


@answers("ORCH-3017", at=STATUS)
def a_canceled_task_runs_on(answer: Answer, request: Request, wire: Wire) -> None:
    """The state of a canceled task says that it runs."""
    if (answer.json or {}).get("state") == "canceled":
        answer.set(state="running")


@answers("OC-CORE-1016", "OC-CTRL-2012", at="**")
def a_cancel_changes_an_end(answer: Answer, request: Request, wire: Wire) -> None:
    """A task that had ended is canceled by a cancel that came too late."""
    if request.line.endswith("/cancel"):
        wire.memory[request.task_id] = True
    elif (answer.json or {}).get("state") == "ended" and request.task_id in wire.memory:
        answer.set(state="canceled")
