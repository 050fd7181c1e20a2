r"""Frames as server-sent events: bytes out, nothing else.

    id: 7\nevent: token\ndata: {"t":"Hel","i":4}\n\n

JSON holds no raw line break, so that every event has one `data` line. Written from the WHATWG HTML standard, section
"Server-sent events"; the harness has a parser of its own.

Source: ORCH-2002, OC-CTRL-2020.
"""

from collections.abc import Sequence

import msgspec

from reference_server.domain.transcript import ControlFrame, Frame

CONTENT_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"

TOKEN = b'id: %d\nevent: token\ndata: {"t":%b,"i":%d}\n\n'

_encode = msgspec.json.Encoder().encode


def encode(first: int, token: int, frames: Sequence[Frame | None]) -> bytes:
    """Frames in a row as one piece of the stream: one read of the engine becomes one write.

    Args:
        first: id of the first frame.
        token: index of the first token.
        frames: None for one that is not shown.
    """
    events = []
    for number, frame in enumerate(frames, first):
        if isinstance(frame, str):
            events.append(TOKEN % (number, _encode(frame), token))
            token += 1
        elif frame is not None:
            events.append(_control(number, frame))
    return b"".join(events)


def _control(number: int, frame: ControlFrame) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, frame.event.encode(), _encode(frame.data))
