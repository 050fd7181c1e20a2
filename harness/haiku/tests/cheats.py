"""Cheaters on the wire, in front of an honest server on a real engine."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

from harness.engines.direct import LlamaCppDirect
from harness.haiku.observe import TOKENS
from harness.tests.saboteurs import Event, Fault


def with_text(event: Event, text: str) -> Event:
    """A token frame with another text."""
    return {**event, "data": json.dumps({**json.loads(event["data"]), "t": text})}


class CannedText(Fault):
    """Its own answer to everything, with the indices of a real decode."""

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            yield with_text(event, " frog") if event["event"] == "token" else event


class EarlierAnswer(Fault):
    """The first answer again, to everybody after."""

    def __init__(self) -> None:
        self._first: list[str] = []

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        is_first, count = not self._first, 0
        async for event in events:
            if event["event"] != "token":
                yield event
            elif is_first:
                self._first.append(json.loads(event["data"])["t"])
                yield event
            else:
                yield with_text(event, self._first[count] if count < len(self._first) else "")
                count += 1


class LeavesTheNonceOut(Fault):
    """A real decode of the real model, of a prompt that it has always ready."""

    def __init__(self, engine_url: str) -> None:
        self._engine = LlamaCppDirect(engine_url)

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        own = await asyncio.to_thread(self._engine.decode, "A haiku about a queue:\n", seed=7, max_tokens=TOKENS, top=1)
        pieces = iter(own.pieces)
        async for event in events:
            yield with_text(event, next(pieces, "")) if event["event"] == "token" else event


class ImpossibleSpeed(Fault):
    """Says that it has decoded everything in a millisecond."""

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            yield {**event, "data": re.sub(r'"decode_ms":\d+', '"decode_ms":1', event["data"])}


class CountersStand(Fault):
    """Its metrics are those of a server that has done nothing."""

    def body(self, path: str, body: bytes) -> bytes:
        return re.sub(rb"(?m)^(tokens_\w+_total\{[^}]*\}) \S+$", rb"\1 0.0", body) if path == "/metrics" else body
