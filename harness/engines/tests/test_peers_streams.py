"""Bugs of other orchestrators in what passes through them: late, or cut short. The server in front of a stand-in.

Each has its broken example, as in `test_peers_bugs.py`.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.engines.script import Around, Script
from harness.engines.stand_in import stand_in
from harness.engines.tests.test_peers_bugs import LONG_MS, pool, serving, submit
from harness.engines.vllm import VllmFormat
from harness.history import now_ms
from harness.lateness import Stopwatch, require_within

NAGLE = """
import socket
from reference_server.web import stream
copy = stream._copy
async def delaying(outlet, *arguments, **named):
    outlet._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    await copy(outlet, *arguments, **named)
stream._copy = delaying
"""
SHORT_PROMPT = """
from dataclasses import replace
from reference_server.engines.vllm import Vllm
complete = Vllm.complete
async def cutting(self, request, *arguments):
    async for event in complete(self, replace(request, prompt=request.prompt[:2**20]), *arguments):
        yield event
Vllm.complete = cutting
"""
SHORT_EVENT = """
from reference_server.domain.transcript import Transcript
append = Transcript.append_tokens
def cutting(self, pieces):
    append(self, [piece[:2**16] for piece in pieces])
Transcript.append_tokens = cutting
"""

TOKENS, PACE_MS = 100, 5.0
BODY_BYTES_MAX = 2 * 2**20  # OC-CTRL-2035
EVENT_BYTES = 1_000_000  # the server's cap is 1 MiB, of an event with all that is around its text


@dataclass(frozen=True)
class Pace:
    """How a stream with an even pace reached a client that delays its acknowledgements.

    Attributes:
        read_ms: the time from one read that brings tokens to the next; the median, for a machine may stand still.
    """

    read_ms: float
    late_ms: float


def pace(folder: Path, plant: str) -> Pace:
    """Read a stream with a socket of our own."""
    with (
        stand_in(VllmFormat(), Script(delay_s=PACE_MS / 1000)) as engine,
        serving(folder, pool([engine.url], slots=1), plant) as (client, process),
    ):
        watch = Stopwatch([process.pid])
        head = client.raw_head("GET", f"/v1/tasks/{submit(client, max_tokens=TOKENS)}/stream")
        address, data = urlsplit(client.url), b""
        brought_ms: list[float] = []
        with socket.create_connection((address.hostname, address.port), timeout=LONG_MS / 1000) as sock:
            sock.sendall(head + b"\r\n")
            while b"event: end" not in data:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
                data = sock.recv(65_536)
                if b"event: token" in data:
                    brought_ms.append(now_ms())
        return Pace(median(later - earlier for earlier, later in pairwise(brought_ms)), watch.late_ms())


@pytest.mark.slow
@pytest.mark.req("OC-CTRL-2083")
def test_stand_in_tokens_do_not_wait_for_acknowledgements(tmp_path: Path) -> None:
    """T8, Dynamo #14643: Nagle's algorithm, and a client that delays its acknowledgements by 40 ms."""
    found = pace(tmp_path, "")

    require_within(found.read_ms, 2 * PACE_MS, late_ms=found.late_ms, what="from one read of tokens to the next")


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
def test_stand_in_tokens_that_wait_for_acknowledgements_are_found(tmp_path: Path) -> None:
    assert pace(tmp_path, NAGLE).read_ms > 2 * PACE_MS


class Large(Script):
    """One token of a size that no engine sends, and the hardest text to keep whole: one character is three bytes."""

    def pieces(self, prompt: str, seed: int, count: int, around: Around) -> Iterator[str]:
        """In place of the first token, where a task asks for so many."""
        first, *others = super().pieces(prompt, seed, count, around)
        yield "水" * (EVENT_BYTES // 3) if count == TOKENS else first
        yield from others


@dataclass(frozen=True)
class Text:
    """The text that a task was answered with, and the one that its engine has for it."""

    given: str
    whole: str


def text_of(folder: Path, plant: str, *, prompt: str, max_tokens: int) -> Text:
    """The stand-in's text follows from the prompt: from another one, another text."""
    script = Large()
    with (
        stand_in(VllmFormat(), script) as engine,
        serving(folder, pool([engine.url], slots=1), plant) as (client, _),
    ):
        reader = client.start_stream(submit(client, prompt=prompt, max_tokens=max_tokens, seed=7))
        client.read_to_end([reader], deadline_ms=LONG_MS)
        whole = "".join(script.pieces(prompt, 7, max_tokens, Around()))
        return Text(reader.record.text, whole)


def longest_prompt() -> str:
    """One that fills a body up to a few bytes less than the limit, with what surrounds it."""
    return "w" * (BODY_BYTES_MAX - 512)


CASES = [
    pytest.param({"prompt": longest_prompt(), "max_tokens": 8}, SHORT_PROMPT, id="prompt"),
    pytest.param({"prompt": "a", "max_tokens": TOKENS}, SHORT_EVENT, id="event"),
]


@pytest.mark.slow
@pytest.mark.req("OC-CTRL-2035", "ORCH-2002")
@pytest.mark.parametrize(("asked", "_plant"), CASES)
def test_stand_in_what_is_just_below_a_cap_passes_whole(tmp_path: Path, asked: dict[str, Any], _plant: str) -> None:
    """T16, Envoy #828 and #494: what was too large was cut short instead of refused."""
    found = text_of(tmp_path, "", **asked)

    assert found.whole == found.given


@pytest.mark.slow
@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("asked", "plant"), CASES)
def test_stand_in_what_is_cut_short_is_found(tmp_path: Path, asked: dict[str, Any], plant: str) -> None:
    found = text_of(tmp_path, plant, **asked)

    assert found.whole != found.given
