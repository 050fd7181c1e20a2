"""What a stand-in engine is told to do: its faults, and its text."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PIECES = (" the", " queue", " waits", " naïve", " €", " 水", " 🦙", ".", "\n", "")


@dataclass(frozen=True, slots=True)
class Around:
    """What is around a request, and does not matter to an engine that is deterministic.

    Attributes:
        number: of the request, from 1.
        is_warm: the request before had the same prompt.
        is_streamed: its answer is, and does not come in one piece.
        others: how many other requests are at work at the moment.
    """

    number: int = 1
    is_warm: bool = False
    is_streamed: bool = True
    others: Callable[[], int] = lambda: 0


@dataclass(slots=True)
class Script:
    """How a stand-in behaves; may be changed while it runs, for the requests that follow.

    Attributes:
        version: what it calls itself; begins with `mock-`, because no stand-in may be taken for the real one.
        delay_s: before each token.
        stall_at: nothing more comes from this token on, counted from 0.
        cut_at_byte: the connection is closed after so many bytes of the stream.
        error_at: the engine's own error frame instead of this token, and the end of the stream.
        garbage_at: a frame that is not JSON instead of this token.
        content_type: of the stream, instead of the right one.
        is_busy: every completion is refused as too many.
        is_loading: health and completions answer as an engine that still loads.
        is_gone: every question is answered 500, as by something else in the engine's place.
        drifts_at: this token differs from one request to the next.
        shifts: the index of a token, and how many pieces further along the list it is than in an unharmed engine.
        warm_at: this token differs where the request before had the same prompt.
        batch_at: this token differs with the number of requests that are at work.
        streamed_at: this token differs where the answer is streamed.
        flips: a seed, and the index of the token that this engine alone has another piece for.
        ignores_seed: every seed gives the same text.
        short: the answers to these seeds have so many tokens at most, whatever was asked for.
        flood_bytes: a frame of this size that never ends, instead of the first token.
    """

    version: str = "mock-1.0"
    delay_s: float = 0.0
    stall_at: int | None = None
    cut_at_byte: int | None = None
    error_at: int | None = None
    garbage_at: int | None = None
    content_type: str = "text/event-stream"
    is_busy: bool = False
    is_loading: bool = False
    is_gone: bool = False
    drifts_at: int | None = None
    shifts: tuple[int, int] = (0, 0)
    warm_at: int | None = None
    batch_at: int | None = None
    streamed_at: int | None = None
    flips: tuple[int, int] | None = None
    ignores_seed: bool = False
    short: tuple[range, int] = (range(0), 0)
    flood_bytes: int = 0

    def tokens(self, seed: int, asked: int) -> int:
        """How many the answer to this seed has, of those asked for."""
        seeds, tokens = self.short
        return min(asked, tokens) if seed in seeds else asked

    def pieces(self, prompt: str, seed: int, count: int, around: Around) -> Iterator[str]:
        """The text: it follows from prompt and seed, but for a token that something around the request changes."""
        for index in range(count):
            key = f"{prompt}\0{0 if self.ignores_seed else seed}\0{index}".encode()
            place = hashlib.blake2b(key, digest_size=1).digest()[0] + self._off(seed, index, around)
            yield PIECES[place % len(PIECES)]

    def _off(self, seed: int, index: int, around: Around) -> int:
        """How far off this token is."""
        at, by = self.shifts
        return (
            (around.number if index == self.drifts_at else 0)
            + (by if index == at else 0)
            + (around.others() if index == self.batch_at else 0)
            + (index == self.warm_at and around.is_warm)
            + (index == self.streamed_at and around.is_streamed)
            + ((seed, index) == self.flips)
        )
