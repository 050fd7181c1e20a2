"""Rules of one stream: its order, its numbers, its end. Pure: a recorded stream in, violations out.

A stream that the reader left, or that still goes on, is held only to what it has shown so far.

Source: wire.md's frames as ORCH-2002, OC-CTRL-2020 … 2025 state them.
"""

from collections.abc import Iterator

from harness.checks.violation import Violation
from harness.history import Stream


def one_terminal(stream: Stream) -> Iterator[Violation]:
    """Exactly one of `end` and `error`, and it is the last frame."""
    ends = [at for at, frame in enumerate(stream.frames) if frame.is_terminal]
    expected = "one end or error frame, as the last of the stream"
    last = len(stream.frames) - 1
    if stream.end == "complete" and stream.frames and ends != [last]:
        actual = f"terminal frames at {ends} of {len(stream.frames)} frames"
        yield Violation("OC-CTRL-2022", expected, actual, str(stream))
    elif ends and ends != [last]:
        yield Violation("OC-CTRL-2022", expected, f"frames after the terminal one at {ends[0]}", str(stream))


def ends_properly(stream: Stream) -> Iterator[Violation]:
    """The server ends the answer itself, after a terminal frame; it does not break it off."""
    if stream.end == "cut":
        yield Violation(
            "OC-CTRL-2022", "a stream that the server ends after its terminal frame", stream.why, str(stream)
        )


def started_first(stream: Stream) -> Iterator[Violation]:
    """`started` comes once and before everything but an `error` that ends a task that never started."""
    at = [number for number, frame in enumerate(stream.frames) if frame.event == "started"]
    if stream.after is not None and not at:
        return  # a reader that goes on after a frame has seen it before
    events = [frame.event for frame in stream.frames]
    never_started = set(events) <= {"metrics", "error"}
    if stream.frames and at != [0] and not (never_started and not at):
        actual = f"started at {at}; the first frames are {events[:3]}"
        yield Violation("OC-CTRL-2022", "one started frame, as the first of the stream", actual, str(stream))


def token_indices_without_gap(stream: Stream) -> Iterator[Violation]:
    """Tokens are numbered 0, 1, 2 … for a reader from the start, and without a gap for every reader."""
    indices = [frame.payload.get("i") if isinstance(frame.payload, dict) else None for frame in stream.tokens]
    if not indices:
        return
    first = indices[0] if stream.after is not None and isinstance(indices[0], int) else 0
    for position, index in enumerate(indices):
        if index != first + position:
            yield Violation(
                "OC-CTRL-2022",
                f"token index {first + position} in place {position}",
                f"index {index!r} after {indices[max(0, position - 3) : position]}",
                str(stream),
            )
            return


def ids_are_places(stream: Stream) -> Iterator[Violation]:
    """Every frame has its place in the transcript as its id.

    What a cancel hides leaves its places out, and a reader that left does not know whether there was one.
    """
    expected = int(stream.after) + 1 if stream.after is not None and stream.after.isdigit() else 0
    last = stream.frames[-1] if stream.frames else None
    is_canceled = last is not None and isinstance(last.payload, dict) and last.payload.get("code") == "CANCELED"
    may_hide = stream.frames_at_cancel is not None or stream.end != "complete" or is_canceled
    for position, frame in enumerate(stream.frames):
        at = int(frame.id) if frame.id is not None and frame.id.isascii() and frame.id.isdigit() else -1
        hides = may_hide and position > 0
        if at < expected or (at > expected and not hides):
            wanted = f"id {expected}{' or above' if hides else ''} on frame {position}"
            yield Violation("OC-CTRL-2025", wanted, f"id {frame.id!r} on {frame.event}", str(stream))
            return
        expected = at + 1


def no_token_after_cancel(stream: Stream) -> Iterator[Violation]:
    """No `token` leaves the server after the cancel was answered."""
    if stream.frames_at_cancel is None:
        return
    late = [frame for frame in stream.frames[stream.frames_at_cancel :] if frame.event == "token"]
    if late:
        yield Violation("ORCH-3026", "no token after the cancel was answered", f"{len(late)} tokens came", str(stream))


def sums_agree(stream: Stream) -> Iterator[Violation]:
    """`end` counts the tokens that were sent; an engine may count its end-of-text token, which has no text."""
    ends = stream.of("end")
    if stream.end != "complete" or stream.after is not None or not ends or stream.of("result"):
        return
    counted, sent = (ends[0].payload or {}).get("tokens_out"), len(stream.tokens)
    if counted not in (sent, sent + 1):
        yield Violation(
            "OC-CTRL-2021", f"tokens_out {sent}, as many as were sent", f"tokens_out {counted}", str(stream)
        )


def one_result_and_no_token(stream: Stream) -> Iterator[Violation]:
    """A stream with a `result` has one, and neither a token nor a counted one."""
    results = stream.of("result")
    if not results:
        return
    counted = [(frame.payload or {}).get("tokens_out") for frame in stream.of("end")]
    if len(results) > 1 or stream.tokens or any(counted):
        actual = f"{len(results)} results, {len(stream.tokens)} tokens, tokens_out {counted}"
        yield Violation("OC-CTRL-2080", "one result, no token and tokens_out 0", actual, str(stream))


CHECKS = (
    one_result_and_no_token,
    one_terminal,
    ends_properly,
    started_first,
    token_indices_without_gap,
    ids_are_places,
    no_token_after_cancel,
    sums_agree,
)
"""All that hold for every stream."""
