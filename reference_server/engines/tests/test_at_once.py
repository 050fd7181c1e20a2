"""Embedding and rerank: what the adapters ask for, what they make of the answers, and what they claim."""

import json
from typing import Any

import pytest

from reference_server.engines.base import Engine, EngineFaultError, EngineRefusedError, Scores, Vectors
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.engines.tests.scripted_server import Scripted, json_answer, scripted
from reference_server.engines.tgi import Tgi
from reference_server.engines.triton import Triton
from reference_server.engines.vllm import Vllm

OFF = json_answer(b'{"error":{"code":501,"message":"x","type":"not_supported_error"}}', "501 Not Implemented")
TOO_LARGE = json_answer(
    b'{"error":{"code":500,"message":"input (701 tokens) is too large to process. increase the physical batch size",'
    b'"type":"server_error"}}',
    "500 Internal Server Error",
)


def answered(script: Scripted, path: str, body: object) -> None:
    script.answers[path] = [json_answer(json.dumps(body).encode())]


def vllm_answer(*vectors: tuple[int, list[Any]], tokens: object = 5) -> object:
    return {"data": [{"index": i, "embedding": v} for i, v in vectors], "usage": {"prompt_tokens": tokens}}


@pytest.mark.req("ORCH-3054", "OC-CTRL-2080")
async def test_stand_in_llama_server_embeds_in_the_order_of_the_inputs() -> None:
    async with scripted(tokenize=[json_answer(b'{"tokens":[1,2]}')]) as script:
        answered(script, "/embedding", [{"index": 1, "embedding": [[3, 4.5]]}, {"index": 0, "embedding": [[1, 2]]}])
        engine = LlamaCpp(script.url)
        found = await engine.embed(("a", "b"))
        await engine.close()

    assert Vectors(((1.0, 2.0), (3.0, 4.5)), tokens_in=4) == found
    assert {"content": ["a", "b"]} == json.loads(script.seen[0][1])


@pytest.mark.req("ORCH-3054", "OC-CTRL-2081")
async def test_stand_in_llama_server_answers_the_best_first_and_we_in_order() -> None:
    async with scripted() as script:
        results = [{"index": 1, "relevance_score": 2.5}, {"index": 0, "relevance_score": -1}]
        answered(script, "/rerank", {"results": results, "usage": {"prompt_tokens": 9}})
        engine = LlamaCpp(script.url)
        found = await engine.rerank("q", ("a", "b"))
        await engine.close()

    assert Scores((-1.0, 2.5), tokens_in=9) == found
    assert {"query": "q", "documents": ["a", "b"]} == json.loads(script.seen[0][1])


@pytest.mark.req("ORCH-3055", "OC-CTRL-2080", "OC-ADAPT-5020")
async def test_stand_in_vllm_embeds_in_the_order_of_the_inputs() -> None:
    async with scripted() as script:
        answered(script, "/v1/embeddings", vllm_answer((1, [3]), (0, [1])))
        engine = Vllm(script.url, model_name="m")
        found = await engine.embed(("a", "b"))
        await engine.close()

    assert Vectors(((1.0,), (3.0,)), tokens_in=5) == found
    assert {"model": "m", "input": ["a", "b"], "encoding_format": "float"} == json.loads(script.seen[0][1])


@pytest.mark.req("OC-ADAPT-5019", "OC-TEST-7006")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(vllm_answer((0, [1])), id="one-short"),
        pytest.param(vllm_answer((0, [1]), (0, [1])), id="an-index-twice"),
        pytest.param(vllm_answer((0, [1]), (1, [])), id="an-empty-vector"),
        pytest.param(vllm_answer((0, [1]), (1, ["x"])), id="no-number"),
        pytest.param(vllm_answer((0, [1]), (1, [2]), tokens=None), id="no-count"),
        pytest.param({"data": 7}, id="no-list"),
        pytest.param([], id="no-object"),
    ],
)
async def test_stand_in_another_answer_is_a_fault(body: object) -> None:
    async with scripted() as script:
        answered(script, "/v1/embeddings", body)
        engine = Vllm(script.url, model_name="m")
        with pytest.raises(EngineFaultError):
            await engine.embed(("a", "b"))
        await engine.close()


@pytest.mark.req("OC-ADAPT-5015")
async def test_stand_in_an_input_beyond_the_batch_is_the_callers_matter_though_the_engine_says_500() -> None:
    async with scripted(embedding=[TOO_LARGE]) as script:
        engine = LlamaCpp(script.url)
        with pytest.raises(EngineRefusedError, match="larger than the engine's batch"):
            await engine.embed(("a",))
        await engine.close()


VECTOR = json_answer(b'[{"index":0,"embedding":[[0.5]]}]')
SCORE = json_answer(b'{"results":[{"index":0,"relevance_score":0.5}],"usage":{"prompt_tokens":2}}')
TOKENS = json_answer(b'{"tokens":[1]}')
TEXT = json_answer(b'{"content":"x"}')


@pytest.mark.req("OC-ADAPT-5019")
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param({"embedding": OFF, "rerank": OFF}, ("completion",), id="neither"),
        pytest.param(
            {"embedding": VECTOR, "rerank": OFF, "completion": TEXT}, ("completion", "embedding"), id="embeds"
        ),
        pytest.param({"embedding": VECTOR, "rerank": OFF, "completion": OFF}, ("embedding",), id="only-embeds"),
        pytest.param(
            {"embedding": VECTOR, "rerank": SCORE, "completion": TEXT},
            ("completion", "rerank"),
            id="zeros-are-no-claim",
        ),
    ],
)
async def test_stand_in_llama_server_claims_what_it_has_answered(
    answers: dict[str, bytes], expected: tuple[str, ...]
) -> None:
    async with scripted(tokenize=[TOKENS], **{name: [answer] for name, answer in answers.items()}) as script:
        engine = LlamaCpp(script.url)
        assert expected == await engine.workloads()
        await engine.close()


@pytest.mark.req("OC-ADAPT-5019")
async def test_stand_in_vllm_either_generates_or_embeds() -> None:
    async with scripted() as script:
        engine = Vllm(script.url, model_name="m")
        assert ("completion",) == await engine.workloads()
        answered(script, "/v1/embeddings", vllm_answer((0, [1])))
        assert ("embedding",) == await engine.workloads()
        await engine.close()


@pytest.mark.req("OC-ADAPT-5019")
@pytest.mark.parametrize("engine", [Tgi("http://127.0.0.1:9"), Triton("http://127.0.0.1:9")], ids=["tgi", "triton"])
async def test_the_others_claim_completion_alone_and_refuse_the_rest(engine: Engine) -> None:
    assert ("completion",) == await engine.workloads()
    with pytest.raises(EngineRefusedError):
        await engine.embed(("a",))
    with pytest.raises(EngineRefusedError):
        await engine.rerank("a", ("b",))
