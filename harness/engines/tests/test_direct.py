"""Engines asked directly: what counts as an answer."""

import json

import httpx
import pytest
import respx

from harness.engines.direct import Decoded, EngineDoesNotTellError, LlamaCppDirect, VllmDirect, require_steps

URL = "http://engine"


def answered(told: int, tokens: int) -> dict[str, object]:
    """llama-server's answer, which leaves out what is part of a character."""
    step = {"id": 1, "token": "a", "bytes": [97], "logprob": -0.1, "top_logprobs": []}
    whole = {"content": "a" * told, "tokens_evaluated": 3, "tokens_predicted": tokens, "stop_type": "limit"}
    return {**whole, "tokens": [1] * tokens, "completion_probabilities": [step] * told}


@pytest.mark.req("ORCH-3050")
@pytest.mark.parametrize("told", [0, 11, 32])
def test_a_text_of_characters_in_several_tokens_is_an_answer(respx_mock: respx.MockRouter, told: int) -> None:
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answered(told, 32)))

    answer = LlamaCppDirect(URL).decode("x", seed=1, max_tokens=32, top=1)

    assert (told, 32) == (len(answer.steps), answer.tokens_out)


@pytest.mark.req("ORCH-3051")
@pytest.mark.parametrize(("told", "is_enough"), [(0, False), (15, False), (16, True), (32, True)])
def test_an_engine_that_hides_its_log_probabilities_is_found(
    respx_mock: respx.MockRouter, told: int, *, is_enough: bool
) -> None:
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answered(told, 32)))
    engine = LlamaCppDirect(URL)
    answer: Decoded = engine.decode("x", seed=1, max_tokens=32, top=20)

    if is_enough:
        require_steps(engine, answer)
    else:
        with pytest.raises(EngineDoesNotTellError, match=f"of {told} tokens of 32"):
            require_steps(engine, answer)


@pytest.mark.req("ORCH-3051")
@pytest.mark.parametrize(("told", "is_enough"), [(3, False), (4, True)])
def test_parts_of_characters_may_be_missing(respx_mock: respx.MockRouter, told: int, *, is_enough: bool) -> None:
    """Six characters of four bytes: of 32 tokens 24 may be parts of them, and of the other eight half is enough."""
    answer = {**answered(told, 32), "content": "\N{FROG FACE}" * 6 + "ab"}
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answer))
    engine = LlamaCppDirect(URL)
    decoded = engine.decode("x", seed=1, max_tokens=32, top=20)

    if is_enough:
        require_steps(engine, decoded)
    else:
        with pytest.raises(EngineDoesNotTellError, match=f"of {told} tokens of 32"):
            require_steps(engine, decoded)


@pytest.mark.req("ORCH-3050")
@pytest.mark.parametrize(("stop_type", "text"), [("limit", "ab"), ("eos", "ab\ufffd")])
def test_a_character_that_the_limit_cut_off_is_no_text(respx_mock: respx.MockRouter, stop_type: str, text: str) -> None:
    answer = {**answered(2, 3), "content": "ab\ufffd", "stop_type": stop_type}
    respx_mock.post(f"{URL}/completion").mock(return_value=httpx.Response(200, json=answer))

    assert text == LlamaCppDirect(URL).decode("x", seed=1, max_tokens=3).text


LOGPROBS = {"tokens": [" a"], "token_logprobs": [-0.5], "top_logprobs": [{" a": -0.5, " b": -0.1}]}


@pytest.mark.req("ORCH-3050")
@pytest.mark.parametrize(("top", "steps"), [(0, []), (2, [(5, " a", [" b", " a"])])])
def test_vllm_is_asked_with_log_probabilities_and_without(
    respx_mock: respx.MockRouter, top: int, steps: list[object]
) -> None:
    choice = {"text": " a", "finish_reason": "length", "token_ids": [5], "logprobs": LOGPROBS if top else None}
    told = {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    respx_mock.get(f"{URL}/v1/models").mock(return_value=httpx.Response(200, json={"data": [{"id": "tiny"}]}))
    asked = respx_mock.post(f"{URL}/v1/completions").mock(return_value=httpx.Response(200, json=told))

    answer = VllmDirect(URL).decode("x", seed=1, max_tokens=1, top=top)

    assert (" a", (5,), 3, 1) == (answer.text, answer.ids, answer.tokens_in, answer.tokens_out)
    assert steps == [(step.chosen.id, step.chosen.text, [one.text for one in step.top]) for step in answer.steps]
    assert (top or None) == json.loads(asked.calls.last.request.content)["logprobs"]


@pytest.mark.req("ORCH-3050")
def test_what_answers_no_object_is_not_the_engine(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{URL}/version").mock(return_value=httpx.Response(200, json=["0.1"]))

    with pytest.raises(EngineDoesNotTellError, match="no object"):
        VllmDirect(URL).version()
