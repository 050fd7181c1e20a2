"""Bugs of other orchestrators that need more than one engine or many connections: the server in front of stand-ins.

Each has its broken example: the reference server as a process of its own, with the peer's bug planted at its start.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.client import Client, fresh_id
from harness.engines.script import Script
from harness.engines.stand_in import stand_in
from harness.engines.vllm import VllmFormat
from harness.history import History
from harness.lateness import Stopwatch, require_within
from harness.outcome import HangError
from harness.process import Process
from harness.target import Servers

SERVE = """
from reference_server.__main__ import app
app(prog_name="planted")
"""
AT_A_TIME = """
import asyncio
from reference_server.engines.vllm import Vllm
complete, limit = Vllm.complete, []
async def limited(self, *arguments):
    limit or limit.append(asyncio.Semaphore({count}))
    async with limit[0]:
        async for event in complete(self, *arguments):
            yield event
Vllm.complete = limited
"""
HUNDRED_UPSTREAMS = AT_A_TIME.format(count=100)
ONE_AFTER_THE_OTHER = AT_A_TIME.format(count=1)

MANY = 300
BLACK_HOLE_MS = 3_000
BESIDE_MS = 1_500.0  # for a few tokens of an engine that answers at once
LONG_MS, SHORT_MS = 60_000.0, 5_000.0


@contextmanager
def serving(folder: Path, settings: dict[str, Any], plant: str = "") -> Iterator[tuple[Client, Process]]:
    """A client of a server with these settings, and a bug."""
    start = ("-c", dedent(plant) + SERVE) if plant else ("-m", "reference_server")
    servers = Servers(
        (sys.executable, *start, "serve", "--port", "0", "--ephemeral", "--config", "{config}"), folder=folder
    )
    target = servers.start(settings)
    assert target.process is not None
    client = Client(target.url, token=target.token, history=History())
    try:
        yield client, target.process
    finally:
        client.close()
        target.process.kill()


def pool(urls: Sequence[str], *, slots: int, idle_ms: int = 60_000) -> dict[str, Any]:
    replicas = [{"kind": "external", "url": url, "slots": slots} for url in urls]
    return {"pools": [{"engine": "vllm", "watchdog": {"idle_ms": idle_ms}, "replicas": replicas}]}


def submit(client: Client) -> str:
    task_id = fresh_id()
    task = {
        "task_id": task_id,
        "session_id": fresh_id(),
        "workload": "completion",
        "model_ref": "default",
        "engine": "vllm",
        "ctx": 512,
        "priority": "interactive",
        "max_tokens": 4,
        "deadline_ms": 600_000,
        "prompt": "a b c",
    }
    assert 202 == client.submit(task).status
    return task_id


def open_upstreams(folder: Path, plant: str, deadline_ms: float) -> int:
    """How many streams a stand-in has at the same time, when many more tasks than a hundred run; each stands still."""
    with (
        stand_in(VllmFormat(), Script()) as engine,
        serving(folder, pool([engine.url], slots=MANY), plant) as (client, _),
    ):
        engine.script.stall_at = 1
        before = engine.requests
        for _number in range(MANY):
            submit(client)
        with suppress(HangError):
            client.wait_until(lambda: engine.requests - before >= MANY, deadline_ms=deadline_ms, what="streams")
        return engine.requests - before


@pytest.mark.slow
@pytest.mark.req("ORCH-3000")
def test_stand_in_more_than_a_hundred_streams_of_one_engine_are_open_at_a_time(tmp_path: Path) -> None:
    """T7, vLLM production-stack #765: an HTTP client's own limit of 100 connections."""
    assert MANY == open_upstreams(tmp_path, "", LONG_MS)


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_stand_in_a_hidden_limit_of_a_hundred_streams_is_found(tmp_path: Path) -> None:
    assert open_upstreams(tmp_path, HUNDRED_UPSTREAMS, SHORT_MS) < MANY


@dataclass(frozen=True)
class Beside:
    """Eight tasks on two engines, one of which takes requests and never answers.

    Attributes:
        ended: how many ended well.
        codes: how the others ended.
        took_ms: until the last of those that ended well.
    """

    ended: int
    codes: set[str]
    took_ms: float
    late_ms: float


def beside_a_black_hole(folder: Path, plant: str) -> Beside:
    """Let them run."""
    with stand_in(VllmFormat(), Script()) as good, stand_in(VllmFormat(), Script()) as hole:
        settings = pool([good.url, hole.url], slots=4, idle_ms=BLACK_HOLE_MS)
        with serving(folder, settings, plant) as (client, process):
            hole.script.stall_at = 0
            taken, watch = hole.requests, Stopwatch([process.pid])
            readers = [client.start_stream(submit(client)) for _ in range(8)]
            client.wait_until(lambda: hole.requests > taken, deadline_ms=LONG_MS, what="a task for the black hole")
            client.read_to_end(readers, deadline_ms=LONG_MS)
            ended = [reader.record for reader in readers if reader.record.of("end")]
            others = [reader.record for reader in readers if reader.record not in ended]
            return Beside(
                ended=len(ended),
                codes={str(stream.frames[-1].payload["code"]) for stream in others},
                took_ms=max((stream.frames[-1].at_ms for stream in ended), default=0) - watch.began_ms,
                late_ms=watch.late_ms(),
            )


@pytest.mark.slow
@pytest.mark.req("ORCH-3016", "OC-CORE-1022")
def test_stand_in_a_black_holed_engine_delays_nobody_on_another(tmp_path: Path) -> None:
    """T6, vLLM production-stack #749."""
    found = beside_a_black_hole(tmp_path, "")

    assert 4 <= found.ended < 8
    assert {"DECODE_TIMEOUT"} == found.codes
    require_within(found.took_ms, BESIDE_MS, late_ms=found.late_ms, what="the last task beside the black hole")


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_stand_in_tasks_that_wait_behind_a_black_hole_are_found(tmp_path: Path) -> None:
    found = beside_a_black_hole(tmp_path, ONE_AFTER_THE_OTHER)

    assert found.ended < 4 or found.took_ms > BESIDE_MS
