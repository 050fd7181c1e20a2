"""The load client: opens streams, counts their tokens, and notes when the first of each came.

    python -m tools.bench.load --api orchqueue --url http://127.0.0.1:8080 --streams 32 --tokens 400

It prints one JSON line: `tokens`, `wall_s`, `first_token_s` (of each stream, from the first byte sent).
"""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from typing import Literal
from urllib.parse import urlsplit

Api = Literal["orchqueue", "openai"]
MARK = {"orchqueue": b"event: token", "openai": b'"text":'}
TERMINAL = {"orchqueue": (b"event: end\n", b"event: error\n"), "openai": (b"data: [DONE]",)}
LIMIT_S = 120.0


def request(method: str, path: str, body: object = None, *, token: str | None = None) -> bytes:
    """One HTTP/1.1 request."""
    raw = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n" if body is not None else ""
    return head.encode() + b"\r\n" + raw


def task(tokens: int, **changes: object) -> dict[str, object]:
    """A task for the benchmark's pool."""
    body: dict[str, object] = {
        "task_id": str(uuid.uuid4()),
        "session_id": str(uuid.uuid4()),
        "workload": "completion",
        "model_ref": "default",
        "engine": "vllm",
        "ctx": tokens + 1_000,
        "priority": "interactive",
        "max_tokens": tokens,
        "deadline_ms": 1_000_000_000,
        "prompt": "Count to nine:",
    }
    return body | changes


class Counter(asyncio.Protocol):
    """Counts the tokens of one stream."""

    def __init__(self, api: Api) -> None:
        self.tokens = 0
        self.first_at: float | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mark, self._terminal, self._tail = MARK[api], TERMINAL[api], b""

    def data_received(self, data: bytes) -> None:
        """Count marks, also those that two reads share."""
        seen = self._tail + data
        found = seen.count(self._mark)
        if found and self.first_at is None:
            self.first_at = time.monotonic()
        self.tokens += found
        if any(end in seen for end in self._terminal) and not self.ended.done():
            self.ended.set_result(None)
        keep = len(self._mark) - 1
        tail = seen[-keep:]
        self._tail = tail

    def connection_lost(self, exc: Exception | None) -> None:
        """What ends without its end has failed."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the stream was cut"))


async def post(host: str, port: int, raw: bytes) -> bytes:
    """Send one request on a connection of its own; the answer's head and what came with it."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


async def stream(api: Api, host: str, port: int, tokens: int, token: str | None) -> tuple[int, float]:
    """One stream to its end: its tokens, and seconds to the first."""
    began = time.monotonic()
    if api == "orchqueue":
        body = task(tokens)
        answer = await post(host, port, request("POST", "/v1/tasks", body, token=token))
        if not answer.startswith(b"HTTP/1.1 202"):
            raise ConnectionError(answer.decode())
        raw = request("GET", f"/v1/tasks/{body['task_id']}/stream", token=token)
    else:
        wanted = {"model": "bench", "prompt": "Count to nine:", "max_tokens": tokens, "stream": True}
        raw = request("POST", "/v1/completions", {**wanted, "stream_options": {"include_usage": True}})
    transport, counter = await asyncio.get_running_loop().create_connection(lambda: Counter(api), host, port)
    transport.write(raw)
    async with asyncio.timeout(LIMIT_S):
        await counter.ended
    transport.close()
    return counter.tokens, (counter.first_at or time.monotonic()) - began


async def run(
    api: Api, url: str, streams: int, tokens: int, *, one_by_one: bool, token: str | None
) -> dict[str, object]:
    """All streams; the figures of the run."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    began = time.monotonic()
    if one_by_one:
        ended = [await stream(api, host, port, tokens, token) for _ in range(streams)]
    else:
        ended = await asyncio.gather(*[stream(api, host, port, tokens, token) for _ in range(streams)])
    return {
        "tokens": sum(count for count, _ in ended),
        "wall_s": time.monotonic() - began,
        "first_token_s": [first for _, first in ended],
    }


def main() -> None:
    """Read the command line."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", choices=("orchqueue", "openai"), required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--one-by-one", action="store_true", help="one stream at a time")
    asked = parser.parse_args()
    token = os.environ.get("LLORCH_API_TOKEN")
    figures = uvloop.run(
        run(asked.api, asked.url, asked.streams, asked.tokens, one_by_one=asked.one_by_one, token=token)
    )
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
