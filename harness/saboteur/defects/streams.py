"""Streams: frames that are missing, doubled, swapped, late or wrong."""

import time
from collections.abc import Iterator
from dataclasses import replace

from harness.saboteur.defect import Stream, frames
from harness.saboteur.message import Frame

BURST_FRAMES, BURST_MS = 4, 150.0  # longer than a busy machine is late between tokens
ROOM_S = 1.0  # shorter than a task waits for an engine that has no room at first


@frames("OC-CTRL-2022")
def no_terminal_frame(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A stream ends without an `end` or `error` frame."""
    if not frame.is_terminal:
        yield frame


@frames("OC-CTRL-2022")
def two_terminal_frames(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The terminal frame comes twice."""
    yield frame
    if frame.is_terminal:
        yield replace(frame, id=str(int(frame.id or 0) + 1))


@frames("OC-CTRL-2022")
def gap_in_the_index(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The index of tokens leaves out a number."""
    late = frame.event == "token" and frame.payload["i"] >= 3
    yield frame.having(i=frame.payload["i"] + 1) if late else frame


@frames("OC-CTRL-2022")
def index_twice(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Two tokens have the same index."""
    yield frame.having(i=2) if frame.event == "token" and frame.payload["i"] == 3 else frame


@frames("OC-CTRL-2022")
def tokens_swapped(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Two tokens come in the wrong order."""
    if frame.event == "token" and frame.payload["i"] == 2:
        stream.memory["held"] = frame
        return
    yield frame
    if (held := stream.memory.pop("held", None)) is not None:
        yield held


@frames("OC-CTRL-2022")
def started_after_a_token(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` comes after the first token."""
    if frame.event == "started":
        stream.memory["held"] = frame
        return
    yield frame
    if frame.event == "token" and (held := stream.memory.pop("held", None)) is not None:
        yield held


@frames("OC-CTRL-2021")
def token_without_index(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A token has no `i`."""
    yield frame.having(i=None) if frame.event == "token" else frame


@frames("OC-CTRL-2021")
def started_without_place(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` has no `queue_position`."""
    yield frame.having(queue_position=None) if frame.event == "started" else frame


@frames("OC-CTRL-2021", "OC-ADAPT-5018")
def end_counts_wrong(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`end` counts more tokens than came."""
    yield frame.having(tokens_out=frame.payload["tokens_out"] + 5) if frame.event == "end" else frame


@frames("OC-CTRL-2020")
def event_of_its_own(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A stream has an event that the contract does not know."""
    yield replace(frame, event="progress") if frame.event == "metrics" else frame


@frames("OC-CTRL-2020")
def data_that_is_no_object(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The data of a token is its text, not a JSON object."""
    yield replace(frame, data=frame.payload["t"] or "-") if frame.event == "token" else frame


@frames("OC-CTRL-2025")
def ids_from_one(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Frames are counted from 1."""
    yield frame if frame.id is None else replace(frame, id=str(int(frame.id) + 1))


@frames("OC-CTRL-2025", "ORCH-2011")
def no_ids(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Frames have no id, so that no reader can go on after one."""
    yield replace(frame, id=None)


@frames("OC-CTRL-2025")
def ids_with_gaps(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The ids of frames leave out numbers."""
    yield frame if frame.id is None else replace(frame, id=str(int(frame.id) * 2))


@frames("OC-CTRL-2026")
def no_metrics_at_the_start(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """No `metrics` frame follows `started`."""
    if frame.event != "metrics" or stream.memory.setdefault("seen", frame) != frame:
        yield frame


@frames("OC-METRICS-7110", "OC-CTRL-2023")
def metrics_without_planning(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`metrics` frames do not say how likely the deadline is met."""
    yield frame.having(on_time_probability=None) if frame.event == "metrics" else frame


@frames("OC-CTRL-2023", "OC-METRICS-7110")
def more_than_certain(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`on_time_probability` is above 1."""
    yield frame.having(on_time_probability=1.5) if frame.event == "metrics" else frame


@frames("ORCH-3029")
def another_forecast_in_started(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` tells another place than the admission did."""
    yield frame.having(queue_position=frame.payload["queue_position"] + 1) if frame.event == "started" else frame


@frames("ORCH-3032", "OC-CORE-1031")
def started_names_no_version(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` does not say which engine decodes."""
    yield frame.having(engine_version=None, replica_id=None) if frame.event == "started" else frame


@frames("OC-CORE-1031", "ORCH-3058")
def started_names_another_version(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` names another engine version than capabilities."""
    yield frame.having(engine_version="real-1") if frame.event == "started" else frame


@frames("OC-CORE-1033")
def seed_echoed_wrong(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """`started` shows another seed than the one that decodes."""
    yield frame.having(seed=frame.payload["seed"] + 1) if frame.event == "started" else frame


@frames("ORCH-3045", "OC-CORE-1030")
def text_of_its_own(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Equal inputs give another text each time."""
    yield frame.having(t=f"{stream.number()}{frame.payload['t']}") if frame.event == "token" else frame


@frames("ORCH-3045")
def seed_ignored(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Every seed gives the same text."""
    yield frame.having(t=f"w{frame.payload['i']}") if frame.event == "token" else frame


@frames("ORCH-3045", "OC-CORE-1030")
def one_token_flipped(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """One token of every second stream is another one."""
    flips = frame.event == "token" and frame.payload["i"] == 5 and stream.number() % 2
    yield frame.having(t=frame.payload["t"] + "?") if flips else frame


@frames("ORCH-2002")
def tokens_all_at_the_end(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Tokens are kept back until their task has ended."""
    held = stream.memory.setdefault("held", [])
    if frame.event == "token":
        held.append(frame)
        return
    if frame.is_terminal:
        yield from held
    yield frame


@frames("OC-CTRL-2028")
def no_keep_alives(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A waiting reader hears nothing."""
    if frame.comment is None:
        yield frame


@frames("ORCH-2010", "OC-CORE-1017", "OC-CTRL-2002", "OC-CTRL-2003", "OC-CTRL-2071")
def work_is_cut_short(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that may go on to its end is broken off."""
    error = {"code": "WORKER_RESET", "message": "planted", "retriable": True}
    yield frame if frame.event != "end" else replace(frame, event="error", data="{}").having(**error)


@frames("OC-ADAPT-5013", "ORCH-3058")
def a_crash_is_an_end(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task whose engine died ends as if it were done."""
    is_crash = frame.payload.get("code") == "WORKER_RESET"
    yield replace(frame, event="end", data='{"tokens_out":5,"decode_ms":1}') if is_crash else frame


def _until(frame: Frame, stream: Stream, *, fails: bool) -> Iterator[Frame]:
    """The stream as it is up to the frame that fails; that one is an error, and none comes after it."""
    is_over = stream.memory.get("over", False)
    stream.memory["over"] = is_over or fails
    if not stream.memory["over"]:
        yield frame
    elif not is_over:
        error = {"code": "REPLICA_EXHAUSTED", "message": "planted", "retriable": True}
        yield replace(frame, event="error", data="{}").having(**error)


@frames("OC-CORE-1018")
def one_failed_replica_is_the_end(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task is not tried on another replica than the first."""
    return _until(frame, stream, fails="kv_migrated" in frame.payload)


@frames("OC-CORE-1048")
def no_room_is_the_end(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task whose engine has no room at first is failed, and not sent to it again."""
    waited_s = time.monotonic() - stream.memory.setdefault("start_s", time.monotonic())
    return _until(frame, stream, fails=frame.event == "token" and waited_s > ROOM_S)


@frames("OC-CORE-1018", "OC-CORE-1048", "ORCH-2006")
def all_have_failed_is_a_crash(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that every replica failed tells another code."""
    yield frame.having(code="WORKER_RESET") if frame.payload.get("code") == "REPLICA_EXHAUSTED" else frame


@frames("OC-CORE-1019", "ORCH-3023")
def who_took_a_task_over_is_not_told(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The frames of a task that went on to another replica do not name it."""
    yield frame.having(replica_id=None, kv_migrated=None) if "kv_migrated" in frame.payload else frame


@frames("ORCH-3016", "OC-CORE-1022")
def a_standstill_is_a_crash(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task that the watchdog ends tells another code."""
    yield frame.having(code="WORKER_RESET") if frame.payload.get("code") == "DECODE_TIMEOUT" else frame


@frames("OC-CTRL-2032", "ORCH-3016")
def a_failure_is_for_ever(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The error of a task that failed is not said to be retriable."""
    failed = frame.payload.get("code") in ("WORKER_RESET", "DECODE_TIMEOUT")
    yield frame.having(retriable=False) if failed else frame


@frames("OC-CTRL-2002", "OC-CTRL-2071")
def a_drain_is_for_ever(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """What a drain ends is told not to come again."""
    yield frame.having(retriable=False) if frame.payload.get("code") == "POOL_UNREADY" else frame


@frames("OC-CORE-1028")
def a_deadline_passes_in_silence(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task whose deadline has passed is not told that this is why it ended."""
    yield frame.having(code="POOL_UNREADY") if frame.payload.get("code") == "DEADLINE_UNMET" else frame


@frames("OC-CORE-1028")
def a_task_starts_behind_its_deadline(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """A task whose deadline has passed is started before it ends."""
    if frame.payload.get("code") == "DEADLINE_UNMET":
        yield replace(frame, event="started", data='{"queue_position":0,"predicted_start_ms":0}')
        frame = replace(frame, id=str(int(frame.id or 0) + 1))
    yield frame


@frames("OC-CTRL-2083")
def tokens_come_in_bursts(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Tokens are gathered, as by a server that waits for delayed acknowledgements."""
    passed = stream.memory["passed"] = stream.memory.get("passed", 0) + 1
    is_held = frame.event == "token" and passed % BURST_FRAMES == 0
    yield replace(frame, hold_ms=BURST_MS) if is_held else frame
