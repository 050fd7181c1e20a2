"""Cheats on the wire, in front of an honest server on a real engine.

They are defects as those of `harness/saboteur/defects`, and two of them are taken from there. The others are registered
nowhere: to see through them takes a real engine, which `llama-orch prove` has not.
"""

from collections.abc import Callable, Iterator
from typing import Any

from harness.saboteur.defect import STREAM, Defect, Exchange, Kind, Stream, Wire
from harness.saboteur.defects import DEFECTS
from harness.saboteur.message import Frame, Request


def _cheat(kind: Kind, at: str, plant: Callable[..., Any]) -> Defect:
    says = (plant.__doc__ or "").strip()
    return Defect(plant.__name__.replace("_", "-"), ("OC-TEST-7065",), says, at, kind, plant)


def earlier_answer(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The first answer comes again, to everybody after."""
    texts: dict[int, str] = stream.wire.memory.setdefault("texts", {})
    if frame.event != "token":
        yield frame
    elif stream.number() == 0:
        texts[frame.payload["i"]] = frame.payload["t"]
        yield frame
    else:
        yield frame.having(t=texts.get(frame.payload["i"], ""))


def nonce_left_out(request: Request, wire: Wire) -> Exchange:
    """The real model really decodes, but a prompt that is the same for everybody."""
    request.set(prompt="A haiku about a queue:\n")
    yield None


def more_than_decoded(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """The last token comes twice, and is counted twice."""
    if frame.event == "token":
        stream.memory["last"] = frame
    if frame.event == "end":
        yield stream.memory["last"]
        frame = frame.having(tokens_out=frame.payload["tokens_out"] + 1)
    yield frame


def impossible_speed(frame: Frame, stream: Stream) -> Iterator[Frame]:
    """Everything was decoded in a millisecond, it is said."""
    yield frame.having(decode_ms=1) if "decode_ms" in frame.payload else frame


CANNED_TEXT = DEFECTS["seed-ignored"]
COUNTERS_STAND = DEFECTS["tokens-are-not-counted"]
EARLIER_ANSWER = _cheat("frames", STREAM, earlier_answer)
NONCE_LEFT_OUT = _cheat("exchanges", "POST /v1/tasks", nonce_left_out)
MORE_THAN_DECODED = _cheat("frames", STREAM, more_than_decoded)
IMPOSSIBLE_SPEED = _cheat("frames", STREAM, impossible_speed)
