r"""Frames as server-sent events: bytes out, nothing else.

    id: 7\nevent: token\ndata: {"t":"Hel","i":4}\n\n

JSON holds no raw line break, so that every event has one `data` line. Written from the WHATWG HTML standard, section
"Server-sent events"; the harness has a parser of its own.

Source: ORCH-2002, OC-CTRL-2020.
"""

from collections.abc import Iterable

import msgspec

from reference_server.domain.transcript import ControlFrame, Frame, TokenFrame

CONTENT_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"

TOKEN = b'id: %d\nevent: token\ndata: {"t":%b,"i":%d}\n\n'

_encode = msgspec.json.Encoder().encode


def encode(frames: Iterable[tuple[int, Frame]]) -> bytes:
    """Frames with their ids, as one piece of the stream: one read of the engine becomes one write."""
    return b"".join(
        [
            TOKEN % (number, _encode(frame[0]), frame[1]) if isinstance(frame, TokenFrame) else _control(number, frame)
            for number, frame in frames
        ]
    )


def _control(number: int, frame: ControlFrame) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, frame.event.encode(), _encode(frame.data))
