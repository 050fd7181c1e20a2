"""Bugs of other orchestrators that need more than one engine or many connections: the server in front of stand-ins.

Each has its broken example: the reference server as a process of its own, with the peer's bug planted at its start.
"""

import http.client
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.client import Client, fresh_id
from harness.engines.script import Script
from harness.engines.stand_in import stand_in
from harness.engines.vllm import VllmFormat
from harness.history import History
from harness.lateness import Stopwatch, require_within
from harness.outcome import UNMET
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

KEPT_DESCRIPTOR = """
import os
from reference_server.engines.vllm import Vllm
complete = Vllm.complete
async def leaving(self, *arguments):
    os.dup(0)
    async for event in complete(self, *arguments):
        yield event
Vllm.complete = leaving
"""
KEPT_TOKENS = """
import hmac
compare, kept = hmac.compare_digest, []
def remembering(expected, given):
    kept.append(bytes(given) * 128)
    return compare(expected, given)
hmac.compare_digest = remembering
"""

IDLE_CONNECTIONS = 16  # that a client keeps for what comes next
STRANGER = "stranger"
GROWN_MAX = 4 * 2**20  # a kilobyte for each token would be twice that
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


def submit(client: Client, **changes: object) -> str:
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
        **changes,
    }
    assert 202 == client.submit(task).status
    return task_id


@dataclass(frozen=True)
class Upstreams:
    """Streams of one engine, each of which stands still, and what the server holds once all are canceled.

    Attributes:
        opened: how many the engine had at the same time.
        kept: descriptors that the server holds afterwards and did not before.
        ended: a task after them ended well.
    """

    opened: int
    kept: int
    ended: bool


def open_upstreams(folder: Path, count: int, plant: str, deadline_ms: float) -> Upstreams:
    """Start so many tasks, and cancel them."""
    with (
        stand_in(VllmFormat(), Script()) as engine,
        serving(folder, pool([engine.url], slots=count), plant) as (client, process),
    ):
        held, before = descriptors(process.pid), engine.requests
        engine.script.stall_at = 1
        ids = [submit(client) for _ in range(count)]
        with suppress(*UNMET):
            client.wait_until(lambda: engine.requests - before >= count, deadline_ms=deadline_ms, what="streams")
        opened = engine.requests - before
        engine.script.stall_at = None
        for task_id in ids:
            client.request("POST", f"/v1/tasks/{task_id}/cancel")
        with suppress(*UNMET):
            client.wait_until(lambda: descriptors(process.pid) <= held, deadline_ms=deadline_ms, what="descriptors")
        kept = descriptors(process.pid) - held
        reader = client.start_stream(submit(client))
        client.read_to_end([reader], deadline_ms=LONG_MS)
        return Upstreams(opened, kept, ended=bool(reader.record.of("end")))


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@pytest.fixture
def _room_for_many() -> Iterator[None]:
    """As many descriptors as this account may have: a soft limit of 1,024 is no server's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("_room_for_many")
@pytest.mark.req("ORCH-3000", "OC-CORE-1014")
def test_stand_in_two_thousand_streams_of_one_engine_are_open_at_a_time_and_leave_nothing(tmp_path: Path) -> None:
    """T7, vLLM production-stack #765: an HTTP client's own limit of 100 connections."""
    found = open_upstreams(tmp_path, 2_000, "", LONG_MS)

    assert (2_000, True) == (found.opened, found.ended)
    assert found.kept <= IDLE_CONNECTIONS


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_stand_in_a_hidden_limit_of_a_hundred_streams_is_found(tmp_path: Path) -> None:
    assert open_upstreams(tmp_path, 300, HUNDRED_UPSTREAMS, SHORT_MS).opened < 300


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_stand_in_a_stream_that_leaves_a_descriptor_is_found(tmp_path: Path) -> None:
    assert open_upstreams(tmp_path, 100, KEPT_DESCRIPTOR, SHORT_MS).kept > IDLE_CONNECTIONS


@dataclass(frozen=True)
class Strangers:
    """Requests with tokens that nobody gave out.

    Attributes:
        statuses: what they were answered.
        grown: resident memory of the server from the first fifth of them to the last, bytes.
        series: that the metrics have more than before, or less.
        logged: how many of them are in the server's log.
    """

    statuses: set[int]
    grown: int
    series: frozenset[str]
    logged: int


def strangers(folder: Path, count: int, plant: str) -> Strangers:
    """Let them knock, each with another token, over one connection."""
    with (
        stand_in(VllmFormat(), Script()) as engine,
        serving(folder, pool([engine.url], slots=1), plant) as (
            client,
            process,
        ),
    ):
        address, token = urlsplit(client.url), client.authorization(None)["Authorization"].removeprefix("Bearer ")
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        statuses, before, early = set(), series(client), 0
        for number in range(count):
            sent = f"{token[: number % len(token)]}{STRANGER}{number}"
            connection.request("GET", "/v1/capabilities", headers={"Authorization": f"Bearer {sent}"})
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)
            early = resident(process.pid) if number == count // 5 else early
        grown = resident(process.pid) - early
        connection.close()
        logged = process.stderr.read_text("utf-8").count(STRANGER)
        return Strangers(statuses, grown, series(client) ^ before, logged)


def series(client: Client) -> frozenset[str]:
    """Names and labels of all samples."""
    text = client.request("GET", "/metrics").body.decode()
    return frozenset(line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#"))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.req("ORCH-3035", "OC-CTRL-2041", "OC-CORE-1008")
def test_ten_thousand_made_up_tokens_open_nothing_and_leave_nothing(tmp_path: Path) -> None:
    """T18, LiteLLM's CVE-2026-42208."""
    found = strangers(tmp_path, 10_000, "")

    assert ({403}, frozenset(), 0) == (found.statuses, found.series, found.logged)
    assert found.grown < GROWN_MAX


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_a_server_that_remembers_every_wrong_token_is_found(tmp_path: Path) -> None:
    assert strangers(tmp_path, 5_000, KEPT_TOKENS).grown > GROWN_MAX


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
