"""What happened on the wire, written down as it happens and judged afterwards.

A `History` is all that checks get to see: exchanges (one request, one answer) and streams (frames as they came), with
monotonic milliseconds of this process.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

TERMINAL_EVENTS = frozenset({"end", "error"})

SHOWN_BYTES = 400  # of a body in a report: enough for every error envelope

TOLD_MAX = 20  # exchanges, streams, and frames of each: the end of a scenario is where it failed
TOLD_FIRST = 10  # frames of a stream beside its last: where what starts wrong is seen

Headers = tuple[tuple[str, str], ...]

Origin = Literal["harness", "hostile"]
"""Who answers for a request: the harness (then it must be valid), or a scenario that sends it wrong on purpose."""


def now_ms() -> float:
    """Monotonic milliseconds."""
    return time.monotonic_ns() / 1e6


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    Attributes:
        path: as sent, query included.
        request_headers, headers: names in lower case, in order, repeated ones repeated.
        status: 0 when the connection ended without an answer.
        body: of the answer; empty for an event stream, whose frames are in its `Stream`.
    """

    method: str
    path: str
    request_headers: Headers
    request_body: bytes
    status: int
    headers: Headers
    body: bytes
    sent_ms: float
    answered_ms: float
    origin: Origin = "harness"

    def header(self, name: str) -> str | None:
        """The answer's header, repeated ones joined; None when absent."""
        return header_of(self.headers, name)

    def request_header(self, name: str) -> str | None:
        """The request's header, repeated ones joined; None when absent."""
        return header_of(self.request_headers, name)

    @cached_property
    def json(self) -> Any:
        """The answer's body as JSON; None when it is not."""
        return parsed(self.body)

    @property
    def is_event_stream(self) -> bool:
        """The answer is a stream of events."""
        return (self.header("content-type") or "").split(";")[0].strip().lower() == "text/event-stream"

    def __str__(self) -> str:
        sent = f"{self.method} {self.path}"
        if self.request_body:
            sent += f"\n  > {shown(self.request_body)}"
        answered = f"  < {self.status}" if self.status else "  < no answer"
        told = ("retry-after", "x-backoff-ms", "x-correlation-id", "allow", "www-authenticate")
        answered += "".join(f"\n  < {name}: {value}" for name, value in self.headers if name in told)
        if self.body:
            answered += f"\n  < {shown(self.body)}"
        return f"{sent}\n{answered}"


def header_of(headers: Headers, name: str) -> str | None:
    """A header of a list, repeated ones joined as RFC 9110 allows."""
    values = [value for key, value in headers if key == name.lower()]
    return ", ".join(values) if values else None


def parsed(body: bytes | str) -> Any:
    """JSON, or None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def shown(body: bytes) -> str:
    """A body as a report shows it: text, and not too much of it."""
    text = body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return text if len(body) <= SHOWN_BYTES else f"{text}… ({len(body)} bytes)"


@dataclass(frozen=True)
class Frame:
    """One event of a stream, as it came.

    Attributes:
        data: the raw text of its data.
        at_ms: when it was read.
    """

    event: str
    data: str
    id: str | None
    at_ms: float

    @cached_property
    def payload(self) -> Any:
        """The data as JSON; None when it is not."""
        return parsed(self.data)

    @property
    def is_terminal(self) -> bool:
        """It closes its stream."""
        return self.event in TERMINAL_EVENTS


StreamEnd = Literal["complete", "cut", "left"]
"""`complete`: the server ended the answer properly; `cut`: it broke off; `left`: we went away."""


@dataclass
class Stream:
    """One reader's view of a task, being recorded.

    Attributes:
        after: the `Last-Event-ID` that was sent, or None.
        opening: the request and the head of its answer; None until that came.
        keep_alives: when comment lines were read.
        frames_at_cancel: how many frames had left the server when the task's cancel was answered; None = not canceled.
        end: None while it goes on.
        why: what broke it, when it was cut.
        ended_ms: when that was seen.
    """

    task_id: str
    after: str | None = None
    opening: Exchange | None = None
    frames: list[Frame] = field(default_factory=list)
    keep_alives: list[float] = field(default_factory=list)
    frames_at_cancel: int | None = None
    end: StreamEnd | None = None
    why: str = ""
    ended_ms: float | None = None

    @property
    def terminal(self) -> Frame | None:
        """The first terminal frame, once it is here."""
        return next((frame for frame in self.frames if frame.is_terminal), None)

    @property
    def tokens(self) -> list[Frame]:
        """The token frames so far."""
        return self.of("token")

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(str(frame.payload["t"]) for frame in self.tokens)

    def of(self, event: str) -> list[Frame]:
        """The frames of one type so far."""
        return [frame for frame in self.frames if frame.event == event]

    def told(self) -> str:
        """Its request, the head of its answer, and its first and last frames, as a report shows them."""
        frames = [f"  {frame.id} {frame.event}: {frame.data[:SHOWN_BYTES]}" for frame in self.frames]
        if (left_out := len(frames) - TOLD_FIRST - TOLD_MAX) > 0:
            frames[TOLD_FIRST:-TOLD_MAX] = [f"  … {left_out} frames …"]
        return "\n".join([str(self), *([str(self.opening)] if self.opening is not None else []), *frames])

    def __str__(self) -> str:
        runs = [(event, len(list(run))) for event, run in groupby(frame.event for frame in self.frames)]
        listed = " ".join(event if count == 1 else f"{count}*{event}" for event, count in runs)
        state = f"{self.end or 'open'}: {self.why}" if self.why else self.end or "open"
        return f"stream of {self.task_id}: {listed or 'nothing'} [{state}]"


@dataclass
class History:
    """Everything that one scenario did, in order.

    Attributes:
        faults: those that it is about, each with the question whether it has happened, to what injects it.
        premises: what it builds on and what may end by itself, each with the question whether it still holds.
        figures: what was measured, by name; a name ends with its unit.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    faults: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    premises: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return len(self.exchanges) + len(self.streams)

    def expect_fault(self, name: str, has_happened: Callable[[], bool]) -> None:
        """It is about this fault: what it finds counts only if `has_happened`, which is asked at the end."""
        self.faults.append((name, has_happened))

    def missed_faults(self) -> list[str]:
        """Those that have not happened."""
        return [name for name, has_happened in self.faults if not has_happened()]

    def build_on(self, what: str, holds: Callable[[], bool]) -> None:
        """A failure counts only if this `holds`, which is asked as soon as a step has failed."""
        self.premises.append((what, holds))

    def lost_premises(self) -> list[str]:
        """Those that do not hold any more."""
        return [what for what, holds in self.premises if not holds()]

    def told(self) -> list[str]:
        """The last exchanges and the last streams, as a report shows them."""
        streams = [stream.told() for stream in self.streams[-TOLD_MAX:]]
        return [*(str(exchange) for exchange in self.exchanges[-TOLD_MAX:]), *streams]

    def answers(self) -> Iterator[Exchange]:
        """Every exchange that was answered, openings of streams included."""
        yield from (exchange for exchange in self.exchanges if exchange.status)
        yield from (stream.opening for stream in self.streams if stream.opening is not None)
