"""The figures: each starts what it needs, loads it, and reads the kernel's accounting of the hop."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from reference_server.domain.task_queue import Bounds, TaskQueue
from tools.bench import subjects
from tools.bench.load import request, task
from tools.bench.subjects import TOKEN, Hop

STREAMS, SHORT_TOKENS, TOKENS = 32, 20, 420
ADMISSIONS, CONNECTIONS = 20_000, 64
IDLE_TASKS, READERS = 50, 20
CANCELS = 100
STALLED, STALLED_TOKENS = 40, 8_000
QUEUE_RUNS = 20


def load(hop: Hop, *options: str) -> dict[str, Any]:
    """One run of the load client, in a process of its own."""
    command = [sys.executable, "-m", "tools.bench.load", "--api", hop.api, "--url", hop.url, *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LLORCH_API_TOKEN": TOKEN}
    )
    if done.returncode:
        raise RuntimeError(f"the load client failed: {done.stderr[-800:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def cpu_per_token_us(start: Callable[[int, Path], Any], folder: Path, *, burst: int) -> float:
    """CPU of the hop for one more token of 32 streams at 100 tokens/s; microseconds.

    Two runs that differ in their length alone: their requests cost the same, so the difference is the tokens'.
    """
    with subjects.engine(folder, tokens_per_s=100.0, burst=burst) as port, start(port, folder) as hop:
        load(hop, "--streams", "4", "--tokens", "50")
        short_s, long_s = (_cpu_of_streams_s(hop, tokens) for tokens in (SHORT_TOKENS, TOKENS))
        return (long_s - short_s) / (STREAMS * (TOKENS - SHORT_TOKENS)) * 1e6


def cpu_per_request_us(start: Callable[[int, Path], Any], folder: Path) -> float:
    """CPU of the hop for a whole request of 20 tokens at 100 tokens/s, one event a read; microseconds."""
    with subjects.engine(folder, tokens_per_s=100.0, burst=1) as port, start(port, folder) as hop:
        load(hop, "--streams", "4", "--tokens", "50")
        return _cpu_of_streams_s(hop, SHORT_TOKENS) / STREAMS * 1e6


def _cpu_of_streams_s(hop: Hop, tokens: int) -> float:
    before = hop.cpu_s()
    got = load(hop, "--streams", str(STREAMS), "--tokens", str(tokens))
    if got["tokens"] != STREAMS * tokens:
        raise RuntimeError(f"{got['tokens']} of {STREAMS * tokens} tokens came")
    return hop.cpu_s() - before


def first_token_ms(start: Callable[[int, Path], Any], folder: Path) -> float:
    """From the first byte sent to the first token, one stream at a time, the engine's own share included; median."""
    with subjects.engine(folder, tokens_per_s=100.0, burst=1) as port, start(port, folder) as hop:
        load(hop, "--streams", "4", "--tokens", "50")
        return float(median(load(hop, "--streams", "60", "--tokens", "3", "--one-by-one")["first_token_s"])) * 1000


async def _admit(url: str, count: int) -> list[str]:
    """So many admissions over 64 kept connections; their ids."""
    parts = urlsplit(url)
    admitted: list[str] = []

    async def work(share: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(share):
            body = task(16, priority="batch")
            writer.write(request("POST", "/v1/tasks", body, token=TOKEN))
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(head.decode())
            admitted.append(str(body["task_id"]))
        writer.close()

    await asyncio.gather(*[work(count // CONNECTIONS) for _ in range(CONNECTIONS)])
    return admitted


def admission_us(start: Callable[[int, Path], Any], folder: Path) -> float:
    """CPU of an admission, with token, journal, queue, metrics and logs; microseconds."""
    with subjects.engine(folder, tokens_per_s=0.2, burst=1) as port, start(port, folder) as hop:
        asyncio.run(_admit(hop.url, CONNECTIONS * 20))
        before = hop.cpu_s()
        admitted = asyncio.run(_admit(hop.url, ADMISSIONS))
        return float((hop.cpu_s() - before) / len(admitted) * 1e6)


async def _idle(url: str, ids: list[str], measure: Callable[[], int]) -> int:
    """Memory once every one of these waiting tasks has its readers, each of which has its head."""
    parts = urlsplit(url)
    opened = []
    for task_id in ids:
        for _ in range(READERS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(request("GET", f"/v1/tasks/{task_id}/stream", token=TOKEN))
            await reader.readuntil(b"\r\n\r\n")
            opened.append(writer)
    resident = measure()
    for writer in opened:
        writer.close()
    return resident


def idle_stream_bytes(folder: Path) -> float:
    """Memory for one more stream of a task that waits."""
    with subjects.engine(folder, tokens_per_s=0.2, burst=1) as port, subjects.ours(port, folder) as hop:
        ids = asyncio.run(_admit(hop.url, CONNECTIONS * 4))[-IDLE_TASKS:]
        asyncio.run(_idle(hop.url, ids[:2], hop.resident_bytes))
        before = hop.resident_bytes()
        return (asyncio.run(_idle(hop.url, ids, hop.resident_bytes)) - before) / (len(ids) * READERS)


def stalled_reader_bytes(folder: Path) -> float:
    """Memory for one more reader that takes nothing of a task of thousands of tokens."""
    with subjects.engine(folder, tokens_per_s=2_000.0, burst=20) as port, subjects.ours(port, folder) as hop:
        asyncio.run(_stalled(hop, readers=0))
        before = hop.resident_bytes()
        asyncio.run(_stalled(hop, readers=0))
        alone = hop.resident_bytes()
        return (asyncio.run(_stalled(hop, readers=STALLED)) - alone - (alone - before)) / STALLED


async def _stalled(hop: Hop, *, readers: int) -> int:
    """Memory after a task has decoded thousands of tokens for readers that have read no byte since its head."""
    parts, body = urlsplit(hop.url), task(STALLED_TOKENS)
    await _one(hop.url, request("POST", "/v1/tasks", body, token=TOKEN))
    opened = []
    for _ in range(readers):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1)
        writer.write(request("GET", f"/v1/tasks/{body['task_id']}/stream", token=TOKEN))
        opened.append(writer)
    status = f"{hop.url}/v1/tasks/{body['task_id']}"
    while (await asyncio.to_thread(_json, status))["tokens_out"] < STALLED_TOKENS:  # noqa: ASYNC110 - it is asked over HTTP
        await asyncio.sleep(0.05)
    resident = hop.resident_bytes()
    for writer in opened:
        writer.transport.abort()
    return resident


def queue_ns(waiting: int) -> float:
    """A put and a pop with so many tasks waiting; nanoseconds, the best of some runs."""
    queue = TaskQueue(Bounds(interactive=2 * waiting + 10, batch=2 * waiting + 10, total=4 * waiting + 20))
    for number in range(waiting):
        queue.put(f"w{number}", "batch", tokens=16)
    runs = []
    for run in range(QUEUE_RUNS):
        ids = [f"{run}-{number}" for number in range(1_000)]
        began = time.perf_counter_ns()
        for task_id in ids:
            queue.put(task_id, "batch", tokens=16)
            queue.pop()
        runs.append((time.perf_counter_ns() - began) / len(ids))
    return min(runs)


def fsync_ms(folder: Path) -> float:
    """What the disk takes to keep a page: every admission waits for it once; median."""
    taken = []
    with (folder / "page").open("wb") as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def cancel_ms(folder: Path) -> float:
    """From the cancel's first byte to the engine's connection being closed, 99th percentile."""
    with subjects.engine(folder, tokens_per_s=20.0, burst=1) as port, subjects.ours(port, folder) as hop:
        closed_url = f"http://127.0.0.1:{port}/closed"
        sent, earlier = [], len(_json(closed_url))  # the self-test cancels too
        for _ in range(CANCELS):
            body = task(10_000)
            asyncio.run(_one(hop.url, request("POST", "/v1/tasks", body, token=TOKEN)))
            while _json(f"{hop.url}/v1/tasks/{body['task_id']}")["tokens_out"] < 1:
                time.sleep(0.002)
            sent.append(time.monotonic())
            asyncio.run(_one(hop.url, request("POST", f"/v1/tasks/{body['task_id']}/cancel", token=TOKEN)))
        while len(closed := _json(closed_url)[earlier:]) < CANCELS:
            time.sleep(0.01)
        return float(quantiles([(at - began) * 1000 for began, at in zip(sent, closed, strict=True)], n=100)[98])


async def _one(url: str, raw: bytes) -> bytes:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


def _json(url: str) -> Any:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(asked) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())
