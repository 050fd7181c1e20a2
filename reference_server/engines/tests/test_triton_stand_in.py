"""The Triton adapter against a scripted stand-in on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from reference_server.engines.base import (
    Completion,
    EngineBusyError,
    EngineError,
    EngineFaultError,
    EngineRefusedError,
    Finished,
    Usage,
)
from reference_server.engines.tests.contract import NO_STREAM, REQUEST, cuts, events_of, pieces_of
from reference_server.engines.tests.scripted_server import (
    STREAM_HEAD,
    STREAM_TAIL,
    Scripted,
    chunk,
    json_answer,
    scripted,
)
from reference_server.engines.triton import Triton

MODEL = "/v2/models/ensemble"
GENERATE = f"{MODEL}/generate_stream"
TOKEN = b'data: {"model_name":"ensemble","model_version":"1","text_output":" \xe6\xb0\xb4"}\n\n'
EMPTY = TOKEN.replace(b" \xe6\xb0\xb4", b"")
ERROR = b'data: {"error":"secret prompt"}\n\n'
INPUTS = ("text_input", "max_tokens", "stream", "random_seed", "temperature", "top_k", "top_p", "repetition_penalty")


@asynccontextmanager
async def triton(*stream: bytes, inputs: tuple[str, ...] = INPUTS) -> AsyncIterator[Scripted]:
    async with scripted() as script:
        model = {"name": "ensemble", "inputs": [{"name": name} for name in inputs]}
        script.answers[GENERATE] = stream
        script.answers[MODEL] = [json_answer(json.dumps(model).encode())]
        script.answers["/v2"] = [json_answer(b'{"name":"triton","version":"2.51.0","extensions":[]}')]
        yield script


@pytest.mark.req("ORCH-3057", "OC-ADAPT-5018")
@pytest.mark.parametrize(
    ("limit", "reason"), [pytest.param(3, "length", id="limit-reached"), pytest.param(4, "stop", id="stopped-before")]
)
async def test_stand_in_the_proper_end_of_the_body_is_the_end(limit: int, reason: str) -> None:
    async with triton(STREAM_HEAD + chunk(TOKEN + EMPTY) + chunk(TOKEN) + STREAM_TAIL) as script:
        events = await events_of(Triton(script.url), Completion("t", "hello", limit, 1))

    assert (" 水", "", " 水") == pieces_of(events)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (reason, 2, 3) == (finished.finish_reason, finished.tokens_in, finished.tokens_out)


@pytest.mark.req("ORCH-3057")
async def test_stand_in_bytes_that_come_one_by_one_give_the_same_stream() -> None:
    async with triton(STREAM_HEAD, *[chunk(bytes([byte])) for byte in TOKEN], STREAM_TAIL) as script:
        events = await events_of(Triton(script.url))

    assert (" 水",) == pieces_of(events)


@pytest.mark.req("OC-ADAPT-5010", "OC-ADAPT-5017")
async def test_stand_in_the_profile_and_the_seed_are_sent() -> None:
    async with triton(STREAM_HEAD + chunk(TOKEN) + STREAM_TAIL) as script:
        await events_of(Triton(script.url))
        body = json.loads(script.seen[-1][1])

    assert {
        "text_input": "hi",
        "max_tokens": 4,
        "stream": True,
        "random_seed": 2**64 - 1,
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.95,
        "repetition_penalty": 1.0,
    } == body


@pytest.mark.req("OC-ADAPT-5010")
async def test_stand_in_a_model_with_fewer_inputs_is_sent_no_other_and_says_so() -> None:
    few = ("text_input", "max_tokens", "stream")
    async with triton(STREAM_HEAD + chunk(TOKEN) + STREAM_TAIL, inputs=few) as script:
        engine = Triton(script.url)
        facts = await engine.properties()
        await events_of(engine)

    assert set(few) == set(json.loads(script.seen[-1][1]))
    assert "min_p,random_seed,repetition_penalty,temperature,top_k,top_p" == facts.features["sampler_unmapped"]
    assert facts.features["seed"] is False


UNCHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + TOKEN

FAULTS = {
    **NO_STREAM,
    **cuts(TOKEN),
    "an-end-that-proves-nothing": ([UNCHUNKED], EngineFaultError),
    "error-frame-in-a-200": ([STREAM_HEAD + chunk(ERROR) + STREAM_TAIL], EngineFaultError),
    "error-frame-after-tokens": ([STREAM_HEAD + chunk(TOKEN) + chunk(ERROR) + STREAM_TAIL], EngineFaultError),
    "error-in-a-200": ([json_answer(b'{"error":"secret: use generate stream"}')], EngineFaultError),
    "queue-full-in-an-event-with-a-status": (
        [
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk(b'data: {"error":"Exceeds maximum queue size"}\n\n')
            + STREAM_TAIL
        ],
        EngineBusyError,
    ),
    "missing-input": ([json_answer(b'{"error":"secret missing"}', "400 x")], EngineRefusedError),
    "unknown-model": ([json_answer(b'{"error":"secret unknown"}', "404 x")], EngineRefusedError),
    "queue-full": ([json_answer(b'{"error":"secret Exceeds maximum queue size"}', "500 x")], EngineBusyError),
    "queue-full-in-the-stream": (
        [STREAM_HEAD + chunk(b'data: {"error":"Exceeds maximum queue size"}\n\n') + STREAM_TAIL],
        EngineBusyError,
    ),
}


@pytest.mark.req("OC-ADAPT-5013", "OC-ADAPT-5015", "OC-ADAPT-5016", "OC-ADAPT-5060")
@pytest.mark.parametrize(("pieces", "expected"), FAULTS.values(), ids=FAULTS.keys())
async def test_stand_in_faults_are_told_apart(pieces: list[bytes], expected: type[EngineError]) -> None:
    async with triton(*pieces) as script:
        with pytest.raises(EngineError) as caught:
            await events_of(Triton(script.url))

    assert expected is type(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.req("OC-ADAPT-5014")
async def test_stand_in_closing_a_stalled_stream_closes_the_connection() -> None:
    async with triton(STREAM_HEAD + chunk(TOKEN)) as script:
        script.hang.add(GENERATE)
        engine = Triton(script.url)
        async with aclosing(engine.complete(REQUEST)) as events:
            await anext(events)
        async with asyncio.timeout(2):
            await script.left.wait()
            await engine.confirm_stopped("t")
        await engine.close()


@pytest.mark.req("OC-ADAPT-5060", "OC-ADAPT-5070", "OC-ADAPT-5011")
async def test_stand_in_describes_itself() -> None:
    async with triton() as script:
        engine = Triton(script.url, slots=2, ctx_max=512, trtllm_version="0.14.0")
        facts = await engine.properties()
        await engine.close()

    assert ("2.51.0", 512, 2) == (facts.engine_version, facts.ctx_max, facts.slots_total)
    assert ("0.14.0", "estimated", True) == tuple(
        facts.features[name] for name in ("trtllm_version", "token_counts", "seed")
    )


@pytest.mark.req("OC-ADAPT-5060")
@pytest.mark.parametrize("model", [b"{}", b"[]", b"oops", b'{"inputs":[{"name":"pixels"}]}', b'{"inputs":[1]}'])
async def test_stand_in_a_model_that_takes_no_text_is_a_fault(model: bytes) -> None:
    async with triton() as script:
        script.answers[MODEL] = [json_answer(model)]
        engine = Triton(script.url)
        with pytest.raises(EngineFaultError):
            await engine.properties()
        await engine.close()


@pytest.mark.req("ORCH-3010", "OC-ADAPT-5060")
@pytest.mark.parametrize(
    ("model", "server", "expected"),
    [
        pytest.param("200 OK", "200 OK", "ready", id="ready"),
        pytest.param("400 x", "200 OK", "loading", id="model-not-ready"),
        pytest.param("400 x", "400 x", "down", id="server-not-live"),
    ],
)
async def test_stand_in_readiness(model: str, server: str, expected: str) -> None:
    async with scripted() as script:
        script.answers[f"{MODEL}/ready"] = [json_answer(b"", model)]
        script.answers["/v2/health/live"] = [json_answer(b"", server)]
        engine = Triton(script.url)
        assert expected == await engine.readiness()
        await engine.close()


@pytest.mark.req("ORCH-3057")
async def test_stand_in_usage_is_read_from_the_metrics_service() -> None:
    text = (
        b'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="m"} 25\n'
        b'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="m"} 100\n'
        b'nv_trt_llm_request_metrics{model="m",request_type="active"} 2\n'
    )
    async with scripted(metrics=[json_answer(text)]) as script:
        engine = Triton("http://127.0.0.1:9", metrics_url=script.url)
        assert Usage(0.25, 2) == await engine.usage()
        await engine.close()


@pytest.mark.req("ORCH-3057")
async def test_stand_in_without_a_metrics_service_there_is_no_usage() -> None:
    engine = Triton("http://127.0.0.1:9")
    assert Usage() == await engine.usage()
    await engine.close()
