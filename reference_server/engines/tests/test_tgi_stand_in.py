"""The TGI adapter against a scripted stand-in on a real socket."""

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
from reference_server.engines.tgi import Tgi

GENERATE = "/generate_stream"
TOKEN = b'data:{"index":1,"token":{"id":7,"text":" \xe6\xb0\xb4","special":false},"generated_text":null}\n\n'
SPECIAL = TOKEN.replace(b'" \xe6\xb0\xb4","special":false', b'"<tool>","special":true')
LAST = (
    b'data:{"index":3,"token":{"id":2,"text":"</s>","special":true},"generated_text":" \xe6\xb0\xb4",'
    b'"details":{"finish_reason":"eos_token","generated_tokens":3,"input_length":5,"seed":9}}\n\n'
)
INFO = (
    b'{"model_id":"m","model_sha":"abc","version":"3.3.4","sha":"f00","max_concurrent_requests":128,'
    b'"max_total_tokens":2048}'
)


def error(kind: bytes) -> bytes:
    return b'{"error":"secret prompt","error_type":"%b"}' % kind


@asynccontextmanager
async def tgi(*stream: bytes) -> AsyncIterator[Scripted]:
    async with scripted(generate_stream=stream, info=[json_answer(INFO)]) as script:
        yield script


@pytest.mark.req("ORCH-3056", "OC-ADAPT-5040", "OC-ADAPT-5018")
async def test_stand_in_special_tokens_are_counted_and_are_no_text() -> None:
    async with tgi(STREAM_HEAD + chunk(TOKEN + SPECIAL) + chunk(LAST) + STREAM_TAIL) as script:
        events = await events_of(Tgi(script.url))

    assert (" 水", "", "") == pieces_of(events)
    assert Finished("stop", tokens_in=5, tokens_out=3) == events[-1]


@pytest.mark.req("ORCH-3056")
async def test_stand_in_bytes_that_come_one_by_one_give_the_same_stream() -> None:
    async with tgi(STREAM_HEAD, *[chunk(bytes([byte])) for byte in TOKEN + LAST], STREAM_TAIL) as script:
        events = await events_of(Tgi(script.url))

    assert (" 水", "") == pieces_of(events)


@pytest.mark.req("OC-ADAPT-5018")
async def test_stand_in_an_older_server_is_asked_how_long_the_prompt_was() -> None:
    last = LAST.replace(b'"input_length":5,', b"")
    async with tgi(STREAM_HEAD + chunk(last) + STREAM_TAIL) as script:
        script.answers["/tokenize"] = [json_answer(b'[{"id":1},{"id":2}]')]
        events = await events_of(Tgi(script.url))

    assert Finished("stop", tokens_in=2, tokens_out=3) == events[-1]


@pytest.mark.req("OC-ADAPT-5010", "OC-ADAPT-5017")
@pytest.mark.parametrize(
    ("seed", "sent"), [pytest.param(0, 1, id="least"), pytest.param(2**64 - 2, 2**64 - 1, id="nearly-most")]
)
async def test_stand_in_the_profile_and_a_seed_in_range_are_sent(seed: int, sent: int) -> None:
    async with tgi(STREAM_HEAD + chunk(LAST) + STREAM_TAIL) as script:
        await events_of(Tgi(script.url), Completion("t", "hi", 4, seed))
        body = json.loads(script.seen[-1][1])["parameters"]

    assert (sent, True, 4) == (body["seed"], body["do_sample"], body["max_new_tokens"])
    assert (0.8, 40, 0.95, 1.0) == tuple(body[name] for name in ("temperature", "top_k", "top_p", "repetition_penalty"))


def in_stream(kind: bytes) -> list[bytes]:
    return [STREAM_HEAD + chunk(TOKEN) + chunk(b"event:error\ndata:" + error(kind) + b"\n\n") + STREAM_TAIL]


FAULTS = {
    **NO_STREAM,
    **cuts(TOKEN),
    "ended-without-the-final-frame": ([STREAM_HEAD + chunk(TOKEN) + STREAM_TAIL], EngineLostError),
    "no-details": (
        [STREAM_HEAD + chunk(TOKEN.replace(b'"generated_text":null', b'"generated_text":"x"')) + STREAM_TAIL],
        EngineFaultError,
    ),
    "validation": ([json_answer(error(b"validation"), "422 x")], EngineRefusedError),
    "generation": ([json_answer(error(b"generation"), "424 x")], EngineFaultError),
    "overloaded": ([json_answer(error(b"overloaded"), "429 x")], EngineBusyError),
    "incomplete": ([json_answer(error(b"incomplete_generation"), "500 x")], EngineFaultError),
    "validation-in-the-stream": (in_stream(b"validation"), EngineRefusedError),
    "generation-in-the-stream": (in_stream(b"generation"), EngineFaultError),
    "overloaded-in-the-stream": (in_stream(b"overloaded"), EngineBusyError),
}


@pytest.mark.req("OC-ADAPT-5013", "OC-ADAPT-5015", "OC-ADAPT-5016", "OC-ADAPT-5050")
@pytest.mark.parametrize(("pieces", "expected"), FAULTS.values(), ids=FAULTS.keys())
async def test_stand_in_faults_are_told_apart(pieces: list[bytes], expected: type[EngineError]) -> None:
    async with tgi(*pieces) as script:
        with pytest.raises(EngineError) as caught:
            await events_of(Tgi(script.url))

    assert expected is type(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.req("OC-ADAPT-5014")
async def test_stand_in_closing_a_stalled_stream_closes_the_connection() -> None:
    async with tgi(STREAM_HEAD + chunk(TOKEN)) as script:
        script.hang.add(GENERATE)
        engine = Tgi(script.url)
        async with aclosing(engine.complete(REQUEST)) as events:
            await anext(events)
        async with asyncio.timeout(2):
            await script.left.wait()
            await engine.confirm_stopped("t")
        await engine.close()


@pytest.mark.req("OC-ADAPT-5040", "OC-ADAPT-5011")
async def test_stand_in_describes_itself() -> None:
    async with tgi() as script:
        engine = Tgi(script.url, slots=4)
        facts = await engine.properties()
        await engine.close()

    assert ("3.3.4+f00", None, 2048, 4) == (
        facts.engine_version,
        facts.model_digest,
        facts.ctx_max,
        facts.slots_total,
    )
    assert ("abc", False) == (facts.features["model_revision"], facts.features["stand_in"])


@pytest.mark.req("OC-ADAPT-5040")
@pytest.mark.parametrize("body", [b"{}", b"[]", b"oops", b'{"version":"3"}', b'{"version":"3","max_total_tokens":0}'])
async def test_stand_in_properties_of_something_else_are_a_fault(body: bytes) -> None:
    async with scripted(info=[json_answer(body)]) as script:
        engine = Tgi(script.url, slots=1)
        with pytest.raises(EngineFaultError):
            await engine.properties()
        await engine.close()


@pytest.mark.req("ORCH-3010")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(json_answer(b""), "ready", id="200"),
        pytest.param(json_answer(error(b"healthcheck"), "503 x"), "loading", id="unhealthy"),
        pytest.param(b"", "down", id="closed"),
    ],
)
async def test_stand_in_readiness(answer: bytes, expected: str) -> None:
    async with scripted(health=[answer]) as script:
        engine = Tgi(script.url)
        assert expected == await engine.readiness()
        await engine.close()


@pytest.mark.req("ORCH-3056")
async def test_stand_in_usage_is_the_batch_in_work() -> None:
    async with scripted(metrics=[json_answer(b"tgi_batch_current_size 3\ntgi_queue_size 9\n")]) as script:
        engine = Tgi(script.url)
        assert Usage(None, 3) == await engine.usage()
        await engine.close()
