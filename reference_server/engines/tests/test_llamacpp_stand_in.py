"""The llama.cpp adapter against a scripted stand-in: everything that a real llama-server does not do on demand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from reference_server.engines.base import (
    Completion,
    EngineBusyError,
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Tokens,
)
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.engines.tests.scripted_server import (
    STREAM_HEAD,
    STREAM_TAIL,
    Scripted,
    chunk,
    json_answer,
    scripted,
)

REQUEST = Completion(task_id="t", prompt="hi", max_tokens=4, seed=2**64 - 1)
TOKEN = b'data: {"index":0,"content":"\xe6\xb0\xb4","tokens_predicted":1,"stop":false,"id_slot":-1}\n\n'
HELD = b'data: {"index":0,"content":"ab","tokens_predicted":3,"stop":false,"id_slot":-1}\n\n'  # after one held back
LAST = (
    b'data: {"index":0,"content":"","tokens":[],"stop":true,"id_slot":0,"stop_type":"limit","tokens_predicted":3,'
    b'"tokens_evaluated":5,"timings":{"cache_n":2}}\n\n'
)
ERROR = b'data: {"error":{"code":500,"message":"secret prompt","type":"server_error"}}\n\n'
RECORDED = Path(__file__).parent / "llama_server_b11434.sse"


@asynccontextmanager
async def engine(script: Scripted) -> AsyncIterator[LlamaCpp]:
    adapter = LlamaCpp(script.url)
    try:
        yield adapter
    finally:
        await adapter.close()


async def events_of(script: Scripted) -> list[EngineEvent]:
    async with engine(script) as adapter:
        return [event async for event in adapter.complete(REQUEST)]


@pytest.mark.req("ORCH-3054")
async def test_stand_in_many_events_in_one_read_are_one_batch() -> None:
    async with scripted(completion=[STREAM_HEAD + chunk(TOKEN + HELD) + chunk(LAST) + STREAM_TAIL]) as script:
        events = await events_of(script)

    assert ("水", "", "ab") == sum((event.pieces for event in events if isinstance(event, Tokens)), ())
    assert Finished("length", tokens_in=5, tokens_out=3, kv_warm=True) == events[-1]


@pytest.mark.req("ORCH-3054")
async def test_stand_in_a_character_split_over_chunks_arrives_whole() -> None:
    pieces = [STREAM_HEAD, *[chunk(bytes([byte])) for byte in TOKEN + LAST], STREAM_TAIL]
    async with scripted(completion=pieces) as script:
        events = await events_of(script)

    assert Tokens(("水",)) == events[0]


@pytest.mark.req("ORCH-3054", "OC-CORE-1030")
async def test_stand_in_strict_requests_ask_for_no_prompt_cache_and_a_seed_in_range() -> None:
    async with scripted(completion=[STREAM_HEAD + chunk(LAST) + STREAM_TAIL]) as script:
        await events_of(script)
        (_, body), *_ = script.seen

    sent = json.loads(body)
    assert (False, True) == (sent["cache_prompt"], 0 <= sent["seed"] < 2**32 - 1)


FAULTS = {
    "cut-before-the-final-frame": ([STREAM_HEAD + chunk(TOKEN)], EngineLostError),
    "ended-without-the-final-frame": ([STREAM_HEAD + chunk(TOKEN) + STREAM_TAIL], EngineLostError),
    "cut-inside-a-frame": ([STREAM_HEAD + chunk(TOKEN[:20])], EngineLostError),
    "error-frame-in-a-200": ([STREAM_HEAD + chunk(TOKEN + ERROR) + STREAM_TAIL], EngineFaultError),
    "not-json": ([STREAM_HEAD + chunk(b"data: {oops\n\n") + STREAM_TAIL], EngineFaultError),
    "not-an-object": ([STREAM_HEAD + chunk(b"data: [1]\n\n") + STREAM_TAIL], EngineFaultError),
    "no-text": ([STREAM_HEAD + chunk(b'data: {"tokens_predicted":1}\n\n') + STREAM_TAIL], EngineFaultError),
    "no-count": ([STREAM_HEAD + chunk(b'data: {"content":"x"}\n\n') + STREAM_TAIL], EngineFaultError),
    "not-an-event-stream": ([json_answer(b'{"content":"hi"}')], EngineFaultError),
    "not-http": ([b"SSH-2.0-OpenSSH\r\n\r\n"], EngineLostError),
    "closed-without-an-answer": ([b""], EngineLostError),
    "loading": (
        [json_answer(b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', "503 x")],
        EngineBusyError,
    ),
    "too-many": ([json_answer(b"slow down", "429 Too Many Requests")], EngineBusyError),
    "context-exceeded": (
        [json_answer(b'{"error":{"code":400,"message":"m","type":"exceed_context_size_error"}}', "400 Bad Request")],
        EngineRefusedError,
    ),
    "redirect": (
        [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"],
        EngineFaultError,
    ),
}


@pytest.mark.req("ORCH-3054", "ORCH-2006")
@pytest.mark.parametrize(("pieces", "expected"), FAULTS.values(), ids=FAULTS.keys())
async def test_stand_in_faults_are_told_apart(pieces: list[bytes], expected: type[EngineError]) -> None:
    async with scripted(completion=pieces) as script:
        with pytest.raises(EngineError) as caught:
            await events_of(script)

    assert expected is type(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.req("ORCH-3017")
async def test_stand_in_closing_the_stream_closes_the_connection() -> None:
    async with scripted(completion=[STREAM_HEAD + chunk(TOKEN)]) as script, engine(script) as adapter:
        script.hang.add("/completion")
        async with aclosing(adapter.complete(REQUEST)) as events:
            await anext(events)
        async with asyncio.timeout(2):
            await script.left.wait()


@pytest.mark.req("OC-CORE-1014")
async def test_stand_in_a_stop_is_confirmed_only_when_the_slot_is_idle() -> None:
    busy, idle = json_answer(b'[{"id":0,"is_processing":true}]'), json_answer(b'[{"id":0,"is_processing":false}]')
    async with scripted(slots=[busy]) as script, engine(script) as adapter:
        adapter._slot_of["t"] = 0  # as an open stream would have
        waiting = asyncio.ensure_future(adapter.confirm_stopped("t"))
        await script.third_request.wait()
        assert not waiting.done()
        script.answers["/slots"] = [idle]
        async with asyncio.timeout(2):
            await waiting


@pytest.mark.req("ORCH-3010")
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([json_answer(b'{"status":"ok"}')], "ready", id="200"),
        pytest.param([json_answer(b"{}", "503 x")], "loading", id="503"),
        pytest.param([json_answer(b"{}", "500 x")], "down", id="500"),
        pytest.param([b""], "down", id="closed"),
    ],
)
async def test_stand_in_readiness(pieces: list[bytes], expected: str) -> None:
    async with scripted(health=pieces) as script, engine(script) as adapter:
        assert expected == await adapter.readiness()


@pytest.mark.req("ORCH-3032")
@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"build_info":"b1"}', b"oops", b'{"default_generation_settings":7}'])
async def test_stand_in_properties_of_something_else_are_a_fault(body: bytes) -> None:
    async with scripted(props=[json_answer(body)]) as script, engine(script) as adapter:
        with pytest.raises(EngineFaultError):
            await adapter.properties()


@pytest.mark.req("ORCH-3054")
async def test_a_recorded_stream_of_the_real_server_is_read_to_its_end() -> None:
    async with scripted(completion=[STREAM_HEAD + chunk(RECORDED.read_bytes()) + STREAM_TAIL]) as script:
        events = await events_of(script)

    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.tokens_out == sum(len(event.pieces) for event in events if isinstance(event, Tokens))
