"""What a haiku run has seen, for the pure checks of `proof`."""

from dataclasses import dataclass
from typing import Any

from harness.engines.direct import Counters, Decoded

MINUTES_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty")


@dataclass(frozen=True, slots=True)
class Asked:
    """One task: a prompt that nobody has sent before, and a seed."""

    nonce: str
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it over OrchQueue v1.

    Attributes:
        started: the first frame's data.
        observed_ms: from the submission to the terminal frame, by our clock.
        decode_ms: as the server says.
        trouble: why there is no whole answer; empty when there is.
    """

    text: str = ""
    frames: int = 0
    tokens_in: int | None = None
    tokens_out: int = 0
    observed_ms: float = 0.0
    decode_ms: float = 0.0
    started: dict[str, Any]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Reread:
    """One token of the engine's own answer: its log-probability when it was decoded, and when it was read again."""

    decoded: float
    read: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One run.

    Attributes:
        own: the engine's own answers, in the order of `asked`.
        own_ms: how long each took by our clock.
        engine_moved, server_moved: how far the counters moved while the tasks ran; of all engines together.
        tasks_started: the same for the server's count of tasks.
        trouble: what an engine did not tell; empty when it told all.
    """

    asked: tuple[Asked, ...]
    answers: tuple[Answer, ...]
    capabilities: Any
    engine_version: str
    own: tuple[Decoded, ...] = ()
    own_ms: tuple[float, ...] = ()
    reread: tuple[Reread, ...] = ()
    engine_moved: Counters | None = None
    server_moved: Counters | None = None
    tasks_started: int = 0
    trouble: str = ""


def in_words(minute: int) -> str:
    """A minute, 0 … 59, as people say it. # 21 -> twenty-one"""
    if minute < len(MINUTES_SMALL):
        return MINUTES_SMALL[minute]
    tens, ones = divmod(minute, 10)
    return TENS[tens] + (f"-{MINUTES_SMALL[ones]}" if ones else "")
