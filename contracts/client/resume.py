"""When a cut stream is taken up again, and with what: the rules, without any network or clock.

- Only a broken connection, a stream that ends before its terminal frame, and a refusal that says it is retriable are
  tried again (ORCH-3025); every other refusal is raised.
- After a frame the count starts anew: `ATTEMPTS` without a single frame in between end it.
- The first attempt comes at once: most cuts are a proxy's or a network's moment. Then the waits double, up to
  `WAIT_MAX_S`; a server that names a wait is obeyed.
- Frames up to the last one that was seen are not given out again, whatever the server sends.
"""

from dataclasses import dataclass
from typing import cast

import msgspec

from contracts.client.failures import ApiError, StreamCutError, UnexpectedAnswerError
from contracts.client.frames import FRAMES, TERMINAL, EventName, Frame

ATTEMPTS = 6
WAIT_FIRST_S = 0.25
WAIT_MAX_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One frame of a task's stream.

    Attributes:
        id: its index in the transcript; what `last_event_id` takes.
        frame: by its type, for `match`.
    """

    id: int
    event: EventName
    frame: Frame


class Resume:
    """What one reader has seen, and how often it was cut.

    Attributes:
        last_event_id: of the last frame that was seen; None before the first.
        is_done: the terminal frame was seen.
    """

    def __init__(self, last_event_id: int | None) -> None:
        self.last_event_id = last_event_id
        self.is_done = False
        self._attempts = 0

    def take(self, event: str, data: str, identifier: str) -> StreamEvent | None:
        """One event off the wire; None for what is no news.

        Raises:
            UnexpectedAnswerError: the frame is not what the contract says.
        """
        kind = FRAMES.get(event)
        if kind is None or not data:
            return None
        try:
            frame = msgspec.json.decode(data, type=kind)
            index = msgspec.json.decode(identifier, type=int)  # `int()` would take "1_0"
        except (msgspec.DecodeError, ValueError) as error:
            raise UnexpectedAnswerError("streamTask", 200, f"frame {identifier} ({event}): {error}") from None
        if self.last_event_id is not None and index <= self.last_event_id:
            return None
        self._attempts = 0
        self.last_event_id = index
        self.is_done = event in TERMINAL
        return StreamEvent(id=index, event=cast("EventName", event), frame=frame)

    def after_cut(self, cause: Exception | str) -> float:
        """How many seconds to wait before the next attempt.

        Args:
            cause: the refusal, the transport's error, or why the stream ended.

        Raises:
            ApiError: the refusal, where it is not retriable or was met too often.
            StreamCutError: too many attempts without a frame.
        """
        refusal = cause if isinstance(cause, ApiError) else None
        if refusal is not None and (not refusal.retriable or self._attempts >= ATTEMPTS):
            raise refusal
        if self._attempts >= ATTEMPTS:
            why = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
            raise StreamCutError(self.last_event_id, why)
        self._attempts += 1
        if refusal is not None and refusal.retry_after_ms is not None:
            return refusal.retry_after_ms / 1000
        return 0.0 if self._attempts == 1 else min(WAIT_FIRST_S * 2 ** (self._attempts - 2), WAIT_MAX_S)
