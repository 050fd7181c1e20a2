"""The ordered frames of one task: what every reader of its stream copies from.

Rules:
1. Frames are only appended; the index of a frame is its SSE `id`.
2. `token` indices run 0, 1, 2 … without a gap: the transcript numbers them itself.
3. Exactly one terminal frame (`end` or `error`); after it nothing is accepted, silently or otherwise.
4. It is bounded in bytes: see `BYTES_MAX`.

Source: ORCH-2002, OC-CTRL-2020 … 2022, ORCH-3026.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

TERMINAL_EVENTS = frozenset({"end", "error"})

# 128k tokens of 4 bytes are 0.5 MB of text; eight times that is no model's answer but a runaway.
BYTES_MAX = 4 * 1024 * 1024

FRAME_BYTES = 130  # a TokenFrame, its string header and its integer, by sys.getsizeof on CPython 3.11


class TokenFrame(NamedTuple):
    """`{t, i}`: a text piece, possibly empty, and its index."""

    t: str
    i: int


class ControlFrame(NamedTuple):
    """Every frame that is not a token: `started`, `metrics`, `result`, `end`, `error`."""

    event: str
    data: Mapping[str, object]


Frame = TokenFrame | ControlFrame


class TranscriptClosedError(Exception):
    """A frame came after the terminal one."""


class TranscriptFullError(Exception):
    """The answer outgrew `BYTES_MAX`. Nothing of the refused batch was appended."""


class Transcript:
    """Append-only frames with a single end."""

    __slots__ = ("_closed", "_frames", "bytes_total", "tokens_total")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._closed = False
        self.tokens_total = 0
        self.bytes_total = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def is_closed(self) -> bool:
        """The terminal frame has been appended."""
        return self._closed

    @property
    def bytes_kept(self) -> int:
        """About what this transcript costs in memory."""
        return self.bytes_total + FRAME_BYTES * len(self._frames)

    def append(self, event: str, data: Mapping[str, object]) -> None:
        """Add one control frame; a terminal one closes the transcript.

        Raises:
            TranscriptClosedError: it was closed already; nothing changed.
        """
        self._require_open()
        self._frames.append(ControlFrame(event, data))
        self._closed = event in TERMINAL_EVENTS

    def append_tokens(self, pieces: Sequence[str]) -> None:
        """Add one read's pieces as `token` frames.

        Raises:
            TranscriptClosedError, TranscriptFullError: nothing changed.
        """
        self._require_open()
        size = sum(map(len, pieces))
        if self.bytes_total + size > BYTES_MAX:
            raise TranscriptFullError
        start = self.tokens_total
        self._frames.extend([TokenFrame(piece, start + offset) for offset, piece in enumerate(pieces)])
        self.tokens_total = start + len(pieces)
        self.bytes_total += size

    def append_result(self, data: Mapping[str, object], *, size: int) -> None:
        """Add the `result` frame of an embedding or a rerank.

        Args:
            size: of the data as JSON, bytes.

        Raises:
            TranscriptClosedError, TranscriptFullError: nothing changed.
        """
        self._require_open()
        if self.bytes_total + size > BYTES_MAX:
            raise TranscriptFullError
        self._frames.append(ControlFrame("result", data))
        self.bytes_total += size

    def since(self, index: int, limit: int) -> Sequence[Frame]:
        """At most `limit` frames from `index` on; empty when there are none yet."""
        return self._frames[index : index + limit]

    def _require_open(self) -> None:
        if self._closed:
            raise TranscriptClosedError
