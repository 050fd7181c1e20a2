"""A paced stand-in of vLLM, cheap enough not to be what is measured: one timer writes to all streams.

    python -m tools.bench.engine --tokens-per-s 100 --burst 1

The first event of a stream comes at once, so that a measured time to the first token is the hop's. It prints its port,
and answers `GET /closed` with the times at which streams were closed by their client before their end.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import Any, cast

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
MODEL = {"id": "bench", "object": "model", "root": "bench", "max_model_len": 1_000_000}


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(number: int, usage: dict[str, int], text: str = " tok", reason: str | None = None) -> bytes:
    """One token, as vLLM 0.32 frames it."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, "token_ids": [number]}
    frame = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "bench", "choices": [choice]}
    return b"data: " + json.dumps({**frame, "usage": usage}, separators=(",", ":")).encode() + b"\n\n"


class Pace:
    """All open streams, and the timer that feeds them."""

    def __init__(self, tokens_per_s: float, burst: int) -> None:
        self.streams: set[Connection] = set()
        self.closed: list[float] = []
        self._interval_s = burst / tokens_per_s
        self._burst = burst

    async def run(self) -> None:
        """Write `burst` tokens to every stream at every tick."""
        due = time.monotonic()
        while True:
            due += self._interval_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for stream in list(self.streams):
                stream.send(self._burst)


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, which understands what is asked of it here and nothing else."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._received = pace, b""
        self._sent = self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """A stream that had not ended was closed by its client."""
        del exc
        if self in self._pace.streams:
            self._pace.closed.append(time.monotonic())
            self._pace.streams.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(body) < length:
            return
        self._received = b""
        method, path, _ = head.split(b" ", 2)
        if method == b"POST" and path != b"/v1/completions":
            self._answer(path.decode(), b"404 Not Found")  # it generates: it neither embeds nor counts
        elif method == b"POST":
            self._wanted = json.loads(body).get("max_tokens", 16)
            self._transport.write(HEAD)
            self._pace.streams.add(self)
            self.send(1)
        else:
            self._answer(path.decode())

    def send(self, count: int) -> None:
        """So many more tokens in one write, and the end when that was the last."""
        first, self._sent = self._sent, min(self._sent + count, self._wanted)
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        frames = b"".join(
            event(
                number,
                {**usage, "completion_tokens": number + 1},
                reason="length" if number + 1 == self._wanted else None,
            )
            for number in range(first, self._sent)
        )
        if self._sent < self._wanted:
            self._transport.write(chunk(frames))
            return
        self._transport.write(chunk(frames + b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self._pace.streams.discard(self)
        self._transport.close()

    def _answer(self, path: str, status: bytes = b"200 OK") -> None:
        facts: dict[str, Any] = {
            "/version": {"version": "bench-1"},
            "/v1/models": {"object": "list", "data": [MODEL]},
            "/closed": self._pace.closed,
        }
        body = json.dumps(facts.get(path, {})).encode()
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
        )


async def serve(tokens_per_s: float, burst: int) -> None:
    """Serve until killed."""
    pace = Pace(tokens_per_s, burst)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pace), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await pace.run()


def main() -> None:
    """Read the command line."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens-per-s", type=float, default=100.0, help="of each stream")
    parser.add_argument("--burst", type=int, default=1, help="tokens in one write")
    asked = parser.parse_args()
    uvloop.run(serve(asked.tokens_per_s, asked.burst))


if __name__ == "__main__":
    main()
