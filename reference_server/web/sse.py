r"""Frames as server-sent events: bytes out, nothing else.

    id: 7\nevent: token\ndata: {"t":"Hel","i":4}\n\n

JSON holds no raw line break, so that every event has one `data` line. Written from the WHATWG HTML standard, section
"Server-sent events"; the harness has a parser of its own.

Source: ORCH-2002, OC-CTRL-2020.
"""

from collections.abc import Iterable

import msgspec

from reference_server.domain.transcript import Frame, TokenFrame

CONTENT_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"

_json = msgspec.json.Encoder()


def encode(frames: Iterable[tuple[int, Frame]]) -> bytes:
    """Frames with their ids, as one piece of the stream: one read of the engine becomes one write."""
    return b"".join([_event(number, frame) for number, frame in frames])


def _event(number: int, frame: Frame) -> bytes:
    if isinstance(frame, TokenFrame):
        return b'id: %d\nevent: token\ndata: {"t":%b,"i":%d}\n\n' % (number, _json.encode(frame.t), frame.i)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, frame.event.encode(), _json.encode(frame.data))
