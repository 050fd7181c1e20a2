"""The sampler profile: what each adapter sends of it, and that nothing of it is lost without a word."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pytest

from reference_server.engines.base import Completion, Engine
from reference_server.engines.llamacpp import LlamaCpp
from reference_server.engines.sampling import PROFILES
from reference_server.engines.tests.contract import events_of
from reference_server.engines.tests.scripted_server import STREAM_HEAD, STREAM_TAIL, chunk, json_answer, scripted
from reference_server.engines.tgi import Tgi
from reference_server.engines.triton import Triton
from reference_server.engines.vllm import Vllm

TRITON_INPUTS = (
    "text_input",
    "max_tokens",
    "stream",
    "random_seed",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
)
REPETITION = {"repeat_penalty": "repetition_penalty"}
ANSWERS: Mapping[str, bytes] = {
    "/v1/models": b'{"data":[{"id":"m","root":"m","max_model_len":64}]}',
    "/version": b'{"version":"1"}',
    "/props": b'{"default_generation_settings":{"n_ctx":64},"build_info":"b1","total_slots":1}',
    "/info": b'{"version":"3","max_total_tokens":64,"max_concurrent_requests":1}',
    "/v2": b'{"version":"2"}',
    "/v2/models/ensemble": json.dumps({"inputs": [{"name": name} for name in TRITON_INPUTS]}).encode(),
}
ADAPTERS = [
    pytest.param(
        LlamaCpp,
        "/completion",
        b'{"content":"","tokens_predicted":1,"stop":true}',
        {},
        id="llamacpp",
    ),
    pytest.param(
        Vllm,
        "/v1/completions",
        b'{"choices":[{"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
        REPETITION,
        id="vllm",
    ),
    pytest.param(
        Tgi,
        "/generate_stream",
        b'{"token":{"text":"x"},"generated_text":"x","details":{"finish_reason":"length","generated_tokens":1,"input_length":1}}',
        REPETITION,
        id="tgi",
    ),
    pytest.param(Triton, "/v2/models/ensemble/generate_stream", b'{"text_output":"x"}', REPETITION, id="triton"),
]


@pytest.mark.req("OC-ADAPT-5010")
@pytest.mark.parametrize(("adapter", "path", "frame", "names"), ADAPTERS)
async def test_stand_in_every_figure_of_the_profile_is_sent_or_said_to_have_no_place(
    adapter: Callable[[str], Engine], path: str, frame: bytes, names: Mapping[str, str]
) -> None:
    body, unmapped = await asked_for(adapter, path, frame)

    sent = body.get("parameters", body)
    expected = {name: value for name, value in asdict(PROFILES["v1"]).items() if name not in unmapped}
    assert expected == {name: sent.get(names.get(name, name)) for name in expected}
    assert not unmapped & set(sent)
    assert unmapped <= {"min_p"}


async def asked_for(adapter: Callable[[str], Engine], path: str, frame: bytes) -> tuple[dict[str, Any], set[str]]:
    """The body of a completion as the engine gets it, and what of the profile it has no place for."""
    async with scripted() as script:
        script.answers |= {name: [json_answer(body)] for name, body in ANSWERS.items()}
        done = b"data: [DONE]\n\n" if adapter is Vllm else b""
        script.answers[path] = [STREAM_HEAD + chunk(b"data: %b\n\n%b" % (frame, done)) + STREAM_TAIL]
        engine = adapter(script.url)
        facts = await engine.properties()
        await events_of(engine, Completion("t", "hi", 1, 7))
        body = json.loads(next(body for asked, body in script.seen if asked == path))
    return body, set(str(facts.features.get("sampler_unmapped", "")).split(",")) - {""}


def priorities(body: Mapping[str, Any]) -> list[str]:
    """What of a request's body an engine could take for an order of its own."""
    nested = [name for value in body.values() if isinstance(value, dict) for name in priorities(value)]
    return nested + [name for name in body if "prio" in name.lower() or name.lower() in {"nice", "qos", "rank"}]


@pytest.mark.req("ORCH-3004", "OC-CORE-1004")
@pytest.mark.parametrize(("adapter", "path", "frame", "names"), ADAPTERS)
async def test_stand_in_the_order_is_ours_and_no_engine_is_told_a_priority(
    adapter: Callable[[str], Engine], path: str, frame: bytes, names: Mapping[str, str]
) -> None:
    """T22: vLLM serves the lower number first, SGLang the higher one; a number handed on would mean either."""
    del names
    body, _ = await asked_for(adapter, path, frame)

    assert [] == priorities(body)
    assert [] == [name for name in Completion.__dataclass_fields__ if name in {"priority", "lane"}]


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(
    "body", [{"prompt": "", "priority": 0}, {"parameters": {"priority": 9}}, {"nvext": {"agent": {"Priority": 1}}}]
)
def test_a_priority_that_is_handed_on_is_found(body: Mapping[str, Any]) -> None:
    assert 1 == len(priorities(body))


@pytest.mark.req("OC-ADAPT-5010", "ORCH-3046")
def test_a_published_profile_has_the_figures_that_it_was_published_with() -> None:
    """Another figure is another version: streams that were recorded under this one depend on it."""
    v1 = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}

    assert v1 == asdict(PROFILES["v1"])
