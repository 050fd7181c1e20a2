"""The ordered frames of one task: what every reader of its stream copies from.

Rules:
1. Frames are only appended; the index of a frame is its SSE `id`.
2. `token` indices run 0, 1, 2 … without a gap: the transcript numbers them itself.
3. Exactly one terminal frame (`end` or `error`); after it nothing is accepted, silently or otherwise.
4. It is bounded in bytes: see `BYTES_MAX`.

Source: ORCH-2002, OC-CTRL-2020 … 2022, ORCH-3026.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

TERMINAL_EVENTS = frozenset({"end", "error"})

# 128k tokens of 4 bytes are 0.5 MB of text; eight times that is no model's answer but a runaway.
BYTES_MAX = 4 * 1024 * 1024

FRAME_BYTES = 58  # a string's header and its place in the list, by sys.getsizeof on CPython 3.11


class ControlFrame(NamedTuple):
    """Every frame that is not a token: `started`, `metrics`, `result`, `end`, `error`."""

    event: str
    data: Mapping[str, object]


Frame = str | ControlFrame
"""A string is a token's text, possibly empty; its index is `tokens_before` its own. Nothing is made for each token."""


class TranscriptClosedError(Exception):
    """A frame came after the terminal one."""


class TranscriptFullError(Exception):
    """The answer outgrew `BYTES_MAX`. Nothing of the refused batch was appended."""


class Transcript:
    """Append-only frames with a single end.

    Attributes:
        is_closed: the terminal frame has been appended. Read only.
        tokens_total, bytes_total: of what was appended. Read only.
    """

    __slots__ = ("_controls", "_frames", "bytes_total", "is_closed", "tokens_total")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._controls: list[int] = []  # where the frames are that are no tokens
        self.is_closed = False
        self.tokens_total = 0
        self.bytes_total = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def bytes_kept(self) -> int:
        """About what this transcript costs in memory."""
        return self.bytes_total + FRAME_BYTES * len(self._frames)

    def append(self, event: str, data: Mapping[str, object]) -> None:
        """Add one control frame; a terminal one closes the transcript.

        Raises:
            TranscriptClosedError: it was closed already; nothing changed.
        """
        self._append(ControlFrame(event, data))
        self.is_closed = event in TERMINAL_EVENTS

    def append_tokens(self, pieces: Sequence[str]) -> None:
        """Add one read's pieces as `token` frames.

        Raises:
            TranscriptClosedError, TranscriptFullError: nothing changed.
        """
        if self.is_closed:
            raise TranscriptClosedError
        size = self.bytes_total + len("".join(pieces))
        if size > BYTES_MAX:
            raise TranscriptFullError
        self._frames.extend(pieces)
        self.tokens_total += len(pieces)
        self.bytes_total = size

    def append_result(self, data: Mapping[str, object], *, size: int) -> None:
        """Add the `result` frame of an embedding or a rerank.

        Args:
            size: of the data as JSON, bytes.

        Raises:
            TranscriptClosedError, TranscriptFullError: nothing changed.
        """
        if self.bytes_total + size > BYTES_MAX:
            raise TranscriptFullError
        self._append(ControlFrame("result", data))
        self.bytes_total += size

    def since(self, index: int, limit: int, *, hold_end: bool = False) -> list[Frame]:
        """At most `limit` frames from `index` on; empty when there are none yet.

        Args:
            hold_end: leave the terminal frame out.
        """
        end = index + limit
        if hold_end and self.is_closed:
            end = min(end, len(self._frames) - 1)
        return self._frames[index:end]

    def tokens_before(self, index: int) -> int:
        """How many of the frames before `index` are tokens: the index of the next one."""
        return index - bisect_left(self._controls, index)

    def _append(self, frame: ControlFrame) -> None:
        if self.is_closed:
            raise TranscriptClosedError
        self._controls.append(len(self._frames))
        self._frames.append(frame)
