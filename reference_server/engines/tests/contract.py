"""What every adapter is asked in the same way: its events against a scripted stand-in, and faults common to all."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from reference_server.engines.base import (
    Completion,
    Engine,
    EngineBusyError,
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    Tokens,
)
from reference_server.engines.tests.scripted_server import STREAM_HEAD, STREAM_TAIL, chunk, json_answer

REQUEST = Completion(task_id="t", prompt="hi", max_tokens=4, seed=2**64 - 1)

Fault = tuple[Sequence[bytes], type[EngineError]]

# Of the stream's first frame, which each engine words in its own way, and of answers that are no stream at all.
NO_STREAM: Mapping[str, Fault] = {
    "not-json": ([STREAM_HEAD + chunk(b"data: {oops\n\n") + STREAM_TAIL], EngineFaultError),
    "not-an-object": ([STREAM_HEAD + chunk(b"data: [1]\n\n") + STREAM_TAIL], EngineFaultError),
    "another-object": ([STREAM_HEAD + chunk(b'data: {"x":1}\n\n') + STREAM_TAIL], EngineFaultError),
    "flood": ([STREAM_HEAD + chunk(b"data: " + b"x" * 1_100_000)], EngineFaultError),
    "empty-stream": ([STREAM_HEAD + STREAM_TAIL], EngineLostError),
    "wrong-content-type": ([json_answer(b'{"text":"hi"}')], EngineFaultError),
    "not-http": ([b"SSH-2.0-OpenSSH\r\n\r\n"], EngineLostError),
    "closed-without-an-answer": ([b""], EngineLostError),
    "loading": ([json_answer(b"{}", "503 Service Unavailable")], EngineBusyError),
    "too-many": ([json_answer(b"slow down", "429 Too Many Requests")], EngineBusyError),
    "internal-error": ([json_answer(b"oops", "500 x")], EngineFaultError),
    # T19: LocalAI GHSA-3mj3, where the credentials went along
    "redirect": (
        [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"],
        EngineFaultError,
    ),
}


def cuts(token: bytes) -> Mapping[str, Fault]:
    """A stream whose connection closes after its first token, or inside it."""
    return {
        "cut-after-a-token": ([STREAM_HEAD + chunk(token)], EngineLostError),
        "cut-inside-a-frame": ([STREAM_HEAD + chunk(token[:20])], EngineLostError),
        "ended-inside-a-frame": ([STREAM_HEAD + chunk(token[:20]) + STREAM_TAIL], EngineLostError),
    }


async def events_of(engine: Engine, request: Completion = REQUEST) -> list[EngineEvent]:
    """A whole completion; the adapter is closed."""
    try:
        async with aclosing(engine.complete(request)) as events:
            return [event async for event in events]
    finally:
        await engine.close()


def pieces_of(events: Sequence[EngineEvent]) -> tuple[str, ...]:
    """All pieces, in order."""
    return tuple(piece for event in events if isinstance(event, Tokens) for piece in event.pieces)
