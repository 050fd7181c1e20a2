"""The vLLM adapter against a scripted stand-in on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from reference_server.engines.base import (
    Completion,
    EngineError,
    EngineFaultError,
    EngineLostError,
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
from reference_server.engines.vllm import Vllm

COMPLETIONS = "/v1/completions"
TOKEN = (
    b'data: {"choices":[{"index":0,"text":" \xe6\xb0\xb4","finish_reason":null}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
)
LAST = (
    b'data: {"choices":[{"index":0,"text":"","finish_reason":"length"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n'
)
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,'
    b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"secret prompt","type":"InternalServerError","code":500}}\n\n'
MODELS = b'{"data":[{"id":"org/tiny","root":"/m","max_model_len":1024}]}'


@asynccontextmanager
async def vllm(*stream: bytes) -> AsyncIterator[Scripted]:
    async with scripted() as script:
        script.answers[COMPLETIONS] = stream
        script.answers["/v1/models"] = [json_answer(MODELS)]
        script.answers["/version"] = [json_answer(b'{"version":"0.32.0"}')]
        yield script


@pytest.mark.req("ORCH-3055", "OC-ADAPT-5018")
async def test_stand_in_frames_are_counted_as_the_engine_counts_them() -> None:
    async with vllm(STREAM_HEAD + chunk(TOKEN + LAST + USAGE + DONE) + STREAM_TAIL) as script:
        events = await events_of(Vllm(script.url))

    assert ("", " 水", "") == pieces_of(events)
    assert Finished("length", tokens_in=5, tokens_out=3, kv_warm=True) == events[-1]


@pytest.mark.req("ORCH-3055")
async def test_stand_in_bytes_that_come_one_by_one_give_the_same_stream() -> None:
    async with vllm(STREAM_HEAD, *[chunk(bytes([b])) for b in TOKEN + LAST + USAGE + DONE], STREAM_TAIL) as script:
        events = await events_of(Vllm(script.url))

    assert ("", " 水", "") == pieces_of(events)


@pytest.mark.req("OC-ADAPT-5018")
async def test_stand_in_a_server_that_counts_only_at_the_end_is_counted_by_its_token_ids() -> None:
    stream = (
        b'data: {"choices":[{"text":"ab","token_ids":[7,8],"finish_reason":null}]}\n\n'
        b'data: {"choices":[{"text":"","token_ids":[2],"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3}}\n\ndata: [DONE]\n\n'
    )
    async with vllm(STREAM_HEAD + chunk(stream) + STREAM_TAIL) as script:
        events = await events_of(Vllm(script.url))

    assert ("", "ab", "") == pieces_of(events)
    assert Finished("stop", tokens_in=1, tokens_out=3) == events[-1]


@pytest.mark.req("OC-ADAPT-5010", "OC-ADAPT-5017")
@pytest.mark.parametrize(
    ("seed", "sent"), [pytest.param(0, 0, id="least"), pytest.param(2**64 - 1, 2**63 - 1, id="most")]
)
async def test_stand_in_the_profile_and_a_seed_in_range_are_sent(seed: int, sent: int) -> None:
    async with vllm(STREAM_HEAD + chunk(LAST + DONE) + STREAM_TAIL) as script:
        await events_of(Vllm(script.url), Completion("t", "hi", 4, seed))
        body = json.loads(script.seen[-1][1])

    assert (sent, "org/tiny", 4) == (body["seed"], body["model"], body["max_tokens"])
    assert (0.8, 40, 0.95, 0.05, 1.0) == tuple(
        body[name] for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    )


FAULTS = {
    **NO_STREAM,
    **cuts(TOKEN),
    "ended-without-done": ([STREAM_HEAD + chunk(TOKEN + LAST + USAGE) + STREAM_TAIL], EngineLostError),
    "done-without-a-reason": ([STREAM_HEAD + chunk(TOKEN + DONE) + STREAM_TAIL], EngineLostError),
    "error-frame-in-a-200": ([STREAM_HEAD + chunk(ERROR + DONE) + STREAM_TAIL], EngineFaultError),
    "error-frame-after-tokens": ([STREAM_HEAD + chunk(TOKEN) + chunk(ERROR + DONE) + STREAM_TAIL], EngineFaultError),
    "abort": ([STREAM_HEAD + chunk(LAST.replace(b"length", b"abort") + DONE) + STREAM_TAIL], EngineFaultError),
    "too-long": (
        [json_answer(b'{"error":{"message":"secret","type":"BadRequestError","code":400}}', "400 Bad Request")],
        EngineRefusedError,
    ),
    "no-such-path": ([json_answer(b'{"detail":"Not Found"}', "404 Not Found")], EngineRefusedError),
}


@pytest.mark.req("OC-ADAPT-5013", "OC-ADAPT-5015", "OC-ADAPT-5016", "OC-ADAPT-5030")
@pytest.mark.parametrize(("pieces", "expected"), FAULTS.values(), ids=FAULTS.keys())
async def test_stand_in_faults_are_told_apart(pieces: list[bytes], expected: type[EngineError]) -> None:
    async with vllm(*pieces) as script:
        with pytest.raises(EngineError) as caught:
            await events_of(Vllm(script.url))

    assert expected is type(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.req("OC-ADAPT-5014")
async def test_stand_in_closing_a_stalled_stream_closes_the_connection() -> None:
    async with vllm(STREAM_HEAD + chunk(TOKEN)) as script:
        script.hang.add(COMPLETIONS)
        engine = Vllm(script.url)
        async with aclosing(engine.complete(REQUEST)) as events:
            await anext(events)
        async with asyncio.timeout(2):
            await script.left.wait()
            await engine.confirm_stopped("t")
        await engine.close()


@pytest.mark.req("OC-ADAPT-5020", "OC-ADAPT-5011")
async def test_stand_in_describes_itself() -> None:
    async with vllm() as script:
        script.answers["/tokenize"] = [json_answer(b'{"count":3,"tokens":[1,2,3]}')]
        engine = Vllm(script.url, slots=8)
        facts, count = await engine.properties(), await engine.count_tokens("a b c")
        await engine.close()

    assert ("0.32.0", 1024, 8, 3) == (facts.engine_version, facts.ctx_max, facts.slots_total, count)
    assert not facts.features["stand_in"]


@pytest.mark.req("OC-ADAPT-5020")
@pytest.mark.parametrize("models", [b"{}", b'{"data":[]}', b'{"data":[{"id":"x"}]}', b'{"data":7}', b"[]"])
async def test_stand_in_properties_of_something_else_are_a_fault(models: bytes) -> None:
    async with vllm() as script:
        script.answers["/v1/models"] = [json_answer(models)]
        engine = Vllm(script.url)
        with pytest.raises(EngineFaultError):
            await engine.properties()
        await engine.close()


@pytest.mark.req("ORCH-3010")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(json_answer(b""), "ready", id="200"),
        pytest.param(json_answer(b"", "503 x"), "down", id="engine-dead"),
        pytest.param(b"", "down", id="closed"),
    ],
)
async def test_stand_in_readiness(answer: bytes, expected: str) -> None:
    async with scripted(health=[answer]) as script:
        engine = Vllm(script.url)
        assert expected == await engine.readiness()
        await engine.close()


@pytest.mark.req("ORCH-3055")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            b'vllm:kv_cache_usage_perc{engine="0"} 0.25\nvllm:kv_cache_usage_perc{engine="1"} 0.5\n'
            b'vllm:num_requests_running{engine="0"} 1.0\nvllm:num_requests_running{engine="1"} 2.0\n',
            Usage(0.5, 3),
            id="new-name-two-cores",
        ),
        pytest.param(b'vllm:gpu_cache_usage_perc{model_name="m"} 0.75\n', Usage(0.75, None), id="old-name"),
        pytest.param(b"# nothing\n", Usage(), id="nothing"),
    ],
)
async def test_stand_in_usage_under_the_names_of_each_version(text: bytes, expected: Usage) -> None:
    async with scripted(metrics=[json_answer(text)]) as script:
        engine = Vllm(script.url)
        assert expected == await engine.usage()
        await engine.close()
