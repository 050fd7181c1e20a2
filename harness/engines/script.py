"""What a stand-in engine is told to do: its faults, and its text."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

PIECES = (" the", " queue", " waits", " naïve", " €", " 水", " 🦙", ".", "\n", "")


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
        flips: a seed, and the index of the token that this engine alone has another piece for.
        ignores_seed: every seed gives the same text.
        tokens_max: no answer has more, whatever was asked for.
        short_seed: the answer to this seed has one token.
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
    flips: tuple[int, int] | None = None
    ignores_seed: bool = False
    tokens_max: int | None = None
    short_seed: int | None = None
    flood_bytes: int = 0

    def tokens(self, seed: int, asked: int) -> int:
        """How many the answer to this seed has, of those asked for."""
        return min(1 if seed == self.short_seed else asked, asked if self.tokens_max is None else self.tokens_max)

    def pieces(self, prompt: str, seed: int, count: int, *, request: int) -> Iterator[str]:
        """The text: it follows from prompt and seed, but for a token that drifts with the request's number."""
        for index in range(count):
            drift = (request if index == self.drifts_at else 0) + ((seed, index) == self.flips)
            key = f"{prompt}\0{0 if self.ignores_seed else seed}\0{index}".encode()
            yield PIECES[(hashlib.blake2b(key, digest_size=1).digest()[0] + drift) % len(PIECES)]
