"""What a stand-in has to know of one engine's wire format."""

import json
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

JsonAnswer = tuple[int, object]  # status and body; a body of None is an empty one

MODEL = "stand-in"
CTX_MAX = 2048


@dataclass(frozen=True, slots=True)
class Asked:
    """A completion, as any of the engines was asked for it."""

    prompt: str
    seed: int
    max_tokens: int
    is_streamed: bool = True


class WireFormat(Protocol):
    """One engine's paths and frames."""

    stream_paths: tuple[str, ...]
    busy: JsonAnswer
    loading: JsonAnswer
    loading_work: JsonAnswer
    metrics: str
    unsupported: JsonAnswer

    def get(self, path: str, version: str) -> JsonAnswer | None:
        """What a GET answers when all is well; None where the engine has no such path."""

    def post(self, path: str, body: Any) -> JsonAnswer | None:
        """The same for a POST that is no completion."""

    def at_once(self, path: str, body: Any) -> tuple[str, JsonAnswer] | None:
        """The workload that a path is for, and its answer where the model does it; None where the path is for none."""

    def asked(self, body: Any) -> Asked:
        """What a completion's body asks for."""

    def refusal(self, body: Any) -> JsonAnswer | None:
        """The answer to a completion that this engine does not take; None where it does."""

    def token(self, piece: str, count: int, asked: Asked) -> bytes:
        """The frame of a token, the `count`th."""

    def end(self, text: str, count: int, asked: Asked) -> bytes:
        """What follows the last token; empty where nothing does."""

    def error(self) -> bytes:
        """What the engine sends inside a stream when it fails, up to the stream's end."""


@runtime_checkable
class AnswersWhole(Protocol):
    """What a format has besides where `asked` tells requests for an answer in one piece."""

    def whole(self, text: str, count: int, asked: Asked) -> JsonAnswer:
        """That answer."""


def frame(value: object, *, prefix: bytes = b"data: ") -> bytes:
    """One event."""
    return prefix + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def words(text: str) -> int:
    """The stand-ins' tokeniser: a word is a token."""
    return max(1, len(text.split()))
